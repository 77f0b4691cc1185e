"""``smile-predict``: new rows through a posterior that ``Fit.save`` wrote, from a table to a Parquet file."""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import smile
from smile.api.fit import Fit
from smile.arguments import OneLineParser
from smile.data import DataError
from smile.data.delimited import finite_number, read_records, shown
from smile.tracking import write_bytes_atomic

__all__ = ["main", "predictions", "read_rows"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 where something cannot be read, predicted or written."""
    options = _parse(arguments)
    try:
        fit = smile.load(options.posterior)
        found = predictions(fit, read_rows(fit, options.rows), options.level)
        buffer = io.BytesIO()
        found.to_parquet(buffer, index=False, compression="zstd")
        write_bytes_atomic(options.output, buffer.getvalue())
    except (ValueError, OSError) as error:
        print(f"smile-predict: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{len(found)} rows, columns {', '.join(found)}: {options.output}")
    return 0


def read_rows(fit: Fit, path: Path) -> pd.DataFrame | np.ndarray:
    """New rows as ``fit.predict`` takes them.

    Args:
        fit: whose columns are looked for by name, or by place where those of the fit had no names.
        path: of a Parquet file, or of delimited text with a header (``smile.data.delimited``), whose empty cells are
            missing ones.

    Raises:
        DataError: names file, line and column of what cannot be read.
    """
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        return table if fit.inputs.is_named else table.to_numpy()
    records = read_records(path)
    lines, rows = [], []
    for line, row in records.rows:
        lines.append(line)
        rows.append([cell.strip() for cell in row])
    table = pd.DataFrame(rows, columns=list(records.names), dtype=object)
    columns = fit.inputs.columns
    if not fit.inputs.is_named:
        if table.shape[1] != len(columns):
            raise DataError(f"{path}: {table.shape[1]} columns; the fit had {len(columns)}, without names")
        table.columns = [column.name for column in columns]
    for column in columns:
        if column.name in table and not column.categories:
            cells = zip(lines, table[column.name], strict=True)
            table[column.name] = [_number(path, line, column.name, cell) for line, cell in cells]
        elif column.name in table:
            table[column.name] = table[column.name].replace("", None)
    return table if fit.inputs.is_named else table.to_numpy()


def predictions(fit: Fit, rows: pd.DataFrame | np.ndarray, level: float) -> pd.DataFrame:
    """A row for each of ``rows``: ``mean``, ``sd``, ``lower`` and ``upper``, or the probability of every class.

    Args:
        fit: the posterior.
        rows: see ``read_rows``.
        level: probability of a new y between ``lower`` and ``upper``.
    """
    if len(fit.classes):
        return pd.DataFrame(fit.predict(rows), columns=[str(name) for name in fit.classes])
    mean, sd = fit.predict(rows)
    lower, upper = fit.interval(rows, level)
    return pd.DataFrame({"mean": mean, "sd": sd, "lower": lower, "upper": upper})


def _number(path: Path, line: int, name: str, cell: str) -> float:
    """A cell of numbers, as training tables have them; NaN where it is empty."""
    try:
        return finite_number(cell) if cell else math.nan
    except ValueError:
        where = f"{path}, line {line}, column {name!r}"
        raise DataError(f"{where}: {shown(cell)} is not a finite number") from None


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="smile-predict",
        description="Predicts new rows with a posterior that fit.save(...) of the Python API wrote.",
    )
    parser.add_argument("posterior", type=Path, help="the file that fit.save wrote")
    parser.add_argument("rows", type=Path, help="delimited text with a header, or Parquet")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("predictions.parquet"), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--level", type=float, default=0.9, help="of the central interval (default: %(default)s)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

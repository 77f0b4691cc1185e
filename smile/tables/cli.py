"""``smile-table``: regenerates the table and the figure of an experiment from its Parquet files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from smile.arguments import OneLineParser, command_line
from smile.paths import SCALES, experiment_dir
from smile.tables.build import build_table
from smile.tables.cells import Cells
from smile.tables.layout import LEGEND, cell_lines, column_names, heading, rows
from smile.tables.reading import SpecError, load_spec, table_names
from smile.tables.spec import TableSpec
from smile.tables.summary import claim_lines, summary_lines
from smile.tracking.console import wide_console
from smile.tracking.parquet import has_metrics

__all__ = ["main"]

_LOG_WIDTH = 190  # where the output is no terminal


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    options = _parse(arguments)
    if options.list:
        for name in table_names():
            print(f"{name:24}{load_spec(name).title}")
        return 0
    try:
        _run(options.table, options.scale, options.results)
    except (SpecError, ValueError, OSError) as error:
        print(f"smile-table: {error}", file=sys.stderr)
        return 2
    return 0


def _run(name: str, scale: str | None, results: Path) -> None:
    spec = load_spec(name)
    scale = scale or _largest_scale(results, name)
    report = build_table(spec, experiment_dir(results, name, scale), scale)
    spec = report.spec
    console = wide_console(_LOG_WIDTH)
    metric = next(iter(spec.metrics))
    selection = spec.selections[0]
    cells = report.tables[metric, selection]
    console.print(_table(spec, cells, metric, selection))
    for line in (*report.omissions, *summary_lines(spec, cells), *claim_lines(spec, cells, metric), LEGEND):
        console.print(line, highlight=False, markup=False)
    for path in report.paths:
        print(path)


def _table(spec: TableSpec, cells: Cells, metric: str, selection: str) -> Table:
    table = Table(*column_names(spec), title=heading(spec, metric, selection), show_lines=True)
    for labels, row in rows(spec, cells):
        table.add_row(*labels, *(escape("\n".join(cell_lines(cell))) for cell in row))
    return table


def _largest_scale(results: Path, name: str) -> str:
    for scale in SCALES:
        if has_metrics(experiment_dir(results, name, scale)):
            return scale
    commands = load_spec(name).command("quick")
    raise FileNotFoundError(
        f"no finished run of {name} in {results}, at any scale: fill it with `{commands}`"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="smile-table",
        description="Writes table.{md,tex,csv} and figure.{png,pdf} of an experiment from its results.",
        epilog="A table is a file experiments/<name>/table.yaml, here or of smile.",
    )
    parser.add_argument("table", nargs="?", help=f"one of {', '.join(table_names())}")
    parser.add_argument(
        "--scale", choices=SCALES, help="which results; default: the largest scale that has any"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results directory (default: results)"
    )
    parser.add_argument("--list", action="store_true", help="list the tables")
    options = parser.parse_args(arguments)
    if not options.list and options.table is None:
        parser.error(f"which table? valid are {', '.join(table_names())}")
    return options

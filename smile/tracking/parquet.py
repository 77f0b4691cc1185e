"""Metrics on disk: long-format rows with one explicit Arrow schema, one file per run, whole or not there.

An experiment directory holds ``runs/<run_id>/metrics.parquet`` for every finished run. A file appears under its final
name in one atomic rename, after its bytes have reached the disk, so a reader never meets half a file and the presence
of the file means that the run is finished.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "METRICS_FILE",
    "SCHEMA",
    "is_finished",
    "read_metrics",
    "read_metrics_file",
    "write_bytes_atomic",
    "write_metrics",
    "write_text_atomic",
]

METRICS_FILE = "metrics.parquet"

_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()

SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "run_id": _TEXT,
            "experiment": _TEXT,
            "scale": _TEXT,
            "variant": _TEXT,  # a free label that tells configs of one experiment apart
            "target": _TEXT,
            "data": _TEXT,  # what a network learns; none on analytic targets
            "model": _TEXT,
            "noise": _TEXT,
            "noise_source": _TEXT,
            "noise_distribution": _TEXT,
            "sampler": _TEXT,
            "tuner": _TEXT,
            "seed": _WHOLE,
            "step_size": _REAL,  # as given; the adapted one under tuner=mclmc, NaN where there is none
            "replication": pa.int64(),  # repeats the measurement: a chain, or on networks the run's seed
            "metric": _TEXT,
            "value": _REAL,  # NaN where the chain left the finite numbers
            "num_steps": _WHOLE,
            "gradient_evaluations": _WHOLE,
            "wall_seconds": _REAL,  # of the whole run
            "smile_version": _TEXT,
            "jax_version": _TEXT,
            "git_commit": _TEXT,
            "created": _TEXT,  # ISO 8601, UTC
        }.items()
    ]
)


def write_metrics(
    path: str | Path, rows: pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Writes metric rows atomically.

    Args:
        path: final name, usually ``runs/<run_id>/metrics.parquet``; missing folders are created.
        rows: a data frame, a list of row dictionaries, or columns by name (a scalar column is repeated).

    Raises:
        ValueError: where a column is missing, unknown, of the wrong type or has missing values.
    """
    table = _to_table(rows)
    _write_atomic(Path(path), lambda file: pq.write_table(table, file, compression="zstd"))


def read_metrics(experiment_dir: str | Path, command: str | None = None) -> pd.DataFrame:
    """All finished runs of an experiment, also while others are still being written.

    Args:
        experiment_dir: the folder that holds ``runs/``.
        command: what would fill it, for the error message.

    Returns:
        One row per run, step size, replication and metric, with the columns of ``SCHEMA``.

    Raises:
        FileNotFoundError: where there is no finished run.
        ValueError: where a file has another schema.
    """
    directory = Path(experiment_dir)
    files = sorted(directory.glob(f"runs/*/{METRICS_FILE}"))
    if not files:
        command = command or f"smile +experiment={directory.name}"
        raise FileNotFoundError(f"no finished run in {directory}/runs: fill it with `{command}`")
    return pa.concat_tables([_read(file) for file in files]).to_pandas()


def read_metrics_file(file: str | Path) -> pd.DataFrame:
    """The rows of one run.

    Raises:
        ValueError: where the file has another schema.
    """
    return _read(Path(file)).to_pandas()


def is_finished(run_dir: str | Path) -> bool:
    """Whether the run has written its metrics, which it does last and at once."""
    return (Path(run_dir) / METRICS_FILE).is_file()


def write_text_atomic(path: str | Path, text: str) -> None:
    """Writes a text file that is there whole or not at all."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: str | Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    _write_atomic(Path(path), lambda file: file.write(content))


def _read(file: Path) -> pa.Table:
    table = pq.ParquetFile(file).read()
    if not table.schema.equals(SCHEMA):
        different = sorted(str(field.name) for field in set(table.schema) ^ set(SCHEMA))
        what = f"differs in {', '.join(different)}" if different else "has its columns in another order"
        raise ValueError(f"{file} {what} from the schema of this version: repeat the run with force=true")
    return table


def _to_table(rows: pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> pa.Table:
    if isinstance(rows, Sequence):
        for row in rows:
            _check_names(row)
        frame = pd.DataFrame(rows, columns=SCHEMA.names)
    else:
        _check_names(rows)
        frame = pd.DataFrame(rows)
    columns = [_to_column(field, frame[field.name]) for field in SCHEMA]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _check_names(names: Iterable[str]) -> None:
    given, valid = set(names), set(SCHEMA.names)
    for what, wrong in (("unknown", given - valid), ("missing", valid - given)):
        if wrong:
            raise ValueError(
                f"{what} metric columns {', '.join(sorted(wrong))}; valid are {', '.join(SCHEMA.names)}"
            )


def _to_column(field: pa.Field, values: pd.Series) -> pa.Array:
    try:
        # from_pandas=False keeps NaN a number: a chain that diverged is not a missing value.
        column = pa.array(values.to_numpy(), type=field.type, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"metric column {field.name} must be {field.type}: {error}") from None
    if column.null_count:
        raise ValueError(
            f"metric column {field.name} has {column.null_count} missing values; a failed chain is NaN"
        )
    return column


def _write_atomic(path: Path, write: Callable[[Any], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp makes files that only their owner reads
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

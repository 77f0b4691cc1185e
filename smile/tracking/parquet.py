"""Metrics on disk: long-format rows with one explicit Arrow schema, one file per run, whole or not there.

An experiment directory holds ``runs/<run_id>/metrics.parquet`` for every finished run. A file appears under its final
name in one atomic rename, after its bytes have reached the disk, so a reader never meets half a file, and sealed
(``smile.tracking.seal``): a file that can be read means that the run is finished.

Thousands of runs can be merged into ``compact/`` (``smile.runs.compact``). A run is merged before its own file
goes, and a run's own file counts where both exist; who looks first for files, then into ``compact/``, misses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smile.tracking.files import write_bytes_atomic as write_bytes_atomic
from smile.tracking.files import write_text_atomic as write_text_atomic
from smile.tracking.seal import UnreadableError, check, read_sealed, write_sealed

__all__ = [
    "COMPACT_FOLDER",
    "METRICS_FILE",
    "SCHEMA",
    "compacted_runs",
    "has_metrics",
    "is_finished",
    "metrics_time",
    "read_metrics",
    "read_run",
    "read_table",
    "write_bytes_atomic",
    "write_metrics",
    "write_text_atomic",
]

METRICS_FILE = "metrics.parquet"
COMPACT_FOLDER = "compact"
RUN_IDS = b"run_ids"  # key in the footer of a merged file

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
    write_sealed(Path(path), _to_table(rows))


def read_metrics(
    experiment_dir: str | Path, command: str | None = None, metrics: Iterable[str] | None = None
) -> pd.DataFrame:
    """All finished runs of an experiment, also while others are still being written.

    Args:
        experiment_dir: the folder that holds ``runs/``.
        command: what would fill it, for the error message.
        metrics: which; all of them if None.

    Returns:
        One row per run, step size, replication and metric, with the columns of ``SCHEMA``.

    Raises:
        FileNotFoundError: where there is no finished run.
        ValueError: where a file cannot be read or has another schema.
    """
    directory = Path(experiment_dir)
    table = read_table(directory, metrics=metrics)
    if table is None:
        command = command or f"smile +experiment={directory.name}"
        raise FileNotFoundError(f"no finished run in {directory}/runs: fill it with `{command}`")
    return table.to_pandas()


def read_table(
    experiment_dir: Path, columns: Sequence[str] | None = None, metrics: Iterable[str] | None = None
) -> pa.Table | None:
    """The rows of all finished runs as an Arrow table; None where there are none.

    Args:
        experiment_dir: the folder that holds ``runs/``.
        columns: which; ``run_id`` among them, and ``metric`` where only some are asked for. All of them if None.
        metrics: which; all of them if None.

    Raises:
        ValueError: where a file cannot be read or has another schema.
    """
    chosen = None if metrics is None else pc.is_in(pc.field("metric"), pa.array(sorted(metrics), pa.string()))
    tables, own = [], []
    for file in sorted(experiment_dir.glob(f"runs/*/{METRICS_FILE}")):
        try:
            table = _read(file, columns)
        except FileNotFoundError:  # merged since it was listed
            continue
        own.extend(table["run_id"].unique().to_pylist())
        tables.append(table if chosen is None else table.filter(chosen))
    merged = experiment_dir / COMPACT_FOLDER / METRICS_FILE
    if merged.exists():
        others = ~pc.is_in(pc.field("run_id"), pa.array(own, pa.string()))
        tables.append(_read(merged, columns).filter(others if chosen is None else others & chosen))
    return pa.concat_tables(tables) if tables else None


def read_run(run_dir: str | Path) -> pd.DataFrame:
    """The rows of one finished run.

    Raises:
        FileNotFoundError: where it is not finished.
        ValueError: where its file cannot be read or has another schema.
    """
    directory = Path(run_dir)
    try:
        return _read(directory / METRICS_FILE).to_pandas()
    except FileNotFoundError:
        if directory.name not in compacted_runs(directory.parents[1]):
            raise
    merged = _read(directory.parents[1] / COMPACT_FOLDER / METRICS_FILE)
    return merged.filter(pc.field("run_id") == directory.name).to_pandas()


def is_finished(run_dir: str | Path) -> bool:
    """Whether the metrics of a run, which it writes last and at once, are there and can be read.

    Raises:
        UnreadableError: where it may have been merged into a file that cannot be read.
    """
    directory = Path(run_dir)
    try:
        return metrics_time(directory) is not None or directory.name in compacted_runs(directory.parents[1])
    except UnreadableError as error:
        if error.file.parent == directory:
            return False
        raise


def metrics_time(run_dir: Path) -> float | None:
    """When the metrics in a run's own folder were written, by the clock of its file system; None if there are none.

    Raises:
        UnreadableError: where they cannot be read.
    """
    file = run_dir / METRICS_FILE
    try:
        check(file)
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def has_metrics(experiment_dir: Path) -> bool:
    """Whether any run of an experiment is finished."""
    files = experiment_dir.glob(f"runs/*/{METRICS_FILE}")
    return next(files, None) is not None or bool(compacted_runs(experiment_dir))


def compacted_runs(experiment_dir: Path) -> frozenset[str]:
    """The ids of the runs that have been merged.

    Raises:
        UnreadableError: where the file that holds them cannot be read.
    """
    try:
        stat = (file := experiment_dir / COMPACT_FOLDER / METRICS_FILE).stat()
    except OSError:
        return frozenset()
    return _ids(file, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=8)
def _ids(file: Path, modified: int, inode: int) -> frozenset[str]:
    check(file)
    return frozenset(json.loads(pq.read_schema(file).metadata[RUN_IDS]))


def _read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    return read_sealed(file, columns, SCHEMA).replace_schema_metadata(None)


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

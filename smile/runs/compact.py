"""Merges the small files of finished runs into ``compact/``: two files instead of thousands of folders.

Safe at any time: runs may be writing and tables reading. Nothing is removed before what replaces it is on disk, and a
run that some process holds is left alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from smile.runs.lock import Lock, claim
from smile.runs.status import STATUS_FILE
from smile.tracking.config_file import CONFIG_FILE, read_config
from smile.tracking.parquet import COMPACT_FOLDER, METRICS_FILE, RUN_IDS, SCHEMA, read_table
from smile.tracking.seal import read_sealed, write_sealed

__all__ = ["CONFIGS_FILE", "Compacted", "compact", "read_configs"]

CONFIGS_FILE = "configs.parquet"

_CONFIGS = pa.schema([pa.field("run_id", pa.string()), pa.field("config", pa.string())])


class Compacted(NamedTuple):
    """What a call did: how many runs it merged, and how many are merged in all."""

    new: int
    total: int


def compact(experiment_dir: Path) -> Compacted:
    """Merges every finished run of an experiment that nobody is working on.

    Raises:
        RuntimeError: where another process is merging.
        OSError: where the folder cannot be written; then everything is as it was.
    """
    folder = experiment_dir / COMPACT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with claim(folder) as lock:
        if not isinstance(lock, Lock):
            raise RuntimeError(f"process {lock.pid} on {lock.host} is already merging {experiment_dir}")
        times = _times(experiment_dir)
        if not times:
            return Compacted(0, len(read_configs(experiment_dir)))
        configs = read_configs(experiment_dir)
        for name in times:
            with suppress(FileNotFoundError):  # the deep ensemble of a sweep has no config of its own
                configs[name] = read_config(experiment_dir / "runs" / name)
        merged = pa.table({"run_id": list(configs), "config": list(configs.values())}, schema=_CONFIGS)
        write_sealed(folder / CONFIGS_FILE, merged)
        table = read_table(experiment_dir)
        assert table is not None
        ids = sorted(table["run_id"].unique().to_pylist())
        table = table.cast(SCHEMA).replace_schema_metadata({RUN_IDS: json.dumps(ids)})
        write_sealed(folder / METRICS_FILE, table)
        merged_now = set(ids) & set(times)
        for name in merged_now:
            _remove(experiment_dir / "runs" / name, times[name])
        return Compacted(len(merged_now), len(ids))


def read_configs(experiment_dir: Path) -> dict[str, str]:
    """Run id -> ``config.yaml`` of the merged runs."""
    try:
        table = read_sealed(experiment_dir / COMPACT_FOLDER / CONFIGS_FILE, schema=_CONFIGS)
    except FileNotFoundError:
        return {}
    return dict(zip(table["run_id"].to_pylist(), table["config"].to_pylist(), strict=True))


def _times(experiment_dir: Path) -> dict[str, int]:
    """Run id -> time stamp of its metrics; a folder that is a link belongs to somebody else and stays as it is."""
    times = {}
    for file in experiment_dir.glob(f"runs/*/{METRICS_FILE}"):
        if not file.parent.is_symlink():
            with suppress(FileNotFoundError):
                times[file.parent.name] = file.stat().st_mtime_ns
    return times


def _remove(run_dir: Path, modified: int) -> None:
    """Removes what has been merged, and the folder where nothing else is in it."""
    with claim(run_dir) as lock:
        metrics = run_dir / METRICS_FILE
        if not isinstance(lock, Lock) or metrics.stat().st_mtime_ns != modified:  # run again meanwhile
            return
        leftovers = (
            file for pattern in (".*.tmp", ".lock.*") for file in run_dir.glob(pattern)
        )  # of killed processes
        for file in (metrics, run_dir / STATUS_FILE, run_dir / CONFIG_FILE, *leftovers):
            file.unlink(missing_ok=True)
    with suppress(OSError):
        run_dir.rmdir()

"""Metrics files: the schema, and whole files or none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from smile.tracking.parquet import SCHEMA, is_finished, read_metrics, write_metrics

ROW: dict[str, Any] = {
    "run_id": "r1", "experiment": "e", "scale": "smoke", "variant": "", "target": "icg", "data": "none",
    "model": "none", "noise": "isotropic",
    "noise_source": "injected", "noise_distribution": "gaussian", "sampler": "smile", "tuner": "none", "seed": 0,
    "step_size": 1e-3, "replication": 0, "metric": "bias", "value": 0.5, "num_steps": 10, "gradient_evaluations": 20,
    "wall_seconds": 1.5, "smile_version": "0", "jax_version": "0", "git_commit": "", "created": "2025-01-01",
}  # fmt: skip

FORMS = {
    "rows": lambda rows: rows,
    "columns": lambda rows: {name: [row[name] for row in rows] for name in ROW},
    "frame": pd.DataFrame,
}


@pytest.mark.parametrize("form", FORMS)
def test_round_trip_keeps_schema_and_nan(tmp_path: Path, form: str) -> None:
    rows = [ROW, ROW | {"replication": 1, "value": math.nan}]
    write_metrics(tmp_path / "runs/r1/metrics.parquet", FORMS[form](rows))
    assert pq.read_schema(tmp_path / "runs/r1/metrics.parquet").equals(SCHEMA)
    read = read_metrics(tmp_path)
    assert read["value"].isna().tolist() == [False, True]
    pd.testing.assert_frame_equal(read, pd.DataFrame(rows), check_dtype=False)


def test_scalar_columns_are_repeated(tmp_path: Path) -> None:
    write_metrics(
        tmp_path / "runs/r1/metrics.parquet", ROW | {"replication": [0, 1, 2], "value": [0.1, 0.2, 0.3]}
    )
    assert read_metrics(tmp_path)["run_id"].tolist() == ["r1"] * 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"colour": "red"}, "unknown metric columns colour"),
        ({key: value for key, value in ROW.items() if key != "seed"}, "missing metric columns seed"),
        (ROW | {"seed": "zero"}, "seed must be int64"),
        (ROW | {"num_steps": 1.5}, "num_steps must be int64"),
        (ROW | {"target": None}, "target has 1 missing"),
    ],
)
def test_wrong_rows_name_the_column_and_write_nothing(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_metrics(tmp_path / "metrics.parquet", [row])
    assert not list(tmp_path.iterdir())


def test_nothing_there_names_directory_and_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"table9/runs: fill it with `smile \+experiment=table9`"):
        read_metrics(tmp_path / "table9")


def test_reader_skips_unfinished_runs(tmp_path: Path) -> None:
    write_metrics(tmp_path / "runs/r1/metrics.parquet", [ROW])
    (tmp_path / "runs/r2").mkdir()
    (tmp_path / "runs/r2/.metrics.parquet.x.tmp").write_bytes(b"half")
    assert read_metrics(tmp_path)["run_id"].tolist() == ["r1"]
    assert is_finished(tmp_path / "runs/r1")
    assert not is_finished(tmp_path / "runs/r2")


def test_other_schema_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "runs/r1/metrics.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame([ROW]).drop(columns="seed").to_parquet(path)
    with pytest.raises(ValueError, match=r"metrics.parquet differs in .*seed"):
        read_metrics(tmp_path)

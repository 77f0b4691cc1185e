"""The table at the end of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from smile.tracking import console
from smile.tracking.statistics import summarise


def rows(metric: str = "bias", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"sampler": "smile", **columns}).assign(metric=metric)


def test_summary_marks_best_and_diverged(capsys: pytest.CaptureFixture[str]) -> None:
    values = [2.0, 4.0, 1.0, 1.0, 0.1, float("nan")]
    console.summary_table(
        rows(step_size=[1e-3, 1e-3, 1e-2, 1e-2, 1e-1, 1e-1], replication=[0, 1] * 3, value=values)
    )
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "1.00e-02" in line).rstrip().endswith("← best")
    assert "3 ± 1" in next(line for line in lines if "1.00e-03" in line)
    assert "diverged in 1 of 2" in next(line for line in lines if "1.00e-01" in line)


def test_adapted_step_sizes_are_pooled() -> None:
    summary = summarise(rows(step_size=[0.5, 0.7], replication=[0, 1], value=[1.0, 3.0]))
    assert summary.index.tolist() == [("bias", 0.6)]
    assert summary["mean"].tolist() == [2.0]
    assert summary["error"].tolist() == [1.0]


def test_advice_names_what_is_wrong_with_the_best_step_size(capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "validation_lppd": [1, 2, 3],
        "lppd": [1, 2, 3],
        "lppd_gain": [0, 1, -0.5],
        "num_strayed": [0, 0, 2],
        "predictive_sd": [1, 1, 50],
    }
    frames = [
        rows(metric=metric, step_size=[1e-3, 1e-2, 1e-1], replication=1, value=np.array(of_metric, float))
        for metric, of_metric in values.items()
    ]
    console.summary_table(pd.concat(frames))
    out = capsys.readouterr().out
    assert (
        "largest of the grid" in out and "2 chains predict far worse" in out and "worse than the deep" in out
    )
    assert "predictions have 50 times the standard deviation of the targets" in out

    good = [frame.assign(value=frame["value"].where(frame["step_size"] != 1e-1, -9.0)) for frame in frames]
    console.summary_table(pd.concat(good))
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("  1.00e-01")

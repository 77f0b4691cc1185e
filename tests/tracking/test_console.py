"""The table at the end of a run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from smile.tracking import console
from smile.tracking.statistics import summarise


def rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"sampler": "smile", "metric": "bias", **columns})


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

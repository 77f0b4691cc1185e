"""Progress and the table at the end of a run."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd
import pytest

from smile.tracking import console
from smile.tracking.statistics import summarise


def rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"sampler": "smile", "metric": "bias", **columns})


def test_log_lines_have_progress_and_rate(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(console, "_LINE_INTERVAL_SECONDS", 0.0)
    with caplog.at_level(logging.INFO), console.progress("icg · smile", 100, chains=10) as advance:
        advance(50)
        advance(50)
    first, last = (record.getMessage() for record in caplog.records)
    assert "icg · smile   50%" in first
    assert "ETA" in first
    assert "chain-steps/s" in first
    assert "100%" in last


def test_log_is_quiet_between_intervals(caplog: Any) -> None:
    with caplog.at_level(logging.INFO), console.progress("icg", 100, chains=10) as advance:
        for _ in range(99):
            advance(1)
    assert not caplog.records


def test_bar_on_a_terminal(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.progress("icg [7/48]", 10, chains=1) as advance:
        advance(10)
    shown = capsys.readouterr().err
    assert "[7/48]" in shown
    assert "100%" in shown


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

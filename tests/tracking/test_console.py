"""Progress and the table at the end of a run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smile import stop
from smile.tracking import console, status
from smile.tracking.statistics import summarise
from smile.tracking.status import Status


def rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"sampler": "smile", "metric": "bias", **columns})


def test_log_lines_have_progress_and_rate(monkeypatch: Any, caplog: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(console, "_LINE_INTERVAL_SECONDS", 0.0)
    with caplog.at_level(logging.INFO), console.progress(tmp_path, "icg · smile", 100, chains=10) as advance:
        advance(50)
        advance(50)
    first, last = (record.getMessage() for record in caplog.records)
    assert "icg · smile   50%" in first
    assert "ETA" in first
    assert "chain-steps/s" in first
    assert "100%" in last


def test_log_is_quiet_between_intervals(caplog: Any, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO), console.progress(tmp_path, "icg", 100, chains=10) as advance:
        for _ in range(99):
            advance(1)
    assert not caplog.records


def test_one_display_shows_runs_of_other_processes(
    monkeypatch: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(console, "_DISPLAY_INTERVAL_SECONDS", 0.02)
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    monkeypatch.setattr(console, "_REPORT_INTERVAL_SECONDS", 0.0)
    with console.watch([first, second]):
        status.write(first, Status("running", "icg sgld"))
        with console.progress(first, "[1/2] icg sgld", 10, chains=1) as advance:
            advance(5)
            time.sleep(0.3)
        status.update(first, state="preempted")
        status.write(second, Status("failed", "icg smile", reason="RuntimeError: out of luck"))
        time.sleep(0.3)
    shown = capsys.readouterr().err
    assert "icg sgld" in shown and "50%" in shown
    assert "all runs" in shown and "1.0 of 2" in shown
    assert "icg sgld: interrupted" in shown


def test_progress_obeys_a_request_to_stop(tmp_path: Path) -> None:
    with console.progress(tmp_path, "icg", 10, chains=1) as advance:
        advance(5)
        stop.request("SIGTERM")
        with pytest.raises(stop.Preempted, match="SIGTERM"):
            advance(5)
        stop.clear()


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

"""How far runs are, on a terminal and in a log."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from smile import stop
from smile.runs import progress as module
from smile.runs import status
from smile.runs.lock import claim
from smile.runs.owner import this_process
from smile.runs.progress import progress, watch
from smile.runs.status import Status


def test_log_lines_have_progress_and_rate(monkeypatch: Any, caplog: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_LINE_INTERVAL_SECONDS", 0.0)
    with caplog.at_level(logging.INFO), progress(tmp_path, "icg · smile", 100, chains=10) as advance:
        advance(50)
        advance(50)
    first, last = (record.getMessage() for record in caplog.records)
    assert "icg · smile   50%" in first
    assert "ETA" in first
    assert "chain-steps/s" in first
    assert "100%" in last


def test_log_is_quiet_between_intervals(caplog: Any, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO), progress(tmp_path, "icg", 100, chains=10) as advance:
        for _ in range(99):
            advance(1)
    assert not caplog.records


def test_one_display_shows_runs_of_other_processes(
    monkeypatch: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(module, "_DISPLAY_INTERVAL_SECONDS", 0.02)
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    monkeypatch.setattr(module, "_REPORT_INTERVAL_SECONDS", 0.0)
    with watch([first, second]):
        status.write(first, Status("running", "icg sgld"))
        with progress(first, "[1/2] icg sgld", 10, chains=1) as advance:
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
    with progress(tmp_path, "icg", 10, chains=1) as advance:
        advance(5)
        stop.request("SIGTERM")
        with pytest.raises(stop.Preempted, match="SIGTERM"):
            advance(5)
        stop.clear()


def test_slices_of_a_run_add_up_until_it_is_finished(tmp_path: Path) -> None:
    """One of them is killed: its heartbeat tells how long it was at work."""
    spent = []
    for seconds, state in (
        (100.0, "preempted"),
        (20.0, "running"),
        (3.0, "failed"),
        (0.5, "done"),
        (0.0, "running"),
    ):
        with claim(tmp_path) as lock, status.running(tmp_path, "icg", "", lock):
            found = status.read(tmp_path)
            assert found is not None
            spent.append(round(found.spent))
        status.update(tmp_path, state=state, seconds=seconds)
        if state == "preempted":
            status.queue(tmp_path, "icg", this_process())
    assert spent == [0, 100, 120, 123, 0]

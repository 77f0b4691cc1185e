"""The state of a run as it is: what its process, its queue and its results say, not what its last writer left."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from smile import stop
from smile.runs import status, survey
from smile.runs.lock import Lock, claim
from smile.runs.owner import STALE_SECONDS, Owner, this_process
from smile.runs.status import STATUS_FILE, Status
from smile.tracking import write_metrics
from smile.tracking.parquet import METRICS_FILE, SCHEMA

BLANK: dict[str, Any] = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}
LATER = time.time() + 3600
GONE = this_process()._replace(pid=2**22 + 1)
ELSEWHERE = Owner("another-machine", "boot", 1, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


def put(folder: Path, name: str, state: Status | None, *, finished: bool = False, age: float = 0) -> None:
    directory = folder / "runs" / name
    directory.mkdir()
    if finished:
        write_metrics(directory / METRICS_FILE, [BLANK | {"run_id": name}])
    if state:
        status.write(directory, state)
        os.utime(directory / STATUS_FILE, (time.time() - age,) * 2)


def states(folder: Path) -> dict[str, str]:
    return {run.run_id: run.state for run in survey.survey(folder).runs}


def test_every_state_is_told_from_what_is_left_of_it(folder: Path) -> None:
    put(folder, "done", Status("done"), finished=True)
    put(folder, "before the clock was set back", Status("done", started=LATER), finished=True)
    put(folder, "committed", None, finished=True)  # results that came without a status
    put(folder, "ended", Status("running", owner=GONE), finished=True)  # killed after its results were there
    put(folder, "failed at the end", Status("failed"), finished=True)  # after its results were there
    put(folder, "failed again", Status("failed", started=LATER), finished=True)  # when it was repeated
    put(folder, "repeated", Status("running", owner=GONE, started=LATER), finished=True)
    put(folder, "to be repeated", Status("queued", owner=this_process(), started=LATER), finished=True)
    put(folder, "deleted", Status("done"))
    put(folder, "running", Status("running", owner=this_process()))
    put(folder, "killed", Status("running", owner=GONE))
    put(folder, "far", Status("running", owner=ELSEWHERE), age=STALE_SECONDS - 30)
    put(folder, "silent", Status("running", owner=ELSEWHERE), age=STALE_SECONDS + 30)
    put(folder, "waiting", Status("queued", owner=this_process()))
    put(folder, "waiting far away", Status("queued", owner=ELSEWHERE), age=STALE_SECONDS - 30)
    put(folder, "forgotten", Status("queued", owner=GONE))
    put(folder, "forgotten far away", Status("queued", owner=ELSEWHERE), age=STALE_SECONDS + 30)
    put(folder, "nobody's", Status("queued"), age=STALE_SECONDS + 30)
    put(folder, "stopped", Status("preempted", reason="SIGTERM"))
    put(folder, "unknown", None)
    assert states(folder) == {
        "before the clock was set back": "done",
        "done": "done", "committed": "done", "ended": "done", "failed at the end": "done", "failed again": "failed",
        "repeated": "lost", "to be repeated": "queued", "deleted": "lost", "running": "running", "killed": "lost",
        "far": "running", "silent": "lost", "waiting": "queued", "waiting far away": "queued", "forgotten": "lost",
        "forgotten far away": "lost", "nobody's": "lost", "stopped": "preempted",
    }  # fmt: skip
    assert survey.survey(folder).counts["lost"] == 7


def test_results_that_cannot_be_read_are_lost_and_named(folder: Path) -> None:
    for name, state in (
        ("with a status", Status("done")),
        ("without", None),
        ("of old", Status("queued", job="7")),
    ):
        put(folder, name, state, finished=True)
        (folder / "runs" / name / METRICS_FILE).write_bytes(b"PAR1")
    found = survey.survey(folder).of("lost")
    assert [run.run_id for run in found] == ["with a status", "without"]
    for run in found:
        assert f"{run.directory / METRICS_FILE} cannot be read" in run.status.reason


def test_waiting_is_said_by_whoever_will_do_it_and_only_of_what_nobody_is_at(folder: Path) -> None:
    folders = {
        name: folder / "runs" / name for name in ("new", "running", "queued", "in a queue", "forgotten")
    }
    put(folder, "queued", Status("queued", owner=ELSEWHERE))
    put(folder, "in a queue", Status("queued", job="7_1"))
    put(folder, "forgotten", Status("queued", owner=GONE))
    put(folder, "running", Status("running", "icg", owner=this_process()))
    with claim(folders["running"]), status.waiting(dict.fromkeys(folders.values(), "icg")):
        found = {name: status.read(path) for name, path in folders.items()}
    owners = {name: (last.state, last.owner) for name, last in found.items() if last}
    ours = ("queued", this_process())
    assert owners == {
        "new": ours, "running": ("running", this_process()), "queued": ("queued", ELSEWHERE),
        "in a queue": ("queued", status.NOBODY), "forgotten": ours,
    }  # fmt: skip


def test_what_waits_has_a_heartbeat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "STALE_SECONDS", 0.2)
    run = folder / "runs/a"
    with status.waiting({run: "icg"}):
        first = (run / STATUS_FILE).stat().st_mtime_ns
        time.sleep(0.5)
        assert (run / STATUS_FILE).stat().st_mtime_ns > first


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"7_0"}, {"a": "queued", "b": "lost", "c": "preempted"}),
        ({"7_0", "7_2"}, {"a": "queued", "b": "lost", "c": "queued"}),
        (None, {"a": "queued", "b": "queued", "c": "preempted"}),  # nobody to ask
    ],
)
def test_a_queue_that_has_forgotten_a_job_will_not_run_it(
    folder: Path, monkeypatch: Any, known: set[str] | None, expected: dict[str, str]
) -> None:
    put(folder, "a", Status("queued", job="7_0"))
    put(folder, "b", Status("queued", job="7_1"))
    put(folder, "c", Status("preempted", job="7_2"))
    monkeypatch.setattr(survey, "known_jobs", lambda jobs: known)
    assert states(folder) == expected


def test_eta_from_finished_and_running_runs(folder: Path) -> None:
    put(folder, "a", Status("done", seconds=100), finished=True)
    put(folder, "b", Status("running", owner=this_process(), seconds=50, done=25, total=100))
    for name in "cd":
        put(folder, name, Status("queued", owner=this_process()))
    assert survey.survey(folder).eta_seconds == pytest.approx(150 + 200, abs=10)


def test_eta_is_unknown_before_anything_has_moved(folder: Path) -> None:
    put(folder, "a", Status("running", owner=this_process()))
    assert survey.survey(folder).eta_seconds is None


def test_a_status_that_is_no_status_is_none(folder: Path) -> None:
    put(folder, "a", None)
    for text in ("", "[]", "{", '{"state": "done"}', '{"state": "done", "owner": [], "colour": "red"}'):
        (folder / "runs/a" / STATUS_FILE).write_text(text)
        assert status.read(folder / "runs/a") is None


def test_status_and_lock_have_a_heartbeat(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(status, "HEARTBEAT_SECONDS", 0.05)
    with claim(folder) as lock:
        assert isinstance(lock, Lock)
        with status.running(folder, "icg", "7_1", lock):
            first = (folder / "lock").stat().st_mtime_ns
            time.sleep(0.5)
            found = status.read(folder)
            assert found is not None
            assert (found.state, found.job, found.owner) == ("running", "7_1", this_process())
            assert found.seconds > 0 and (folder / "lock").stat().st_mtime_ns > first
            (folder / "lock").write_text(json.dumps(ELSEWHERE))
            time.sleep(0.5)
            with pytest.raises(stop.Preempted, match="another process"):
                stop.check()
    stop.clear()


def test_nobody_writes_another_process_s_status(folder: Path) -> None:
    status.write(folder, Status("running", owner=ELSEWHERE))
    status.update(folder, state="failed")
    found = status.read(folder)
    assert found is not None and found.state == "running"


def test_every_run_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        put(folder, name, Status("done", seconds=1.0), finished=True)
    found, read = [], status.read
    monkeypatch.setattr(status, "read", lambda directory: found.append(directory.name) or read(directory))
    assert survey.survey(folder).counts["done"] == 20
    assert sorted(found) == names

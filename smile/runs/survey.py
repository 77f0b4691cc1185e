"""The state of all runs of an experiment, as it is and not as the last writer left it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, assert_never

from smile.runs import status
from smile.runs.owner import file_system_time, is_alive
from smile.runs.queue import known_jobs
from smile.runs.status import FAILURE_FILE, STATUS_FILE, Status
from smile.tracking.parquet import METRICS_FILE, compacted_runs, metrics_time
from smile.tracking.seal import UnreadableError

__all__ = ["STATES", "Run", "Survey", "survey"]

State = Literal["done", "running", "queued", "preempted", "failed", "lost"]

STATES: tuple[State, ...] = ("done", "running", "queued", "preempted", "failed", "lost")
UNFINISHED = ("running", "queued")


class Run(NamedTuple):
    """One run.

    Attributes:
        run_id: its id.
        directory: its folder; gone where it has been merged.
        state: as in its status; ``lost`` where that is a process or a job that no longer exists, or
            results that are not there or cannot be read.
        status: its last; empty where it has left none.
        silent: seconds since its last sign of life.
    """

    run_id: str
    directory: Path
    state: State
    status: Status
    silent: float = 0.0

    @property
    def label(self) -> str:
        """What people call it."""
        return self.status.label or self.run_id

    @property
    def traceback(self) -> Path | None:
        """The file that explains a failure."""
        file = self.directory / FAILURE_FILE
        return file if self.state == "failed" and file.is_file() else None


class Survey(NamedTuple):
    """All runs of an experiment, and the seconds until the last of them is done, where that can be guessed."""

    runs: Sequence[Run]
    counts: dict[State, int]
    eta_seconds: float | None

    def of(self, *states: State) -> list[Run]:
        """The runs in these states."""
        return [run for run in self.runs if run.state in states]


def survey(experiment_dir: Path, only: Sequence[str] | None = None) -> Survey:
    """Looks at every run's folder once.

    Args:
        experiment_dir: the folder that holds ``runs/``.
        only: ids of the runs to look at; those of runs that have never started are left out. All of them if None.
    """
    folder = experiment_dir / "runs"
    now = file_system_time(folder)
    try:
        names = sorted(entry.name for entry in folder.iterdir()) if only is None else list(only)
    except FileNotFoundError:
        names = []
    runs = [run for name in names if (run := _look(folder / name, now))]
    merged = compacted_runs(experiment_dir)
    seen = {run.run_id for run in runs}
    runs += [
        Run(n, folder / n, "done", Status("done")) for n in sorted(merged - seen) if only is None or n in only
    ]
    runs = [r._replace(state="done") if r.state == "lost" and _is_merged(r, merged) else r for r in runs]
    runs = _without_lost_jobs(runs)
    counts = Counter(run.state for run in runs)
    return Survey(runs, {state: counts[state] for state in STATES}, _eta(runs))


def _is_merged(run: Run, merged: Set[str]) -> bool:
    return run.run_id in merged and not (run.directory / METRICS_FILE).exists()


def _look(directory: Path, now: float) -> Run | None:
    try:
        heartbeat = (directory / STATUS_FILE).stat().st_mtime
    except OSError:
        heartbeat = now
    found = status.read(directory)
    damage = ""
    try:
        written = metrics_time(directory)
    except UnreadableError as error:
        written, damage = None, f"{error.file} cannot be read: {error.reason}"
    if found is None:
        if damage:
            return Run(directory.name, directory, "lost", Status("done", reason=damage))
        return None if written is None else Run(directory.name, directory, "done", Status("done"))
    silent = max(0.0, now - heartbeat)
    lives = is_alive(found.owner, heartbeat, now)
    if found.state == "running" and lives:
        return Run(directory.name, directory, "running", found, silent)
    # Whatever became of the process afterwards; of one that says that it is done, also where a clock was set back.
    if written is not None and (found.state == "done" or written >= found.started):
        return Run(directory.name, directory, "done", found)
    if reason := _why_lost(found, lives, damage):
        return Run(directory.name, directory, "lost", replace(found, reason=reason), silent)
    return Run(directory.name, directory, found.state, found, silent)


def _why_lost(found: Status, lives: bool, damage: str) -> str:
    """Why what a status says cannot be; empty where it can."""
    match found.state:
        case "done":
            return damage or "its metrics are not there"
        case "running":
            return f"process {found.owner.pid} on {found.owner.host} has vanished"
        case "queued" if not found.job and not lives:
            return "the command in whose list it waited has ended"
        case "queued" | "preempted" | "failed":
            return ""
        case _:
            assert_never(found.state)


def _without_lost_jobs(runs: list[Run]) -> list[Run]:
    """What waits for a job that the queue no longer knows will wait for ever."""
    waiting = {run.status.job for run in runs if run.state in ("queued", "preempted") and run.status.job}
    known = known_jobs(waiting)
    if known is None:
        return runs

    def checked(run: Run) -> Run:
        if run.state == "preempted" and run.status.job in known:
            return run._replace(state="queued")
        if run.state == "queued" and run.status.job and run.status.job not in known:
            reason = f"job {run.status.job} left the queue without running it"
            return run._replace(state="lost", status=replace(run.status, reason=reason))
        return run

    return [checked(run) for run in runs]


def _eta(runs: Sequence[Run]) -> float | None:
    """From the time that finished runs took and the pace of the running ones; as many go on at once as do now."""
    active = [run for run in runs if run.state == "running"]
    waiting = sum(run.state == "queued" for run in runs)
    if not active:
        return None if waiting else 0.0
    took = [run.status.seconds for run in runs if run.state == "done" and run.status.seconds > 0]
    mean = sum(took) / len(took) if took else None
    left = []
    for run in active:
        seconds = run.status.seconds + run.silent
        if run.status.done and run.status.total:
            left.append(seconds * (run.status.total / run.status.done - 1))
        elif mean is not None:
            left.append(max(0.0, mean - seconds))
        else:
            return None
    typical = mean if mean is not None else max(left, default=0.0)
    return max(max(left), (sum(left) + waiting * typical) / len(active))

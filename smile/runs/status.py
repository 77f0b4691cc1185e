"""What a run does now: one small file in its folder, whole or not there, written by the process that holds its lock.

``metrics.parquet`` alone says that a run is finished. A status that cannot be written is one warning and fails nothing.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from smile import stop
from smile.runs.lock import Lock, claim
from smile.runs.owner import (
    HEARTBEAT_SECONDS,
    STALE_SECONDS,
    Owner,
    file_system_time,
    is_alive,
    this_process,
)
from smile.tracking.files import write_text_atomic
from smile.tracking.parquet import metrics_time
from smile.tracking.seal import UnreadableError

__all__ = [
    "FAILURE_FILE",
    "LOST",
    "STATUS_FILE",
    "State",
    "Status",
    "has_results",
    "queue",
    "read",
    "running",
    "spent",
    "update",
    "waiting",
    "write",
]

LOST = "another process has taken the run over"
STATUS_FILE = "status.json"
FAILURE_FILE = "failure.txt"

State = Literal["queued", "running", "done", "failed", "preempted"]

NOBODY = Owner()

_logger = logging.getLogger(__name__)
_writing = threading.Lock()  # of this process, whose heartbeat is a thread


@dataclass(frozen=True)
class Status:
    """One run.

    Attributes:
        state: what it does.
        label: what people call it.
        job: of a queue, such as ``123_4``; empty where there is no queue.
        owner: the process that runs it or has run it, or in whose list it waits.
        started: when it began to do so, or to wait; seconds since the epoch, by the clock of the file system.
        seconds: since it started.
        spent: seconds of earlier attempts, slices and killed ones, since the run was last finished.
        done: steps per chain.
        total: steps per chain that it will make; 0 where it is not known yet.
        rate: steps per second, or what it does instead, for people.
        reason: why it failed or stopped, in one line.
    """

    state: State
    label: str = ""
    job: str = ""
    owner: Owner = NOBODY
    started: float = 0.0
    seconds: float = 0.0
    spent: float = 0.0
    done: int = 0
    total: int = 0
    rate: str = ""
    reason: str = ""


def read(run_dir: Path) -> Status | None:
    """The status of a run; None where there is none, or something else than a status."""
    try:
        plain = json.loads((run_dir / STATUS_FILE).read_text())
        found = Status(**plain | {"owner": Owner(*plain["owner"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if _is_valid(found) else None


def _is_valid(status: Status) -> bool:
    """Whether what was read are values that a status can have: a wrong one may be valid JSON."""
    pairs = [*zip(asdict(status).values(), asdict(Status("done")).values(), strict=True)]
    pairs += zip(status.owner, NOBODY, strict=True)
    has_types = all(
        isinstance(value, (int, float) if type(like) is float else type(like)) for value, like in pairs
    )
    return has_types and status.state in get_args(State)


def spent(last: Status | None) -> float:
    """Seconds of all attempts at what is not finished yet, of which ``last`` is the status."""
    return 0.0 if last is None or last.state == "done" else last.spent + last.seconds


def has_results(run_dir: Path, status: Status) -> bool:
    """Whether the metrics in a run's folder are those of the attempt that its status tells of, however that ended."""
    try:
        written = metrics_time(run_dir)
    except UnreadableError:
        return False
    return written is not None and written >= status.started


def write(run_dir: Path, status: Status) -> None:
    """Replaces the status of a run, whose lock the caller holds."""
    with _writing:
        _write(run_dir, status)


def update(run_dir: Path, **changes: Any) -> None:
    """Changes some fields of a run's status; nothing happens where it has none, or that of another process."""
    with _writing:
        status = read(run_dir)
        if status and status.owner in (NOBODY, this_process()):
            _write(run_dir, replace(status, **changes))


def queue(run_dir: Path, label: str, owner: Owner) -> None:
    """Says that a run waits, unless a process is at it or it waits for another that still exists.

    Args:
        run_dir: folder of the run, made where it is missing.
        label: what people call it.
        owner: the process in whose list it waits.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        with claim(run_dir) as lock:
            now = file_system_time(run_dir)
            if isinstance(lock, Lock) and not _waits(run_dir, now):
                so_far = spent(read(run_dir))
                write(run_dir, Status("queued", label, owner=owner, started=now, spent=so_far))
    except OSError as error:
        _warn(error.strerror or str(error), str(run_dir.parent))


def _waits(run_dir: Path, now: float) -> bool:
    last = read(run_dir)
    if last is None or last.state != "queued":
        return False
    return bool(last.job) or is_alive(last.owner, (run_dir / STATUS_FILE).stat().st_mtime, now)


@contextmanager
def waiting(labels: Mapping[Path, str]) -> Iterator[None]:
    """Says that runs wait in the list of this process, with a heartbeat, until the body ends.

    Args:
        labels: folder of a run -> what people call it.
    """
    for directory, label in labels.items():
        queue(directory, label, this_process())
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(STALE_SECONDS / 4):
            for directory in labels:
                last = read(directory)
                if last and (last.state, last.owner) == ("queued", this_process()):
                    with suppress(OSError):
                        os.utime(directory / STATUS_FILE)

    threading.Thread(target=beat, name="smile-waiting", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def running(run_dir: Path, label: str, job: str, lock: Lock) -> Iterator[None]:
    """Says that a run is running, with a heartbeat in status and lock, until the body ends.

    Whoever loses the lock, because its machine slept for minutes, is asked to stop.
    """
    start, ended = time.monotonic(), threading.Event()
    now, so_far = file_system_time(run_dir), spent(read(run_dir))
    write(run_dir, Status("running", label, job, this_process(), now, spent=so_far))

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            if not lock.renew():
                stop.request(LOST)
                return
            update(run_dir, seconds=round(time.monotonic() - start, 3))

    thread = threading.Thread(target=beat, name="smile-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        update(run_dir, seconds=round(time.monotonic() - start, 3))


def _write(run_dir: Path, status: Status) -> None:
    try:
        write_text_atomic(run_dir / STATUS_FILE, json.dumps(asdict(status) | {"owner": list(status.owner)}))
    except OSError as error:
        _warn(error.strerror or str(error), str(run_dir.parent))


@cache
def _warn(reason: str, folder: str) -> None:
    _logger.warning("%s: the status of runs in %s is out of date", reason, folder)

"""Which process owns something, and whether it still exists."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "HEARTBEAT_SECONDS",
    "STALE_SECONDS",
    "Owner",
    "file_system_time",
    "is_alive",
    "process",
    "same_machine",
    "this_process",
]

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0  # an owner on another host that was silent for so long is dead


class Owner(NamedTuple):
    """A process, also among those that had its number before or after it.

    Attributes:
        host: name of the machine.
        boot: changes whenever the machine starts, and between containers on machines of one name.
        pid: number of the process.
        start: clock ticks from the start of the machine to that of the process.
    """

    host: str = ""
    boot: str = ""
    pid: int = 0
    start: int = 0


def this_process() -> Owner:
    """The owner that the caller is."""
    return process(os.getpid())


def process(pid: int) -> Owner:
    """The owner that a process of this machine is."""
    return Owner(*_machine(), pid, _start(pid))


def same_machine(owner: Owner) -> bool:
    """Whether a process belongs to this machine, and to this start of it."""
    return (owner.host, owner.boot) == _machine()


def is_alive(owner: Owner, heartbeat: float, now: float) -> bool:
    """Whether a process exists: exact on this machine, from the age of its heartbeat elsewhere.

    Args:
        owner: the process.
        heartbeat: time of its last sign of life, by the clock of the file system.
        now: by the same clock, see ``file_system_time``.
    """
    if same_machine(owner):
        return owner.pid > 0 and _start(owner.pid) == owner.start
    return now - heartbeat < STALE_SECONDS


def file_system_time(directory: Path) -> float:
    """What the clock of a file system says; heartbeats are its time stamps, so that no host's own clock matters.

    Returns:
        The time stamp of a new file; the clock of this host where the directory does not let us write one.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=".clock.", suffix=".tmp")
    except OSError:
        return time.time()
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        with suppress(OSError):  # whoever owns the folder may have tidied it up
            os.unlink(name)


@cache
def _machine() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    return socket.gethostname(), f"{boot} {space}".strip()


def _start(pid: int) -> int:
    """0 where there is no such process or it has ended and only waits for its parent to notice."""
    try:
        # The name of the program, in parentheses, may contain anything.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return 0 if state in ("Z", "X") else int(fields[18])

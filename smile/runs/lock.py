"""One process per run, also on file systems that several machines share.

A lock is a file that appears with its owner in one atomic step, a hard link, and whose time stamp its owner renews. The
lock of a process that no longer exists is moved away. Nothing depends on ``flock`` alone, which some network file
systems pretend to have: it only orders those who want to take over.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from smile.runs.owner import Owner, file_system_time, is_alive, this_process

__all__ = ["LOCK_FILE", "Lock", "claim"]

LOCK_FILE = "lock"

_POLL_SECONDS = 1.0
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Lock:
    """A lock that is held."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path, self._owner = path, owner

    def renew(self) -> bool:
        """Gives a sign of life; False where another process has taken the lock, because it saw none for too long."""
        try:
            if _read(self._path) != self._owner:
                return False
            os.utime(self._path)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Lets others have it."""
        with suppress(OSError):
            if _read(self._path) == self._owner:
                self._path.unlink()


@contextmanager
def claim(directory: Path, patience_seconds: float = 0.0) -> Iterator[Lock | Owner]:
    """The lock of a run's folder for the body, or the living process that holds it.

    Args:
        directory: existing folder of the run.
        patience_seconds: how long to wait for an owner on another machine, which may be dead. One on this machine is
            known to be alive, and never waited for.

    Raises:
        OSError: where the folder cannot be written.
    """
    path, owner = directory / LOCK_FILE, this_process()
    deadline = time.monotonic() + patience_seconds
    while (holder := _take(path, owner)) is not None:
        if holder[:2] == owner[:2] or time.monotonic() >= deadline:
            yield holder
            return
        time.sleep(_POLL_SECONDS)
    lock = Lock(path, owner)
    try:
        yield lock
    finally:
        lock.release()


def _take(path: Path, owner: Owner) -> Owner | None:
    """One attempt; the living owner where there is one."""
    while not _create(path, owner):
        try:
            holder, heartbeat = _read(path), path.stat().st_mtime
        except OSError:  # released in between
            continue
        if is_alive(holder, heartbeat, file_system_time(path.parent)):
            return holder
        _remove(path, holder)
    return None


def _create(path: Path, owner: Owner) -> bool:
    temporary = path.with_name(f".{path.name}.{owner.host}.{owner.pid}.tmp")
    temporary.write_text(json.dumps(owner))
    try:
        os.link(temporary, path)
    except (FileExistsError, FileNotFoundError):  # the latter: a new owner has tidied the folder up
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_without_link(path, owner)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_without_link(path: Path, owner: Owner) -> bool:
    """Its owner appears a moment later; until then it is an unknown one on another machine."""
    try:
        with open(path, "x") as file:
            file.write(json.dumps(owner))
    except FileExistsError:
        return False
    return True


def _remove(path: Path, dead: Owner) -> None:
    """Moves a dead owner's lock away, unless somebody else has already taken it over."""
    with suppress(Timeout), FileLock(path.with_name(f".{path.name}.takeover"), timeout=5):
        moved = path.with_name(f".{path.name}.{this_process().pid}.dead")
        with suppress(OSError):
            if _read(path) != dead:
                return
            path.rename(moved)
            if _read(moved) != dead:  # only where flock is a pretence: a new owner's, which goes back
                os.link(moved, path)
        moved.unlink(missing_ok=True)


def _read(path: Path) -> Owner:
    try:
        return Owner(*json.loads(path.read_text()))
    except (ValueError, TypeError):
        return Owner()  # whoever wrote it is no process of ours

"""One process per run, also on file systems that several machines share.

A lock is a file that appears with its owner in one atomic step, a hard link, and whose time stamp its owner renews. The
lock of a process that no longer exists is moved away. Nothing depends on ``flock`` alone, which some network file
systems pretend to have: it only orders those who want to take over.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from smile import stop
from smile.runs.owner import HEARTBEAT_SECONDS, STALE_SECONDS, Owner, file_system_time, is_alive, this_process

__all__ = ["LOCK_FILE", "Lock", "claim", "holder"]

LOCK_FILE = "lock"

_LONGEST_BYTES = 4096  # of a lock
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Lock:
    """A lock that is held."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path, self._owner, self._renewed = path, owner, time.monotonic()

    def renew(self) -> bool:
        """Gives a sign of life; False where another process has taken the lock or may take it, for want of signs."""
        try:
            if _read(self._path).owner != self._owner:
                return False
            os.utime(self._path)
        except FileNotFoundError:
            return False
        except OSError:  # a network file system has its moments
            return time.monotonic() - self._renewed < STALE_SECONDS - HEARTBEAT_SECONDS
        self._renewed = time.monotonic()
        return True

    def release(self) -> None:
        """Lets others have it."""
        with suppress(OSError):
            if _read(self._path).owner == self._owner:
                self._path.unlink()


@contextmanager
def claim(directory: Path) -> Iterator[Lock | Owner]:
    """The lock of a run's folder for the body, or the living process that holds it.

    Args:
        directory: existing folder of the run.

    Raises:
        OSError: where the folder cannot be written, or what bears the name of the lock is none that can be read.
    """
    path, owner = directory / LOCK_FILE, this_process()
    if (other := _take(path, owner)) is not None:
        yield other
        return
    lock = Lock(path, owner)
    try:
        yield lock
    finally:
        lock.release()


def holder(directory: Path) -> Owner | None:
    """The living process that holds the lock of a run's folder.

    Raises:
        OSError: where what bears the name of the lock is none that can be read.
    """
    try:
        found = _read(directory / LOCK_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.owner if is_alive(*found, file_system_time(directory)) else None


class _Found(NamedTuple):
    owner: Owner
    heartbeat: float


def _take(path: Path, owner: Owner) -> Owner | None:
    """One attempt; the living owner where there is one."""
    while not _create(path, owner):
        stop.check()
        try:
            found = _read(path)
        except FileNotFoundError:  # released in between
            continue
        if is_alive(*found, file_system_time(path.parent)):
            return found.owner
        _remove(path, found.owner)
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
        with suppress(FileNotFoundError):
            if _read(path).owner != dead:
                return
            path.rename(moved)
            if _read(moved).owner != dead:  # only where flock is a pretence: a new owner's, which goes back
                _put_back(moved, path)
        moved.unlink(missing_ok=True)


def _put_back(moved: Path, path: Path) -> None:
    try:
        os.link(moved, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not path.exists():
            moved.rename(path)


def _read(path: Path) -> _Found:
    """The owner that a lock names, and its last sign of life; it follows no link and waits for no writer.

    Raises:
        FileNotFoundError: where there is none.
        OSError: where it is something else than a file, or not ours to read.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "remove what lies where a lock should be", str(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        content = os.read(descriptor, _LONGEST_BYTES)
    finally:
        os.close(descriptor)
    try:
        return _Found(Owner(*json.loads(content)), found.st_mtime)
    except (ValueError, TypeError):
        return _Found(Owner(), found.st_mtime)  # whoever wrote it is no process of ours

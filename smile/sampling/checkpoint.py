"""Checkpoints of a run: orbax writes them whole or not at all; the newest that is as it was written counts."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from smile import stop
from smile.sampling.devices import gather, gather_each, on_first_host

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager

__all__ = ["Checkpoints"]

_logger = logging.getLogger(__name__)

_KEPT = 2


class Checkpoints:
    """Periodic checkpoints in one folder, which the first host writes and reads where there are several.

    Args:
        directory: of the checkpoints; made at the first save.
        every_seconds: how long a killed run may have to repeat.
        shared: whether all hosts hold parts of what is saved, and call every method together.
    """

    def __init__(self, directory: Path, every_seconds: float, *, shared: bool = True) -> None:
        self._directory = directory.resolve()
        self._every_seconds = every_seconds
        self._is_shared = shared and jax.process_count() > 1
        self._last = time.monotonic()
        self._looked: float | None = None

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest sound checkpoint; damaged ones are removed, and the one before is used.

        Args:
            like: a tree with the structure, shapes, dtypes and devices of what was saved.

        Returns:
            Its index and the tree, or None where there is none.
        """
        if not self._is_shared:
            return self._restore(like)
        host = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)

        def read() -> tuple[np.ndarray, Any]:
            index, tree = self._restore(host) or (-1, host)
            return np.array(index), tree

        index, tree = on_first_host(read, (np.array(0), host))
        if index < 0:
            return None
        return int(index), jax.tree.map(_placed_like, tree, like)

    @stop.uninterrupted()
    def _restore(self, like: Any) -> tuple[int, Any] | None:
        if not self._directory.is_dir():
            return None
        import orbax.checkpoint as ocp  # here and below: it takes as long to import as a wrong option to answer

        with self._manager() as manager:
            for index in sorted(manager.all_steps(), reverse=True):
                try:
                    self._check(index)
                    return index, manager.restore(index, args=ocp.args.StandardRestore(like))
                except Exception as error:  # whatever a damaged file makes orbax raise
                    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                    _logger.warning("checkpoint %d in %s is unreadable: %s", index, self._directory, reason)
                    shutil.rmtree(self._directory / str(index), ignore_errors=True)
        return None

    def save_if_due(self, index: int, tree: Any) -> None:
        """Saves where the last checkpoint is older than ``every_seconds``, or the run has been asked to stop.

        It is also asked here, where the next chunk, if it takes as long as the last one, ends after its slice of time.
        The first chunk of a process is none to go by: it may hold the compilation.

        Raises:
            Preempted: where it was asked, afterwards.
        """
        now = time.monotonic()
        stop.request_if_over(0.0 if self._looked is None else now - self._looked)
        self._looked = now
        is_asked = self._any_host(stop.requested())
        if is_asked or self._any_host(time.monotonic() - self._last >= self._every_seconds):
            self.save(index, tree)
        if is_asked and not stop.requested():
            stop.request("a request to another host")
        stop.check()

    def save(self, index: int, tree: Any) -> None:
        """Saves, whenever the last one was."""
        tree = gather(tree) if self._is_shared else tree
        if not self._is_shared or jax.process_index() == 0:
            self._save(index, tree)
        self._last = time.monotonic()

    def _any_host(self, condition: bool) -> bool:
        return bool(gather_each(np.array(condition)).any()) if self._is_shared else condition

    def clear(self) -> None:
        """Removes them all: the run is finished."""
        shutil.rmtree(self._directory, ignore_errors=True)

    @stop.uninterrupted()
    def _save(self, index: int, tree: Any) -> None:
        """A checkpoint that cannot be written does not end a run that may need none."""
        import orbax.checkpoint as ocp

        try:
            with self._manager() as manager:
                manager.save(index, args=ocp.args.StandardSave(tree))
                kept = {str(step) for step in manager.all_steps()}
            self._digest_file(index).write_text(_digest(self._directory / str(index)))
            for file in self._directory.glob("*.sha256"):
                if file.stem not in kept:
                    file.unlink()
        except Exception as error:  # of the operating system, or what orbax makes of it
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            _logger.warning("no checkpoint in %s: %s", self._directory, reason)

    def _check(self, index: int) -> None:
        """Raises ValueError where a checkpoint is not what was written, or a kill came before its digest."""
        file = self._digest_file(index)
        if not file.is_file():
            raise ValueError("it has no digest")
        if file.read_text() != _digest(self._directory / str(index)):
            raise ValueError("it differs from what was written")

    def _digest_file(self, index: int) -> Path:
        return self._directory / f"{index}.sha256"

    @contextmanager
    def _manager(self) -> Iterator[CheckpointManager]:
        import orbax.checkpoint as ocp

        self._directory.mkdir(parents=True, exist_ok=True)  # orbax makes it only for all hosts together
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT,
            create=False,
            enable_async_checkpointing=False,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=jax.process_index(), active_processes={jax.process_index()}
            ),
        )
        with _quiet(), ocp.CheckpointManager(self._directory, options=options) as manager:
            yield manager


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of orbax, which prints the traceback of what it raises, too."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_no_task_of_orbax(record: logging.LogRecord) -> bool:
    """Tasks that orbax does not ask how they ended say so when they are collected; tensorstore's have no trace."""
    if not record.exc_info or not record.exc_info[1]:
        return True
    names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(record.exc_info[2])]
    return bool(names) and not any(name.startswith("orbax.") for name in names)


logging.getLogger("asyncio").addFilter(_is_no_task_of_orbax)


def _placed_like(value: Any, like: Any) -> Any:
    if not isinstance(like, jax.Array):
        return np.array(value)
    return jax.jit(lambda value: value, out_shardings=like.sharding)(np.asarray(value))


def _digest(folder: Path) -> str:
    """Of all files: orbax notices missing bytes, but not all wrong ones."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(file.relative_to(folder)).encode())
        with open(file, "rb") as content:
            found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()

"""Checkpoints of a run: orbax writes them whole or not at all; the newest that can be read counts."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

__all__ = ["Checkpoints"]

_logger = logging.getLogger(__name__)

_KEPT = 2


class Checkpoints:
    """Periodic checkpoints in one folder.

    Args:
        directory: of the checkpoints; made at the first save.
        every_seconds: how long a killed run may have to repeat.
    """

    def __init__(self, directory: Path, every_seconds: float) -> None:
        self._directory = directory.resolve()
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest readable checkpoint.

        Args:
            like: a tree with the structure, shapes, dtypes and devices of what was saved.

        Returns:
            Its index and the tree, or None where there is none.
        """
        if not self._directory.is_dir():
            return None
        with self._manager() as manager:
            for index in sorted(manager.all_steps(), reverse=True):
                try:
                    return index, manager.restore(index, args=ocp.args.StandardRestore(like))
                except Exception as error:  # whatever a damaged file makes orbax raise
                    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                    _logger.warning("checkpoint %d in %s is unreadable: %s", index, self._directory, reason)
                    shutil.rmtree(self._directory / str(index), ignore_errors=True)
        return None

    def save_if_due(self, index: int, tree: Any) -> None:
        """Saves where the last checkpoint is older than ``every_seconds``."""
        if time.monotonic() - self._last < self._every_seconds:
            return
        with self._manager() as manager:
            manager.save(index, args=ocp.args.StandardSave(tree))
        self._last = time.monotonic()

    def clear(self) -> None:
        """Removes them all: the run is finished."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT, create=True, enable_async_checkpointing=False
        )
        return ocp.CheckpointManager(self._directory, options=options)

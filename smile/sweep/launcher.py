"""Where the runs of a command go: what ``hydra/launcher=`` means here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smile.extras import need
from smile.options import ConfigError

__all__ = ["Launcher", "find_launcher"]

_BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
_CORES = "smile.sweep.workers.supervise"
_LOCAL = "smile.sweep.background.start"
_SLURM = "smile.sweep.submit.submit"


@dataclass(frozen=True)
class Launcher:
    """Where runs go.

    Attributes:
        kind: ``here`` in the foreground, ``background`` of this machine, ``slurm``, or a ``plugin`` of Hydra's, which
            does what it likes.
        at_once: how many runs go on at a time.
        runs_per_job: of a Slurm job, how many runs share it and its GPUs.
        options: the fields of ``hydra.launcher``.
    """

    kind: Literal["here", "background", "slurm", "plugin"]
    at_once: int
    runs_per_job: int
    options: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether Hydra knows nothing of it."""
        return self.options.get("_target_") in (_CORES, _LOCAL, _SLURM)


def find_launcher(options: Mapping[str, Any]) -> Launcher:
    """The launcher that a command asks for.

    Args:
        options: ``hydra.launcher``, without what its interpolations stand for.

    Raises:
        ConfigError: where a number of processes is none, or what hands runs to a Slurm is not installed.
    """
    cores = len(os.sched_getaffinity(0))
    target = options.get("_target_")
    if target == _BASIC:
        return Launcher("here", 1, 1, options)
    if target == _CORES:
        valid = "a number of processes, or -1 for one per core, -2 for one less"
        given = _number(options, "n_jobs", lambda number: number != 0, valid)
        return Launcher("here", given if given > 0 else max(1, cores + 1 + given), 1, options)
    if target == _LOCAL:
        valid = "a number of processes, or 0 for one per core"
        given = _number(options, "tasks_per_node", lambda number: number >= 0, valid)
        return Launcher("background", given or cores, 1, options)
    if target == _SLURM:
        need("submitit", "a launcher for Slurm")
        per_job, jobs = (
            _number(options, name, lambda number: number > 0, "a whole number >= 1")
            for name in ("tasks_per_node", "array_parallelism")
        )
        return Launcher("slurm", per_job * jobs, per_job, options)
    return Launcher("plugin", 1, 1, options)


def _number(options: Mapping[str, Any], name: str, is_valid: Callable[[int], bool], valid: str) -> int:
    given = options.get(name)
    if not isinstance(given, int) or isinstance(given, bool) or not is_valid(given):
        raise ConfigError(f"hydra.launcher.{name}", given, valid)
    return given

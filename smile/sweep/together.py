"""Commands that do the same sweep at the same time help each other, and all of them end with the same answer."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from smile import stop
from smile.config.run import RunConfig
from smile.runs import status
from smile.runs.lock import holder
from smile.runs.owner import Owner, file_system_time
from smile.sweep.attempt import Outcome, is_done, run_dir
from smile.sweep.frozen import Job, freeze, submitted, thaw
from smile.sweep.workers import has_ended, supervise, work
from smile.tracking.console import format_seconds

__all__ = ["run_all", "run_frozen", "who"]

_logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


def run_all(jobs: Sequence[Job], at_once: int, since: float) -> tuple[set[int], list[Outcome]]:
    """The runs of a command, in the foreground.

    Args:
        jobs: all of them, one at least; a single run that another process is at is left to it.
        at_once: how many processes; with one run left or one process, it is this one.
        since: time of the command, by the clock of the file system.

    Returns:
        The numbers of the processes that computed, and how the attempts of this one ended.

    Raises:
        Preempted: where it was asked to stop.
    """
    configs = [job.config for job in jobs]
    left = {run_dir(config): config.label for config in configs if not is_done(config)}
    outcomes: list[Outcome] = []
    if len(configs) == 1:
        return {os.getpid()}, work(configs, [0], since)
    with status.waiting(left):
        if at_once > 1 and len(left) > 1:
            return run_frozen(freeze(jobs), min(at_once, len(left))), outcomes

        def do() -> None:
            outcomes.extend(work(configs, range(len(configs)), since))

        _until_ended(configs, since, do)
    return {os.getpid()}, outcomes


def run_frozen(folder: Path, at_once: int) -> set[int]:
    """The runs of a submission, by so many processes at once.

    Returns:
        Their numbers.
    """
    configs, pids = thaw(folder), set[int]()
    _until_ended(configs, submitted(folder), lambda: pids.update(supervise(folder, at_once)))
    return pids


def who(run_dir: Path, owner: Owner) -> str:
    """A process that is at a run, and since when, for people."""
    last = status.read(run_dir)
    since = ""
    if last and last.owner == owner and last.state == "running":
        began = datetime.fromtimestamp(last.started).isoformat(" ", "seconds")
        since = f" since {began} ({format_seconds(file_system_time(run_dir) - last.started)})"
    return f"process {owner.pid} on {owner.host or 'another machine'}{since}"


def _until_ended(configs: Sequence[RunConfig], since: float, do: Callable[[], None]) -> None:
    """Does runs, waits for those that others are at, and does again what a process that died has left undone."""
    do()
    held = _held(configs, since)
    if held:
        shown = "; ".join(f"{label}: {who(directory, owner)}" for directory, (label, owner) in held.items())
        _logger.info("waiting for %d runs that others are at: %s", len(held), shown)
    while held:
        time.sleep(_POLL_SECONDS)
        stop.request_if_over()
        stop.check()
        still = _held(configs, since)
        freed = held.keys() - still.keys()
        if any(run_dir(config) in freed and not has_ended(config, since) for config in configs):
            do()
            still = _held(configs, since)
        held = still


def _held(configs: Sequence[RunConfig], since: float) -> dict[Path, tuple[str, Owner]]:
    """Folder -> label and living process of the runs that have not ended."""
    found = {}
    for config in configs:
        directory = run_dir(config)
        if is_done(config) or has_ended(config, since):
            continue
        try:
            if owner := holder(directory):
                found[directory] = (config.label, owner)
        except OSError:  # what lies there is no lock; the attempt has said so
            continue
    return found

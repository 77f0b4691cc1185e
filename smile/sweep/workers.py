"""Several processes that work off one frozen list of runs, on one machine or on many that share a file system.

There is no queue: every process goes through the list and takes what is neither done nor taken. One that is killed
takes nobody down with it; ``supervise`` replaces it, and says which run it was at.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smile import stop
from smile.config.run import RunConfig
from smile.runs import progress, status
from smile.runs.owner import STALE_SECONDS
from smile.runs.status import FAILURE_FILE
from smile.sweep.attempt import Outcome, attempt, is_done, run_dir
from smile.sweep.frozen import JOBS_FILE, thaw
from smile.tracking import write_text_atomic

__all__ = ["supervise", "work"]

_logger = logging.getLogger("smile.sweep.workers")  # also where this file is __main__

_POLL_SECONDS = 0.1


def work(
    folder: Path, indices: Sequence[int], *, shares_machine: bool, waits: bool = False, parent: int = 0
) -> list[Outcome]:
    """Takes runs of a submission until none is left.

    Args:
        folder: of the submission.
        indices: which runs of it, in the order in which this process looks at them.
        shares_machine: whether other processes compute on this machine.
        waits: whether to come back to runs that a process on another machine held, which may be dead.
        parent: process without which this one is not to go on; 0: none.

    Returns:
        How its attempts ended.

    Raises:
        Preempted: where it was asked to stop.
    """
    configs = thaw(folder)
    outcomes: dict[int, Outcome] = {}
    for patience in (0.0, STALE_SECONDS + 10) if waits else (0.0,):
        for index in indices:
            if parent and os.getppid() != parent:
                raise stop.Preempted("the command that started it has ended")
            if index in outcomes and outcomes[index].state != "taken":
                continue
            if _has_ended(configs[index], folder):
                continue
            label = f"[{index + 1}/{len(configs)}] {configs[index].label}"
            was_done = is_done(configs[index])
            outcome = attempt(configs[index], label, patience_seconds=patience, shares_machine=shares_machine)
            outcomes[index] = outcome
            if not was_done and outcome.state != "taken" and not sys.stderr.isatty():
                _logger.info("%s: %s", label, _describe(configs[index], outcome))
    return list(outcomes.values())


def supervise(folder: Path, num_workers: int) -> None:
    """Keeps processes at the runs of a submission until each was done, failed or is taken by somebody else.

    Args:
        folder: of the submission.
        num_workers: how many at once.
    """
    configs = thaw(folder)
    num_workers = min(num_workers, len(configs))
    shares = ["--shares-machine"] if num_workers > 1 else []
    command = [sys.executable, "-m", "smile.sweep.workers", str(folder), *shares]

    def start(place: int) -> subprocess.Popen[bytes]:
        first = place * len(configs) // num_workers
        return subprocess.Popen([*command, f"--first={first}", f"--parent={os.getpid()}"])

    workers = {place: start(place) for place in range(num_workers)}
    try:
        while workers:
            time.sleep(_POLL_SECONDS)
            stop.check()
            for place, worker in list(workers.items()):
                if (code := worker.poll()) is None:
                    continue
                del workers[place]
                if code < 0 and _blame(configs, worker.pid, -code):
                    workers[place] = start(place)
    except BaseException:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.wait()
        raise


def _blame(configs: Sequence[RunConfig], pid: int, number: int) -> bool:
    """The run that a killed process was at has failed; False where it was at none, as would be the next."""
    for config in configs:
        directory = run_dir(config)
        last = status.read(directory)
        if last and last.state == "running" and last.owner.pid == pid:
            hint = ", for lack of memory?" if number == 9 else ""
            reason = f"killed by signal {number}{hint}"
            try:
                write_text_atomic(directory / FAILURE_FILE, f"{reason}\n")
            except OSError:
                _logger.error("%s: %s", config.label, reason)
            status.write(directory, replace(last, state="failed", reason=reason))
            return True
    _logger.error("a worker was killed by signal %d before it had a run", number)
    return False


def _has_ended(config: RunConfig, folder: Path) -> bool:
    """Whether some process has tried the run since the submission, which must not be tried again or forced twice."""
    last = status.read(run_dir(config))
    submitted = (folder / JOBS_FILE).stat().st_mtime
    return last is not None and last.state in ("done", "failed") and last.started >= submitted


def _describe(config: RunConfig, outcome: Outcome) -> str:
    return f"failed: {outcome.reason}" if outcome.state == "failed" else progress.outcome(run_dir(config))


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m smile.sweep.workers``: one process; returns 0, or 143 where it was asked to stop."""
    parser = argparse.ArgumentParser(prog="smile.sweep.workers", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--shares-machine", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("smile").setLevel(logging.INFO)
    number = len(thaw(options.folder))
    order = [(options.first + index) % number for index in range(number)]
    try:
        with stop.listening():
            work(options.folder, order, shares_machine=options.shares_machine, parent=options.parent)
    except stop.Preempted:
        return 143
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

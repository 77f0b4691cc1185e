"""Several processes that work off one frozen list of runs, on one machine or on many that share a file system.

There is no queue: every process goes through the list and takes what is neither done nor taken. One that is killed
takes nobody down with it; ``supervise`` replaces it, and says which run it was at.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smile import stop
from smile.config.run import RunConfig
from smile.runs import progress, status
from smile.runs.lock import Lock, claim
from smile.runs.owner import same_machine
from smile.runs.status import FAILURE_FILE
from smile.sweep.attempt import FOUND, Outcome, attempt, is_done, run_dir
from smile.sweep.frozen import submitted, thaw
from smile.tracking import write_text_atomic

__all__ = ["OUT_OF_TIME", "has_ended", "supervise", "work"]

_logger = logging.getLogger("smile.sweep.workers")  # also where this file is __main__

_POLL_SECONDS = 0.1
_RETRY_SECONDS = 2.0
OUT_OF_TIME = 4  # exit code where the slice of time has ended
_MOST_DEATHS = 5  # in a row, of processes that had not come to a run


def work(
    configs: Sequence[RunConfig],
    order: Sequence[int],
    since: float,
    *,
    shares_machine: bool = False,
    patience_seconds: float = 0.0,
) -> list[Outcome]:
    """Takes runs of a list until none is left.

    Args:
        configs: of all runs of the list.
        order: which of them, as this process looks at them.
        since: time of the command, by the clock of the file system; a run that ended later is not tried again.
        shares_machine: whether other processes compute on this machine.
        patience_seconds: how long to come back to runs that another process is at, which may die.

    Returns:
        How its attempts ended.

    Raises:
        Preempted: where it was asked to stop.
    """
    outcomes: dict[int, Outcome] = {}
    deadline = time.monotonic() + patience_seconds
    left, has_begun = list(order), False
    while True:
        for index in left:
            if not is_done(configs[index]):
                if has_begun:  # a slice of time does something, however short it is
                    stop.request_if_over()
                has_begun = True
            stop.check()
            if has_ended(configs[index], since):
                continue
            label = f"[{index + 1}/{len(configs)}] " if len(configs) > 1 else ""
            outcomes[index] = _work(
                configs[index], label + configs[index].label, shares_machine, len(configs) < 2
            )
        left = [index for index in left if index in outcomes and outcomes[index].state == "taken"]
        if not left or time.monotonic() >= deadline:
            return list(outcomes.values())
        time.sleep(_RETRY_SECONDS)


def _work(config: RunConfig, label: str, shares_machine: bool, alone: bool) -> Outcome:
    """One attempt, and a line about it where no terminal shows it."""
    try:
        outcome = attempt(config, label, shares_machine=shares_machine)
    except BaseException:
        if not alone and not sys.stderr.isatty():
            _logger.info("%s: interrupted", label)
        raise
    if alone and outcome.state == "failed":
        _logger.error("%s", outcome.reason)
    elif (
        not alone
        and outcome.state in ("done", "failed")
        and outcome.reason != FOUND
        and not sys.stderr.isatty()
    ):
        _logger.info("%s: %s", label, _describe(config, outcome))
    return outcome


def has_ended(config: RunConfig, since: float) -> bool:
    """Whether some process has tried the run since then, which must not be tried again or forced twice."""
    last = status.read(run_dir(config))
    return last is not None and last.state in ("done", "failed") and last.started >= since


def supervise(folder: Path, num_workers: int) -> set[int]:
    """Keeps processes at the runs of a submission until each was done, failed or is taken by somebody else.

    Args:
        folder: of the submission.
        num_workers: how many at once.

    Returns:
        The numbers of the processes.

    Raises:
        Preempted: where it was asked to stop, or one of them had no time left.
    """
    configs = thaw(folder)
    num_workers = min(num_workers, len(configs))
    shares = ["--shares-machine"] if num_workers > 1 else []
    until = [] if math.isinf(stop.deadline()) else [f"--until={stop.deadline()}"]
    # -P: a queue.py in the folder where the user is must not stand in for Python's own.
    command = [sys.executable, "-P", "-m", "smile.sweep.workers", str(folder), *shares, *until]
    pids = set()

    def start(place: int) -> subprocess.Popen[bytes]:
        first = place * len(configs) // num_workers
        # Ctrl-C reaches workers, too, and waits until they have imported what answers it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            worker = subprocess.Popen([*command, f"--first={first}", f"--parent={os.getpid()}"])
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        pids.add(worker.pid)
        return worker

    workers = {place: start(place) for place in range(num_workers)}
    deaths, is_out_of_time = 0, False
    try:
        while workers:
            time.sleep(_POLL_SECONDS)
            stop.check()
            for place, worker in list(workers.items()):
                if (code := worker.poll()) is None:
                    continue
                del workers[place]
                if code < 0:
                    deaths = 0 if _blame(configs, worker.pid, -code) else deaths + 1
                    if stop.is_over():
                        is_out_of_time = True
                    elif deaths < _MOST_DEATHS:
                        workers[place] = start(place)
                is_out_of_time |= code == OUT_OF_TIME
    except BaseException:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.wait()
        raise
    if is_out_of_time:
        stop.request(stop.OUT_OF_TIME)
        stop.check()
    return pids


def _blame(configs: Sequence[RunConfig], pid: int, number: int) -> bool:
    """Marks the run of a worker that was killed; whether it had one."""
    for config in configs:
        directory = run_dir(config)
        last = status.read(directory)
        if last and last.state == "running" and last.owner.pid == pid and same_machine(last.owner):
            hint = ", for lack of memory?" if number == 9 else ""
            try:
                _mark(directory, f"killed by signal {number}{hint}")
            except OSError as error:
                _logger.error("%s: killed by signal %d%s; %s", config.label, number, hint, error.strerror)
            return True
    _logger.error("a worker was killed by signal %d before it had a run", number)
    return False


def _mark(directory: Path, reason: str) -> None:
    """A dead worker's run has failed, unless its results are there or another process has taken it over."""
    with claim(directory) as lock:
        last = status.read(directory)
        if not isinstance(lock, Lock) or last is None or last.state != "running":
            return
        if status.has_results(directory, last):
            status.write(directory, replace(last, state="done"))
            return
        status.write(directory, replace(last, state="failed", reason=reason))
        write_text_atomic(directory / FAILURE_FILE, f"{reason}\n")


def _describe(config: RunConfig, outcome: Outcome) -> str:
    return f"failed: {outcome.reason}" if outcome.state == "failed" else progress.outcome(run_dir(config))


def _watch(parent: int) -> None:
    """Asks this process to stop when the one that started it has ended, however it did."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        stop.request("the command that started it has ended")

    threading.Thread(target=look, name="smile-parent", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m smile.sweep.workers``: one process; returns 0, 143 (asked to stop) or 4 (the end of a slice)."""
    parser = argparse.ArgumentParser(prog="smile.sweep.workers", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--shares-machine", action="store_true")
    parser.add_argument("--until", type=float, default=math.inf)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("smile").setLevel(logging.INFO)
    try:
        with stop.limited(options.until), stop.listening():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            if options.parent:
                _watch(options.parent)
            configs = thaw(options.folder)
            order = [(options.first + index) % len(configs) for index in range(len(configs))]
            work(configs, order, submitted(options.folder), shares_machine=options.shares_machine)
    except stop.Preempted as request:
        return OUT_OF_TIME if str(request) == stop.OUT_OF_TIME else 143
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:  # of the list: an attempt at a run raises none
        _logger.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

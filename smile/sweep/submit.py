"""Hands a frozen sweep to a Slurm, and returns at once.

submitit writes the batch script, the job array and the requeueing after a time limit. Its pickles hold the folder of
the submission and some numbers, nothing else: jobs read ``jobs.json``.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smile import stop
from smile.options import ConfigError
from smile.runs import status
from smile.runs.lock import Lock, claim
from smile.runs.owner import STALE_SECONDS, this_process
from smile.runs.status import NOBODY, Status
from smile.sweep.attempt import run_dir
from smile.sweep.frozen import Job, freeze, submitted, thaw
from smile.sweep.launcher import Launcher
from smile.sweep.workers import work

__all__ = ["SCRATCH_FOLDER", "submit"]

SCRATCH_FOLDER = ".submitit"  # in that of the submission
_MARGIN_SECONDS = 20  # before Slurm kills, for a run that does not come to the end of its chunk
_PATIENCE_SECONDS = (
    STALE_SECONDS + 10
)  # with a run that a process on another machine holds, which may be dead


@dataclass(frozen=True)
class _Task:
    """What one process of a job does; submitit pickles it.

    Attributes:
        folder: of the submission.
        indices: the runs that the processes of the job share.
        signal_delay_s: between the announcement and the end.
    """

    folder: Path
    indices: tuple[int, ...]
    signal_delay_s: int

    def __call__(self) -> None:
        _configure_logging()
        requeue = signal.getsignal(
            signal.SIGUSR2
        )  # submitit's, which exits; it must wait for a last checkpoint
        assert callable(requeue)
        grace = max(1, self.signal_delay_s - _MARGIN_SECONDS)
        try:
            with stop.listening(lambda: requeue(signal.SIGUSR2, None), grace):
                self._work()
        except stop.Preempted as request:
            if str(request) == signal.SIGUSR2.name:
                self._wait_in_queue()
                requeue(signal.SIGUSR2, None)
            sys.exit(128 + signal.SIGTERM)

    def _wait_in_queue(self) -> None:
        """Runs that stopped for the time limit wait again, which nobody should have to ask a busy queue for."""
        configs = thaw(self.folder)
        for directory in (run_dir(configs[index]) for index in self.indices):
            last = status.read(directory)
            if last and last.state == "preempted":
                waits = Status("queued", last.label, last.job, started=last.started, spent=status.spent(last))
                status.write(directory, waits)

    def _work(self) -> None:
        rank, count = int(os.environ.get("SLURM_PROCID", "0")), len(self.indices)
        order = [self.indices[(rank + place) % count] for place in range(count)]
        outcomes = work(
            thaw(self.folder),
            order,
            submitted(self.folder),
            shares_machine=count > 1,
            patience_seconds=_PATIENCE_SECONDS,
        )
        if failures := [outcome.reason for outcome in outcomes if outcome.state == "failed"]:
            # so that the queue's own accounting tells the truth
            raise SystemExit(f"{len(failures)} of {count} runs failed: {failures[0]}")

    def checkpoint(self) -> Any:
        """What submitit runs after a requeue: the same, which goes on from the checkpoints of its runs."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def submit(jobs: Sequence[Job], launcher: Launcher) -> tuple[str, Path]:
    """Freezes and queues runs.

    Args:
        jobs: those to do.
        launcher: a Slurm's.

    Returns:
        What the queue calls it, and the folder of the submission.

    Raises:
        ConfigError: where the queue refuses; nothing is queued then.
    """
    import submitit

    options = dict(launcher.options)
    options.pop("submitit_folder", None)
    folder = freeze(jobs).resolve()
    max_num_timeout = options.pop("max_num_timeout", 0)
    per_job, delay = launcher.runs_per_job, int(options.get("signal_delay_s", 0))
    options["tasks_per_node"] = min(per_job, len(jobs))
    tasks = [
        _Task(folder, tuple(range(first, min(first + per_job, len(jobs)))), delay)
        for first in range(0, len(jobs), per_job)
    ]
    for (
        job
    ) in jobs:  # of this process until the queue has taken them, so that nobody waits for what it never got
        status.queue(run_dir(job.config), job.config.label, this_process())
    try:
        executor = submitit.AutoExecutor(
            folder / SCRATCH_FOLDER / "%j",
            cluster="slurm",
            slurm_max_num_timeout=max_num_timeout,
            # -P: a queue.py in the folder where the user is must not stand in for Python's own
            slurm_python=f"{shlex.quote(sys.executable)} -P",
        )
        executor.update_parameters(**_prefixed(options))
        queued = executor.submit_array([_callable(task) for task in tasks])
    except Exception as error:  # sbatch is missing or refuses an option
        for job in jobs:
            status.update(run_dir(job.config), state="failed", reason="could not be queued")
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ConfigError("hydra/launcher", "slurm", f"what the queue accepts; {reason}") from None
    for task, entry in zip(tasks, queued, strict=True):
        for index in task.indices:
            _name_job(run_dir(jobs[index].config), entry.job_id)
    return queued[0].job_id.partition("_")[0], folder


def _callable(task: _Task) -> Callable[[], None]:
    return task


def _name_job(directory: Path, job: str) -> None:
    """From now on the run waits for the queue, and no longer for this process, unless it has started since."""
    with claim(directory) as lock:
        last = status.read(directory)
        if isinstance(lock, Lock) and last and (last.state, last.owner) == ("queued", this_process()):
            status.write(directory, replace(last, job=job, owner=NOBODY))


def _prefixed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Submitit's names: what every cluster knows, and the others with the name of theirs in front."""
    common = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name",
              "stderr_to_stdout")  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None and not key.startswith("_")}
    return {key if key in common else f"slurm_{key}": value for key, value in given.items()}


def _configure_logging() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("smile").setLevel(logging.INFO)

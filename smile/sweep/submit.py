"""Hands a frozen sweep to a Slurm, or to processes in the background, and returns at once.

submitit writes the batch script, the job array and the requeueing after a time limit. Its pickles hold the folder of
the submission and some numbers, nothing else: jobs read ``jobs.json``.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smile import stop
from smile.options import ConfigError
from smile.runs import status
from smile.runs.status import Status
from smile.sweep.attempt import run_dir
from smile.sweep.frozen import Job, freeze, thaw
from smile.sweep.workers import supervise, work

__all__ = ["SCRATCH_FOLDER", "Launcher", "submit"]

SCRATCH_FOLDER = ".submitit"  # in that of the submission
_MARGIN_SECONDS = 20  # before Slurm kills, for a run that does not come to the end of its chunk


@dataclass(frozen=True)
class Launcher:
    """One of hydra-submitit-launcher's.

    Attributes:
        cluster: ``slurm`` or ``local``.
        options: its fields, as ``hydra/launcher=submitit_slurm`` has them.
    """

    cluster: str
    options: Mapping[str, Any]

    @property
    def runs_per_job(self) -> int:
        """How many runs share a job, and its GPUs; on this machine, how many go on at once."""
        return int(self.options.get("tasks_per_node") or len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class _Task:
    """What one process of a job does; submitit pickles it.

    Attributes:
        folder: of the submission.
        indices: the runs that the processes of the job share.
        num_workers: processes to start, where it is none of several processes that a queue starts.
        signal_delay_s: between the announcement and the end.
    """

    folder: Path
    indices: tuple[int, ...]
    num_workers: int
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
                status.write(directory, Status("queued", last.label, job=last.job))

    def _work(self) -> None:
        if self.num_workers:
            supervise(self.folder, self.num_workers)
            return
        rank, count = int(os.environ.get("SLURM_PROCID", "0")), len(self.indices)
        order = [self.indices[(rank + place) % count] for place in range(count)]
        outcomes = work(self.folder, order, shares_machine=count > 1, waits=True)
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
        launcher: where.

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
    if launcher.cluster == "local":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does: what starts now outlives the terminal
        options["tasks_per_node"] = 1
        tasks = [_Task(folder, tuple(range(len(jobs))), per_job, delay)]
    else:
        options["tasks_per_node"] = min(per_job, len(jobs))
        groups = range(0, len(jobs), per_job)
        tasks = [
            _Task(folder, tuple(range(first, min(first + per_job, len(jobs)))), 0, delay) for first in groups
        ]
    for job in jobs:
        directory = run_dir(job.config)
        directory.mkdir(parents=True, exist_ok=True)
        status.write(directory, Status("queued", job.config.label))
    init = {"slurm_max_num_timeout": max_num_timeout} if launcher.cluster == "slurm" else {}
    try:
        executor = submitit.AutoExecutor(folder / SCRATCH_FOLDER / "%j", cluster=launcher.cluster, **init)
        executor.update_parameters(**_prefixed(options, launcher.cluster))
        queued = executor.submit_array([_callable(task) for task in tasks])
    except Exception as error:  # sbatch is missing or refuses an option
        for job in jobs:
            status.update(run_dir(job.config), state="failed", reason="could not be queued")
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ConfigError("hydra/launcher", launcher.cluster, f"what the queue accepts; {reason}") from None
    for task, entry in zip(tasks, queued, strict=True):
        for index in task.indices:
            _name_job(run_dir(jobs[index].config), "" if launcher.cluster == "local" else entry.job_id)
    return queued[0].job_id.partition("_")[0], folder


def _callable(task: _Task) -> Callable[[], None]:
    return task


def _name_job(directory: Path, job: str) -> None:
    """The run may have started since."""
    last = status.read(directory)
    if last and last.state == "queued":
        status.update(directory, job=job)


def _prefixed(options: Mapping[str, Any], cluster: str) -> dict[str, Any]:
    """Submitit's names: what every cluster knows, and the others with the name of theirs in front."""
    common = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name",
              "stderr_to_stdout")  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None and not key.startswith("_")}
    return {key if key in common else f"{cluster}_{key}": value for key, value in given.items()}


def _configure_logging() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("smile").setLevel(logging.INFO)

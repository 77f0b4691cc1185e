"""Commands that are killed at chosen moments of their lives, for scripts/kills.py: how they start, and what dies.

A command is a fork of a process that has imported everything and computed nothing, which saves two of the four seconds
that a kill costs, or a process of its own, as from a shell. Either leads a process group.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from smile.runs.survey import survey

__all__ = ["EXPERIMENT", "KINDS", "Command", "Kind", "command", "kill"]

PATIENCE_SECONDS = 1800  # of a machine that others use, too
DEATH_SECONDS = 60  # after which whatever of a command still lives is an orphan
EXPERIMENT = "results/adhoc/smoke"

COMMON = ["scale=smoke", "devices=1", "tracker.wandb.mode=disabled"]
SWEEP = ["-m", *COMMON, "sampler=sghmc", "seed=range(10)", "num_steps=100", "step_size=0.1", "replications=2"]
PROCESSES = [
    "-m",
    *COMMON,
    "sampler=smile,sghmc",
    "seed=range(4)",
    "num_steps=100",
    "step_size=0.1",
    "replications=2",
]
NETWORK = [*COMMON, "target=bnn", "target.checkpoint_minutes=0", "target.draws=stream", "warm_start.max_epochs=8",
           "replications=2"]  # fmt: skip


# A density without exact draws costs a third of the analytic targets, which measure distances to theirs.
CUSTOM = """\
import jax.numpy as jnp
from smile.targets import from_logdensity


def logdensity(x):
    return -0.5 * jnp.sum(x**2)


def make():
    return from_logdensity(logdensity, jnp.zeros(2))
"""


class Kind(NamedTuple):
    """A command and the stages at which it is killed, in this order.

    Attributes:
        reference: which of the commands computes the same in peace.
        is_forked: whether it is a fork of a process that has imported everything.
    """

    arguments: list[str]
    stages: tuple[str, ...]
    reference: str
    is_forked: bool = True


KINDS = {
    "custom": Kind(
        [*SWEEP, "target=custom", "target.factory=mine.make", "noise=none"],
        ("starting", "sweep", "sweep") * 4,
        "custom",
    ),
    "analytic": Kind(SWEEP, ("starting", "sweep", "sweep") * 4, "analytic"),
    "own process": Kind(SWEEP, ("starting", "sweep", "starting"), "analytic", is_forked=False),
    "processes": Kind(
        [*PROCESSES, "hydra/launcher=cores", "hydra.launcher.n_jobs=2"], ("sweep",) * 4, "processes"
    ),
    "background": Kind(
        [*PROCESSES, "hydra/launcher=local", "hydra.launcher.tasks_per_node=2"], ("sweep",) * 4, "processes"
    ),
    "network": Kind(
        [*NETWORK, "sampler=sgld", "num_steps=4000", "burn_in=2000", "thinning=100"],
        ("starting", "warm start", "warm start", "sampling", "sampling", "sampling", "writing"),
        "network",
    ),
    "adapting network": Kind(
        [*NETWORK, "+method=mile", "num_steps=1500", "burn_in=1200", "thinning=50"],
        ("adaptation", "adaptation", "adaptation", "sampling", "writing"),
        "adapting network",
    ),
}


class Command:
    """A running command.

    Args:
        kind: which.
        folder: where it runs; a posterior for it is written there.
        log: of what it says.

    Attributes:
        group: of its processes, whose number is that of the first.
    """

    def __init__(self, kind: Kind, folder: Path, log: Path) -> None:
        (folder / "mine.py").write_text(CUSTOM)
        self._fork: BaseProcess | None = None
        if kind.is_forked:
            self._fork = forks().Process(target=_run, args=(kind.arguments, folder, log))
            self._fork.start()
            assert self._fork.pid is not None
            self.group = self._fork.pid
            while self.is_alive() and os.getpgid(self.group) != self.group:
                time.sleep(0.01)
        else:
            with open(log, "a") as file:
                self._process = subprocess.Popen(
                    command(kind), cwd=folder, stdout=file, stderr=file, start_new_session=True
                )
            self.group = self._process.pid

    def is_alive(self) -> bool:
        return self._fork.is_alive() if self._fork else self._process.poll() is None

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self._fork is None:
            return self._process.wait()
        self._fork.join()
        assert self._fork.exitcode is not None
        return self._fork.exitcode


def command(kind: Kind) -> list[str]:
    return [sys.executable, "-P", "-m", "smile", *kind.arguments]


def forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # None of these computes: a process that has started XLA's threads must not be forked.
    context.set_forkserver_preload(
        [
            "smile.run",
            "smile.config.parse",
            "smile.execute",
            "smile.tables.compare",
            "jaxlib.mlir.dialects.mhlo",
        ]
    )
    return context


def _run(arguments: list[str], folder: Path, log: Path) -> None:
    os.setsid()
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from smile.run import main

    sys.exit(main(arguments))


# ---- deaths --------------------------------------------------------------------------------------


def kill(
    kind: Kind, stage: str, number: int, whom: str, rng: random.Random, folder: Path
) -> dict[str, object]:
    """Starts a command and kills it at a stage.

    Args:
        number: of the signal.
        whom: ``first`` of its processes, ``all`` of them, or ``one`` of those that the first has started.

    Returns:
        How it ended, ``done`` where that was before the signal; and how many of its processes did not.
    """
    since, began = newest(stage, folder), time.time()
    running = Command(kind, folder, folder / "log")
    group = running.group
    if "hydra/launcher=local" in kind.arguments:
        running.wait()
        found = re.findall(r"process (\d+) in the background", (folder / "log").read_text())
        group = int(found[-1])
        if not members(group):  # the life before this one has finished the sweep
            return {"ended": "done", "orphans": 0}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_at(stage, folder, since, began) and members(group):
        assert time.monotonic() < deadline, f"{stage} is never reached"
        time.sleep(0.02)
    time.sleep(rng.uniform(0, {"starting": 4.0, "sweep": 1.5}.get(stage, 0.3)))
    alive = members(group)
    if not alive:
        return {"ended": "done", "orphans": 0}
    others = [pid for pid in alive if pid != group]
    if whom == "all":
        os.killpg(group, number)
    else:
        os.kill(rng.choice(others) if whom == "one" and others else group, number)
    deadline = time.monotonic() + (PATIENCE_SECONDS if whom == "one" else DEATH_SECONDS)
    while members(group) and time.monotonic() < deadline:
        running.is_alive()  # which notices its end
        time.sleep(0.05)
    orphans = members(group)
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    return {"ended": "killed" if group != running.group else running.wait(), "orphans": len(orphans)}


def members(group: int) -> list[int]:
    """Processes of a group that are not only waiting to be noticed."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in ("Z", "X"):
            found.append(int(stat.parent.name))
    return found


def is_at(stage: str, folder: Path, since: int, began: float) -> bool:
    """Whether a life has come to a stage, and gone on since its last death, as its files tell."""
    match stage:
        case "starting":
            return True
        case "sweep":
            return any(is_after(file, began) for file in folder.glob(f"{EXPERIMENT}/runs/*/lock"))
        case "warm start":
            saved = folder.glob("results/warm_starts/*.checkpoints/[0-9]*")
            return any(is_after(file, began) for file in saved)
        case "adaptation" | "sampling":
            return newest(stage, folder) > since
        case "writing":
            return any(run.status.rate == "evaluating" for run in survey(folder / EXPERIMENT).runs)
    raise ValueError(stage)


def is_after(file: Path, time: float) -> bool:
    try:
        return file.stat().st_mtime >= time
    except OSError:  # gone since it was seen
        return False


def newest(stage: str, folder: Path) -> int:
    """The number of the last checkpoint."""
    name = "adaptation_checkpoints" if stage == "adaptation" else "checkpoints"
    found = folder.glob(f"{EXPERIMENT}/runs/*/{name}/*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)

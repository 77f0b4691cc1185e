"""Kills the processes of a sweep at random, with SIGKILL, and shows that nothing is lost and nothing is doubled.

    python scripts/chaos.py                   # 40 runs, 2 processes, two minutes of kills
    python scripts/chaos.py --runs 10 --seconds 20

Meanwhile the finished runs are read and merged again and again, as by smile-table and smile-compact. In the end, the
metrics must be those of a sweep that was left alone, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from smile.preflight import compose_command, parse_arguments
from smile.runs.compact import compact
from smile.runs.survey import survey
from smile.sweep.frozen import Job, freeze
from smile.tracking import read_metrics


class Report(NamedTuple):
    """What happened.

    Attributes:
        kills: processes killed.
        interrupted: runs that a killed process was at.
        reads: of the metrics while they were written, each without a run twice.
        merges: of finished runs into one file, with at least one of them new.
        seconds: until all was done.
    """

    kills: int
    interrupted: int
    reads: int
    merges: int
    seconds: float


def chaos(
    folder: Path, runs: int, seconds: float, processes: int = 2, life: float = 12.0, seed: int = 0
) -> Report:
    """Runs a sweep under fire and another one in peace.

    Args:
        folder: an empty one.
        runs: how many, one in ten of them a network with checkpoints.
        seconds: how long processes are killed.
        processes: how many work at once.
        life: seconds that a process lives, on average; it needs some of them to start.
        seed: of the kills.

    Raises:
        AssertionError: where anything was lost, doubled or different.
    """
    rng = random.Random(seed)
    start = time.monotonic()
    jobs = _jobs(folder / "killed", runs)
    experiment = folder / "killed/adhoc/smoke"
    submission = freeze(jobs)
    log = open(folder / "log", "w")  # noqa: SIM115
    workers = {place: _start(submission, place, log) for place in range(processes)}
    kills = reads = merges = 0
    interrupted: Counter[str] = Counter()
    next_kill = time.monotonic() + rng.expovariate(processes / life)
    deadline = start + seconds + 600
    while workers:
        assert time.monotonic() < deadline, "it does not come to an end"
        time.sleep(0.1)
        for place, worker in list(workers.items()):
            if worker.poll() is not None:
                assert worker.returncode == 0, f"a worker that nobody killed returned {worker.returncode}"
                del workers[place]
        is_under_fire = not kills or time.monotonic() - start < seconds
        if time.monotonic() >= next_kill and workers and is_under_fire:
            place = rng.choice(list(workers))
            at = [
                run for run in survey(experiment).of("running") if run.status.owner.pid == workers[place].pid
            ]
            workers[place].kill()
            if workers[place].wait() == -9:
                kills += 1
                interrupted.update(run.run_id for run in at)
            workers[place] = _start(submission, place, log)
            next_kill = time.monotonic() + rng.expovariate(processes / life)
            merges += bool(compact(experiment).new)
        if (experiment / "runs").is_dir() and rng.random() < 0.2:
            reads += _read(experiment)
    log.close()
    took = time.monotonic() - start

    peace = freeze(_jobs(folder / "peaceful", runs))
    assert _start(peace, 0, None).wait() == 0
    ours, theirs = _metrics(experiment), _metrics(folder / "peaceful/adhoc/smoke")
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert ours["run_id"].nunique() >= runs
    leftovers = [p for p in experiment.rglob("*") if p.name == "lock" or p.suffix in (".tmp", ".dead")]
    assert not leftovers, f"left behind: {leftovers}"
    return Report(kills, sum(interrupted.values()), reads, merges, took)


def _jobs(results: Path, runs: int) -> list[Job]:
    common = ["scale=smoke", f"results_dir={results}", "tracker.wandb.mode=disabled", "devices=1"]
    networks = runs // 10
    analytic = ["sampler=sgld,sghmc", f"seed=range({-(-(runs - networks) // 2)})"]
    network = ["target=bnn", "sampler=sgld", f"seed=range({networks})", "target.checkpoint_minutes=0",
               "warm_start.max_epochs=3", "num_steps=2560", "burn_in=1280"]  # fmt: skip
    found = compose_command(parse_arguments(["-m", *common, *analytic])).jobs[: runs - networks]
    return found + (compose_command(parse_arguments(["-m", *common, *network])).jobs if networks else [])


def _start(submission: Path, place: int, log: object) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "smile.sweep.workers",
        str(submission),
        f"--first={place * 7}",
        "--shares-machine",
    ]
    stream = log or subprocess.DEVNULL
    return subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ)  # type: ignore[call-overload]


def _read(experiment: Path) -> int:
    try:
        rows = read_metrics(experiment)
    except FileNotFoundError:
        return 0
    assert not rows.duplicated(["run_id", "step_size", "replication", "metric"]).any(), "a run twice"
    return 1


def _metrics(experiment: Path) -> pd.DataFrame:
    rows = read_metrics(experiment).drop(columns=["wall_seconds", "created", "git_commit"])
    return rows.sort_values(["run_id", "step_size", "replication", "metric"], ignore_index=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--life", type=float, default=12.0, help="mean life of a process in seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = chaos(
            Path(folder), options.runs, options.seconds, options.processes, options.life, options.seed
        )
    print(
        f"{options.runs} runs over {options.processes} processes in {report.seconds:.0f} s: {report.kills} kills, "
        f"{report.interrupted} of them in the middle of a run; {report.reads} reads and {report.merges} merges "
        "meanwhile; nothing lost, nothing doubled, metrics equal bit for bit"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

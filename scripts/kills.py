"""Kills runs in every stage of their lives, by five signals, and looks at what is left.

    python scripts/kills.py                   # for five minutes; the next call goes on where this one stopped
    python scripts/kills.py --minutes 60
    python scripts/kills.py --report          # only writes the report anew

A life is one command: an analytic sweep here or in processes, a sweep in the background, a network whose step size is
fixed or one that adapts. It is killed a few times, each time at the stage that is due, and then left alone. Its
metrics must be those of a life that was never killed, bit for bit, no process may outlive its command, and no file but
results may be left. Every kill is a line of ``results/reliability/kills.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from smile.runs.survey import survey
from smile.tracking import read_metrics

REPORTS = Path(__file__).parents[1] / "results/reliability"
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2")
FAULTS = ("lost", "doubled", "differing", "orphans", "leftovers")
COLUMNS = ("life", "kind", "stage", "signal", "whom", "ended", *FAULTS)
PATIENCE_SECONDS = 300

COMMON = ["scale=smoke", "devices=1", "tracker.wandb.mode=disabled"]
SWEEP = ["-m", *COMMON, "sampler=sgld,sghmc", "seed=0,1"]
NETWORK = [*COMMON, "target=bnn", "target.checkpoint_minutes=0", "target.draws=stream", "warm_start.max_epochs=8",
           "replications=2"]  # fmt: skip


class Kind(NamedTuple):
    """A command and the stages at which it is killed, in this order."""

    arguments: list[str]
    stages: tuple[str, ...]


KINDS = {
    "analytic": Kind([*SWEEP, "hydra/launcher=basic"], ("starting", "sweep", "sweep")),
    "processes": Kind([*SWEEP, "hydra/launcher=cores", "hydra.launcher.n_jobs=2"], ("sweep", "sweep")),
    "background": Kind(
        [*SWEEP, "hydra/launcher=local", "hydra.launcher.tasks_per_node=2"], ("sweep", "sweep")
    ),
    "network": Kind(
        [*NETWORK, "sampler=sgld", "num_steps=4000", "burn_in=2000", "thinning=100"],
        ("warm start", "sampling", "sampling", "writing"),
    ),
    "adapting network": Kind(
        [*NETWORK, "+method=mile", "num_steps=1500", "burn_in=1200", "thinning=50"],
        ("adaptation", "adaptation", "sampling", "writing"),
    ),
}


def is_at(stage: str, folder: Path, since: int) -> bool:
    """Whether a life has come to a stage, and gone on since its last death, as its files tell."""
    runs = folder / "results/adhoc/smoke"
    match stage:
        case "starting":
            return True
        case "sweep":
            return any(run.state == "running" for run in survey(runs).runs)
        case "warm start":
            return any(folder.glob("results/warm_starts/*.checkpoints/[0-9]*"))
        case "adaptation" | "sampling":
            return newest(stage, folder) > since
        case "writing":
            return any(run.status.rate == "evaluating" for run in survey(runs).runs)
    raise ValueError(stage)


def newest(stage: str, folder: Path) -> int:
    """The number of the last checkpoint."""
    name = "adaptation_checkpoints" if stage == "adaptation" else "checkpoints"
    found = folder.glob(f"results/adhoc/smoke/runs/*/{name}/*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


def live(number: int, expected: Callable[[str], pd.DataFrame], folder: Path) -> list[dict[str, object]]:
    """One life: killed at every stage of its kind, left alone, and judged."""
    rng = random.Random(number)
    name = list(KINDS)[number % len(KINDS)]
    kind, rows = KINDS[name], []
    for stage in kind.stages:
        number_of_signal = rng.choice(SIGNALS)
        whom = "all" if number_of_signal == "SIGINT" else rng.choice(["first", "all"])  # Ctrl-C reaches all
        row = {"life": number, "kind": name, "stage": stage, "signal": number_of_signal, "whom": whom}
        rows.append(row | kill(kind, stage, getattr(signal, number_of_signal), whom, rng, folder))
    end = subprocess.run(command(kind), cwd=folder, capture_output=True, text=True, check=False)
    if name == "background" and end.returncode == 0:
        wait = [sys.executable, "-P", "-m", "smile.tools.status", "adhoc", "--wait"]
        end = subprocess.run(wait, cwd=folder, capture_output=True, text=True, check=False)
    assert end.returncode == 0, f"life {number} does not end well: {end.stderr[-2000:]}"
    faults = judge(folder, expected(name))
    return [row | (faults if row is rows[-1] else dict.fromkeys(faults, 0)) for row in rows]


def kill(
    kind: Kind, stage: str, number: int, whom: str, rng: random.Random, folder: Path
) -> dict[str, object]:
    """Starts the command and kills it at a stage."""
    since = newest(stage, folder)
    with open(folder / "log", "a") as log:
        process = subprocess.Popen(
            command(kind), cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    group = process.pid
    if "hydra/launcher=local" in kind.arguments:
        found = re.search(r"process (\d+) in the background", process.communicate()[0])
        if found is None:  # the life before this one has finished the sweep
            return {"ended": "done", "orphans": 0}
        group = int(found[1])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_at(stage, folder, since) and is_alive(group):
        assert time.monotonic() < deadline, f"{stage} is never reached"
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 2.5 if stage in ("starting", "sweep") else 0.3))
    if not is_alive(group):
        process.wait()
        return {"ended": "done", "orphans": 0}
    os.killpg(group, number) if whom == "all" else os.kill(group, number)
    deadline = time.monotonic() + 60
    while is_alive(group) and time.monotonic() < deadline:
        process.poll()
        time.sleep(0.05)
    orphans = members(group)
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    ended = "killed" if group != process.pid else process.wait()
    return {"ended": ended, "orphans": len(orphans)}


def command(kind: Kind) -> list[str]:
    return [sys.executable, "-P", "-m", "smile", *kind.arguments]


def is_alive(group: int) -> bool:
    return bool(members(group))


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


def judge(folder: Path, expected: pd.DataFrame) -> dict[str, int]:
    """What is wrong with what a life has left."""
    ours = metrics(folder)
    keys = ["run_id", "step_size", "replication", "metric"]
    both = ours.merge(expected, on=keys, how="inner", suffixes=("", "_expected"))
    same = (both["value"] == both["value_expected"]) | (both["value"].isna() & both["value_expected"].isna())
    names = ("config.yaml", "metrics.parquet", "status.json", "history.parquet", "figure.png", "figure.pdf",
             "posterior.smile")  # fmt: skip
    leftovers = [
        path for path in (folder / "results").rglob("*")
        if path.is_file() and path.name not in names and path.parent.name != "draws"
        and not {"warm_starts", "submissions"} & set(path.parts)
    ] + [*(folder / "results/warm_starts").glob("*.checkpoints")]  # fmt: skip
    if leftovers:
        print("left:", *leftovers, sep="\n  ")
    return {
        "lost": len(expected) - len(both),
        "doubled": int(ours.duplicated(keys).sum()),
        "differing": int((~same).sum()),
        "leftovers": len(leftovers),
    }


def metrics(folder: Path) -> pd.DataFrame:
    return read_metrics(folder / "results/adhoc/smoke")[
        ["run_id", "step_size", "replication", "metric", "value"]
    ]


def references(top: Path) -> Callable[[str], pd.DataFrame]:
    """What lives that nobody kills compute, by kind; those of processes and in the background are one."""
    found: dict[str, pd.DataFrame] = {}

    def expected(name: str) -> pd.DataFrame:
        name = "analytic" if name in ("processes", "background") else name
        if name not in found:
            folder = top / f"undisturbed {name}"
            folder.mkdir()
            subprocess.run(command(KINDS[name]), cwd=folder, capture_output=True, check=True)
            found[name] = metrics(folder)
        return found[name]

    return expected


def report(rows: pd.DataFrame) -> str:
    """Markdown of all kills so far."""
    killed = rows[rows["ended"] != "done"]
    table = killed.pivot_table(
        index=["kind", "stage"], columns="signal", values="life", aggfunc="count", fill_value=0
    ).reindex(columns=list(SIGNALS), fill_value=0)
    lines = ["| command | stage | " + " | ".join(SIGNALS) + " |", "|---|---|" + "--:|" * len(SIGNALS)]
    lines += [f"| {kind} | {stage} | " + " | ".join(map(str, row)) + " |"
              for (kind, stage), row in zip(table.index, table.to_numpy(), strict=True)]  # fmt: skip
    faults = ", ".join(f"{name} {int(rows[name].sum())}" for name in FAULTS)
    return "\n".join(
        [
            "# Kills",
            "",
            "Written by `make chaos`, which goes on where it stopped (`scripts/kills.py --minutes 60`).",
            "",
            f"**{len(killed)} kills in {rows['life'].nunique()} lives: {faults}.** "
            "Metrics are compared bit for bit with those of lives that nobody killed.",
            "",
            *lines,
            "",
            "Half of the signals reach the first process alone, half of them all (Ctrl-C always does). `starting` is "
            "any moment of the first seconds, `sweep` one at which a run is under way, `writing` after the last step. "
            f"{len(rows) - len(killed)} more came too late: the command had ended.",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--lives", type=int, help="at most so many")
    parser.add_argument("--folder", type=Path, default=REPORTS, help="of kills.csv and kills.md")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options.folder.mkdir(parents=True, exist_ok=True)
    log = options.folder / "kills.csv"
    rows = pd.read_csv(log) if log.exists() else pd.DataFrame(columns=list(COLUMNS))
    first = 1 + int(rows["life"].max()) if len(rows) else 0
    end = time.monotonic() + 60 * (0 if options.report else options.minutes)
    last = first + (options.lives if options.lives is not None else 10**6)
    with tempfile.TemporaryDirectory() as top:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{top}/compiled")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        expected = references(Path(top))
        number = first
        while number < last and time.monotonic() < end:
            folder = Path(top) / f"life {number}"
            folder.mkdir()
            new = live(number, expected, folder)
            with open(log, "a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerows(new)
            print(
                f"life {number}: "
                + ", ".join(f"{row['stage']} {row['signal']} -> {row['ended']}" for row in new)
            )
            number += 1
    rows = pd.read_csv(log)
    (options.folder / "kills.md").write_text(report(rows))
    faults = int(rows[list(FAULTS)].to_numpy().sum())
    print(f"{len(rows)} kills so far, {faults} faults: {options.folder / 'kills.md'}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Kills runs in every stage of their lives, by five signals, and looks at what is left.

    python scripts/kills.py                   # for five minutes; the next call goes on where this one stopped
    python scripts/kills.py --minutes 60
    python scripts/kills.py --report          # only writes the report anew

A life is one command of scripts/lives.py: an analytic sweep here or in processes, a sweep in the background, a network
whose step size is fixed or one that adapts. It is killed a few times, each time at the stage that is due, and then left
alone. Its metrics must be those of a life that was never killed, bit for bit, no process may outlive its command, no
file but results may be left, and no traceback may be shown. Every kill is a line of ``results/reliability/kills.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from lives import EXPERIMENT, KINDS, Command, Kind, kill

from smile.tracking import read_metrics

REPORTS = Path(__file__).parents[1] / "results/reliability"
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2")
FAULTS = ("lost", "doubled", "differing", "orphans", "leftovers", "tracebacks")
IGNORED = r"Exception ignored in: .*\nTraceback"  # what Python says of a finaliser; no end of a command
INTERRUPTED = r"Traceback[^\0]*?\nKeyboardInterrupt"  # while Python imports, before any of ours runs
COLUMNS = ("life", "kind", "stage", "signal", "whom", "ended", *FAULTS)

MENDED = (
    "Python drops what a finaliser raises, and JAX has one that runs at any time: a Ctrl-C that fell into it was lost, "
    "and the sweep went on. It is now a request, too, which the next chunk obeys (`tests/test_stop.py`).",
    "Ctrl-C while a command checks its runs, or while workers import, ended in tracebacks: it is one line "
    "(`tests/test_arguments.py`, `tests/sweep/test_workers.py`).",
    "A run that was asked to stop was logged as failed: it is logged as interrupted (`tests/test_run.py`).",
    "Ctrl-C in a save left threads of Orbax behind, one of which printed a traceback (life 25) and whose checkpoint "
    "had no digest: it waits for the end of the save, a second one does not (`tests/sampling/test_checkpoint.py`).",
    "A process killed between its metrics and its end left its lock and a half-written status beside them, which later "
    "commands passed by, as the run was finished (10 files, lives 58 to 147): they remove them (`tests/test_run.py`).",
)

# A cycle of lives: most kills go where they are cheap, some to everything.
CYCLE = ("analytic", "network", "custom", "processes", "custom", "background", "custom", "custom", "custom",
         "own process", "custom", "custom", "adapting network")  # fmt: skip


def live(number: int, expected: Callable[[str], pd.DataFrame], folder: Path) -> list[dict[str, object]]:
    """One life: killed at every stage of its kind, left alone, and judged."""
    rng = random.Random(number)
    name = CYCLE[number % len(CYCLE)]
    kind, rows = KINDS[name], []
    has_workers = name in ("processes", "background")
    for stage in kind.stages:
        if rows and rows[-1]["ended"] == "done":  # and so would be all that follow
            break
        number_of_signal = rng.choice(SIGNALS)
        whom = rng.choice(["first", "all", "one"] if has_workers else ["first", "all"])
        whom = "all" if number_of_signal == "SIGINT" else whom  # as of Ctrl-C
        row = {"life": number, "kind": name, "stage": stage, "signal": number_of_signal, "whom": whom}
        rows.append(row | kill(kind, stage, getattr(signal, number_of_signal), whom, rng, folder))
    running = Command(kind, folder, folder / "log")
    code = running.wait()
    if name == "background" and code == 0:
        wait = [sys.executable, "-P", "-m", "smile.tools.status", "adhoc", "--wait"]
        with open(folder / "log", "a") as log:
            code = subprocess.run(wait, cwd=folder, stdout=log, stderr=log, check=False).returncode
    if code:
        raise AssertionError(f"life {number} does not end well: {(folder / 'log').read_text()[-3000:]}")
    faults = judge(kind, folder, expected(kind.reference))
    return [row | (faults if row is rows[-1] else dict.fromkeys(faults, 0)) for row in rows]


def judge(kind: Kind, folder: Path, expected: pd.DataFrame) -> dict[str, int]:
    """What is wrong with what a life has left."""
    ours = metrics(folder)
    keys = ["run_id", "step_size", "replication", "metric"]
    both = ours.merge(expected, on=keys, how="inner", suffixes=("", "_expected"))
    same = (both["value"] == both["value_expected"]) | (both["value"].isna() & both["value_expected"].isna())
    names = ("config.yaml", "metrics.parquet", "status.json", "history.parquet", "figure.png", "figure.pdf",
             "posterior.smile", "draws.npz", "parameters.parquet")  # fmt: skip
    leftovers = [
        path for path in (folder / "results").rglob("*")
        if path.is_file() and path.name not in names and path.parent.name != "draws"
        and not {"warm_starts", "submissions"} & set(path.parts)
    ] + [*(folder / "results/warm_starts").glob("*.checkpoints")]  # fmt: skip
    if leftovers:
        print("left:", *leftovers, sep="\n  ")
    logs = [folder / "log", *(folder / EXPERIMENT).glob("submissions/*/log.txt")]
    ignored = IGNORED if kind.is_forked else f"{IGNORED}|{INTERRUPTED}"
    said = [log for log in logs if "Traceback (most" in re.sub(ignored, "", log.read_text(errors="replace"))]
    for log in said:
        print(log.read_text(errors="replace"))
    return {
        "lost": len(expected) - len(both),
        "doubled": int(ours.duplicated(keys).sum()),
        "differing": int((~same).sum()),
        "leftovers": len(leftovers),
        "tracebacks": len(said),
    }


def metrics(folder: Path) -> pd.DataFrame:
    return read_metrics(folder / EXPERIMENT)[["run_id", "step_size", "replication", "metric", "value"]]


def references(top: Path) -> Callable[[str], pd.DataFrame]:
    """What commands that nobody kills compute, each once; those in processes and in the background are one."""
    found: dict[str, pd.DataFrame] = {}

    def expected(name: str) -> pd.DataFrame:
        if name not in found:
            folder = top / f"undisturbed {name}"
            folder.mkdir()
            code = Command(KINDS[name], folder, folder / "log").wait()
            assert code == 0, (folder / "log").read_text()[-3000:]
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
            "A signal reaches the first process alone, all of them (Ctrl-C always does), or one of those that it "
            "has started. `starting` is any moment of the first seconds, `sweep` one at which a run is under way, "
            "`writing` after the last step. `own process` starts as from a shell; the others are forks of a process "
            "that has imported everything and computed nothing, and what they start are processes of their own. "
            f"{len(rows) - len(killed)} more came too late: the command had ended.",
            "",
            "What kills found on the way, and what was done:",
            "",
            *(f"- {found}" for found in MENDED),
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
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerows(new)
            print(
                f"life {number}: "
                + ", ".join(f"{row['stage']} {row['signal']} -> {row['ended']}" for row in new)
            )
            shutil.rmtree(folder)
            number += 1
    rows = pd.read_csv(log)
    (options.folder / "kills.md").write_text(report(rows))
    faults = int(rows[list(FAULTS)].to_numpy().sum())
    print(f"{len(rows)} kills so far, {faults} faults: {options.folder / 'kills.md'}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())

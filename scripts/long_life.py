"""Two hundred runs in one process: what memory, open files and threads do.

python scripts/long_life.py               # writes results/reliability/long_life.md
python scripts/long_life.py --runs 50
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from smile.run import main as smile

REPORT = Path(__file__).parents[1] / "results/reliability/long_life.md"
UNITS = {"memory": "MiB", "open files": "", "threads": ""}
WARM_UP = 0.25  # of the runs, whose programs and pools are still being made


def live(runs: int, results: Path) -> np.ndarray:
    """(runs, 3): memory, open files and threads after every run; seeds differ, the compiled program does not."""
    found = []
    for seed in range(runs):
        options = ["scale=smoke", "num_steps=100", "step_size=0.1", "replications=2", f"seed={seed}",
                   f"results_dir={results}", "tracker.wandb.mode=disabled", "devices=1"]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            code = smile(options)
        assert code == 0, err.getvalue()
        found.append(measured())
    return np.array(found)


def measured() -> tuple[float, int, int]:
    """Resident memory in MiB, open files and threads of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def slopes(found: np.ndarray) -> np.ndarray:
    """What every run adds, after the warm-up, by least squares."""
    kept = found[int(len(found) * WARM_UP) :]
    return np.polyfit(np.arange(len(kept)), kept, 1)[0]


def report(found: np.ndarray) -> str:
    first = int(len(found) * WARM_UP)
    lines = [
        "# Long life",
        "",
        f"Written by `make long_life`: {len(found)} analytic runs of different seeds in one process.",
        "",
        f"| | after run {first} | after run {len(found)} | slope by run |",
        "|---|--:|--:|--:|",
    ]
    for (name, unit), before, after, slope in zip(
        UNITS.items(), found[first], found[-1], slopes(found), strict=True
    ):
        lines.append(f"| {name} {unit} | {before:.0f} | {after:.0f} | {slope:.3f} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as results:
        found = live(options.runs, Path(results))
    options.output.write_text(report(found))
    print(options.output.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

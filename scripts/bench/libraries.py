"""``smile.BNN`` beside bde and a deep ensemble written by hand: the same rows, network and number of gradients."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from scipy.special import logsumexp
from scipy.stats import norm, t

from smile.data.sources import load

USERS = Path(__file__).parent / "users"
BDE = "bde_mile"
LIBRARIES = {
    "smile_minibatch": "smile, pSMILE-naive (the default)",
    "smile_as_many_rows": "smile, pSMILE-naive, longer",
    "smile_full_batch": 'smile, `method="mile"`',
    BDE: "bde, MILE",
    "deep_ensemble": "deep ensemble by hand (flax, optax)",
}
SEEDS, TEST = 3, 0.2


def report(output: Path, bde: Path, tables: list[str], directory: Path | None) -> None:
    rows = [
        measure(library, table, seed, bde, directory)
        for table in tables
        for seed in range(SEEDS)
        for library in LIBRARIES
    ]
    page(pd.DataFrame(rows), output)


def page(frame: pd.DataFrame, output: Path) -> None:
    paragraphs = [
        "# Beside other libraries",
        f"{machine()}. Eight networks 16-16 with ReLU, two outputs (mean and scale), a normal prior with deviation 1,"
        f" float32, one thread, one process for each fit. {SEEDS} seeds, each with {TEST:.0%} of the rows held out from"
        " all libraries; with an eighth of the others each validates. Means over the seeds ± the half-width of their"
        " 95 % interval (Student's t). One function computes the LPPD, from means and deviations of all draws, in units"
        " of the deviation of the y that are learnt. CPU seconds of the process, compilation included, imports not: the"
        " machine was not idle, so that wall time says less (it is in the CSV). Lines are a user's, in"
        " `scripts/bench/users`.",
    ]
    for table, part in frame.groupby("data", sort=False):
        paragraphs += [
            f"## {table}, {part.rows.iloc[0]:,} rows to learn",
            markdown(summary(part)),
            differences(part),
        ]
    paragraphs.append(
        "Gradients are those of a member, at most: a warm start may stop early. What differs is how many rows they"
        " read: bde knows full batches alone, an epoch of its warm start is one gradient, and a step of MCLMC two."
        " *Longer* takes steps in proportion to the rows, so that on airfoil it reads as many as full batches. The warm"
        " starts of smile and bde have the same learning rate, decay and patience (on diabetes smile's has fewer"
        " gradients, as its epochs have fewer batches); else they are at their defaults."
    )
    command = "python scripts/bench --only libraries --bde PYTHON_WITH_BDE"
    write(output, "libraries", paragraphs, frame, command=command)


def measure(library: str, table: str, seed: int, bde: Path, directory: Path | None) -> dict[str, object]:
    """One fit in a process of its own."""
    whole = load(table, directory=str(directory) if directory else None)
    order = np.random.default_rng(seed).permutation(len(whole.y))
    test, learnt = np.split(order, [int(TEST * len(order))])
    x, y = whole.x.astype(np.float32), whole.y.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, x=x[learnt], y=y[learnt], x_new=x[test], seed=seed)
        done = subprocess.run(
            [bde if library == BDE else sys.executable, USERS / "run.py", library, given, out],
            env=os.environ | {"NPROC": "1", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{library} on {table} with seed {seed} failed:\n{done.stderr}")
        with np.load(out, allow_pickle=False) as file:
            found = {name: file[name].astype(np.float64) for name in file.files}
    means, sds = found["means"], found["sds"]
    # what is judged is what the library predicts
    np.testing.assert_allclose(means.mean(0), found["mean"], rtol=1e-3)
    np.testing.assert_allclose(np.sqrt((sds**2).mean(0) + means.var(0)), found["sd"], rtol=1e-3)
    (fit_wall, fit_cpu), (_, predict_cpu) = found["seconds"]
    gradients, rows_read = found["work"]
    row = {
        "data": table, "rows": len(learnt), "library": library, "seed": seed,
        "lppd": lppd(y[test], means, sds) + np.log(y[learnt].std()),
        "rmse": float(np.sqrt(np.mean((found["mean"] - y[test]) ** 2))),
        "draws": len(means), "gradients": int(gradients), "rows_read": int(rows_read),
        "fit_wall_seconds": fit_wall, "fit_cpu_seconds": fit_cpu, "predict_cpu_seconds": predict_cpu,
        "lines": lines(library),
    }  # fmt: skip
    show({name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in row.items()})
    return row


def lppd(y: np.ndarray, means: np.ndarray, sds: np.ndarray) -> float:
    """Log density of the mixture over draws, (draws, rows), in nats per row."""
    log_density = norm.logpdf(y, means, sds)
    return float((logsumexp(log_density, axis=0) - np.log(len(means))).mean())


def lines(library: str) -> int:
    """Of what a user writes: neither empty, nor comments, nor what only this measurement needs."""
    user = (USERS / f"{library}.py").read_text().partition("# ---- measured")[0].partition('"""\n')[2]
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in user.splitlines())


def summary(part: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for library, name in LIBRARIES.items():
        of = part[part.library == library]
        rows.append(
            {
                "library": name,
                "LPPD": interval(of.lppd, 3),
                "RMSE": interval(of.rmse, 2),
                "fit, CPU s": interval(of.fit_cpu_seconds, 1),
                "predict, CPU s": f"{of.predict_cpu_seconds.mean():.1f}",
                "draws": f"{of.draws.iloc[0]:,}",
                "gradients": f"{of.gradients.iloc[0]:,}",
                "rows read": f"{of.rows_read.iloc[0] / 1e6:.2f}e6",
                "lines": of.lines.iloc[0],
            }
        )
    return pd.DataFrame(rows)


def differences(part: pd.DataFrame) -> str:
    """Of the LPPD of all from that of bde, seed by seed."""
    by_seed = part.pivot(index="seed", columns="library", values="lppd")
    others = [
        f"{name} {interval(by_seed[library] - by_seed[BDE], 3)}"
        for library, name in LIBRARIES.items()
        if library != BDE
    ]
    return f"LPPD minus that of bde on the same rows: {'; '.join(others)}."


def interval(values: pd.Series, digits: int) -> str:
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"

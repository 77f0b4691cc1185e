"""``Fit.predict`` and ``Fit.interval`` of many rows: time and memory, which draws must not drive."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process, peak_megabytes

import smile

CHAINS, FEATURES = 4, 11
PREDICTED, BOUNDED = 100_000, 10_000


def report(output: Path) -> None:
    rows = []
    for draws in (100, 1000, 4000):
        found = in_own_process(measure, draws=draws)
        rows.append(
            {
                "draws": f"{draws:,}",
                "memory before, MB": f"{found['before']:.0f}",
                "predict, CPU s": f"{found['predict']:.1f}",
                "peak memory after it, MB": f"{found['after_predict']:.0f}",
                "interval, CPU s": f"{found['interval']:.1f}",
                "peak memory after both, MB": f"{found['after_interval']:.0f}",
            }
        )
        show(rows[-1])
    table = pd.DataFrame(rows)
    paragraphs = [
        "# Predictions of many rows",
        f"{machine()}. `Fit.predict` of {PREDICTED:,} rows, then `Fit.interval` of {BOUNDED:,}, with a network 16-16-1"
        f" on {FEATURES} columns, float32, one thread; draws are random, as their values change neither time nor"
        " memory. Compilation included. Memory before is the peak of a short fit.",
        markdown(table),
        "`predict` averages draw by draw, in blocks of 4,096 rows. `interval` holds four million numbers at most, of"
        " all draws for the rows of one block, which 1,000 draws reach.",
    ]
    write(output, "predict", paragraphs, table, command="python scripts/bench --only predict")


def measure(draws: int) -> dict[str, float]:
    """CPU seconds, and the peak memory of the process in MB."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, FEATURES))
    fit = smile.BNN(smile.mlp(16, 16)).fit(
        x, x[:, 0], chains=CHAINS, num_steps=20, warm_start_epochs=1, progress=False
    )
    shape = (CHAINS, draws // CHAINS, fit.draws.shape[-1])
    fit = dataclasses.replace(fit, draws=0.1 * rng.normal(size=shape).astype(np.float32))
    new = rng.normal(size=(PREDICTED, FEATURES))
    found, start = {"before": peak_megabytes()}, time.process_time()
    fit.predict(new)
    found |= {"predict": time.process_time() - start, "after_predict": peak_megabytes()}
    start = time.process_time()
    fit.interval(new[:BOUNDED])
    return found | {"interval": time.process_time() - start, "after_interval": peak_megabytes()}

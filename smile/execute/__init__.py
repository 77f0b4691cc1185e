"""One run: config -> target + noise -> kernel + tuner -> chains -> metrics -> Parquet, trackers and the console."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from smile.config.run import RunConfig
from smile.execute.analytic import execute_analytic
from smile.execute.network import execute_network
from smile.execute.record import about, finish
from smile.tracking.tracker import following

__all__ = ["execute"]


def execute(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
    """Samples, measures, and writes ``metrics.parquet`` at the end: its presence means that the run is finished.

    Args:
        run_dir: existing folder of the run; gets ``config.yaml``, ``metrics.parquet`` and what its target adds.
        label: what the progress display calls the run.

    Returns:
        The metrics written.
    """
    run = execute_network if config.network else execute_analytic
    with following(config.tracker.chosen, about(config)) as trackers:
        rows = run(config, run_dir, label, trackers)
        finish(config, run_dir, rows, trackers)
    return rows

"""Where the numbers of a run go, whatever its target."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

import smile
from smile import provenance
from smile.config.identity import run_id, to_dict
from smile.config.run import RunConfig
from smile.tracking import write_metrics
from smile.tracking.config_file import write_config
from smile.tracking.parquet import METRICS_FILE
from smile.tracking.tracker import About, Trackers

__all__ = ["about", "as_rows", "finish"]


def as_rows(
    config: RunConfig, values: pd.DataFrame, *, gradient_evaluations: int, seconds: float
) -> pd.DataFrame:
    """Rows in the schema of ``smile.tracking.parquet``.

    Args:
        values: columns step_size, replication, metric and value.
        gradient_evaluations: of one chain.
        seconds: that the run took.
    """
    return values.assign(
        run_id=run_id(config),
        experiment=config.experiment,
        scale=config.scale,
        variant=config.variant,
        target=config.target.name,
        data=config.data.name if config.data else "none",
        model=config.model.name if config.model else "none",
        noise=config.noise.name,
        noise_source=config.noise.source,
        noise_distribution=config.noise.distribution,
        sampler=config.sampler.name,
        tuner=config.tuner.name,
        seed=config.seed,
        num_steps=config.num_steps,
        gradient_evaluations=gradient_evaluations,
        wall_seconds=seconds,
        smile_version=smile.__version__,
        jax_version=importlib.metadata.version("jax"),
        git_commit=provenance.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def about(config: RunConfig) -> About:
    """What trackers are told before a run."""
    return About(config.experiment, config.scale, run_id(config), config.label, to_dict(config))


def finish(config: RunConfig, run_dir: Path, rows: pd.DataFrame, trackers: Trackers) -> None:
    """Writes ``config.yaml`` and ``metrics.parquet``, whose presence means that the run is finished."""
    write_config(run_dir, OmegaConf.to_yaml(OmegaConf.create(to_dict(config))))
    write_metrics(run_dir / METRICS_FILE, rows)
    figure = run_dir / "figure.png"
    trackers.finish(rows, figure if figure.is_file() else None)

"""One run: config -> target + noise -> kernel + tuner -> chains -> metrics -> Parquet, wandb and the console."""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from omegaconf import OmegaConf

import smile
from smile import metrics, random
from smile.base import Target
from smile.build import Chains, exact_target, make_chains, make_target
from smile.config import RunConfig, TargetConfig, run_id, to_dict
from smile.metrics.wasserstein import Reference
from smile.sampling import Samples, sample, trailing_chains
from smile.tracking import console, wandb, write_bytes_atomic, write_metrics, write_text_atomic
from smile.tracking.parquet import METRICS_FILE
from smile.tuners import constant, tuned

__all__ = ["execute", "measure"]

# Exact draws that all chains of all runs are compared with, so that their error is common to them.
_NUM_EXACT_DRAWS = 128_000
_EXACT_SEED = 2**31


def execute(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
    """Samples, measures, and writes ``metrics.parquet`` at the end: its presence means that the run is finished.

    Args:
        config: of the run.
        run_dir: existing folder of the run; gets ``config.yaml``, ``metrics.parquet`` and, where the target is the
            user's own, ``draws.npz``.
        label: what the progress display calls the run.

    Returns:
        The metrics written.
    """
    start = time.monotonic()
    target = make_target(config)
    noisy = trailing_chains(target)
    key_tune, key_sample = jax.random.split(random.key(config.seed))
    num_chains = max(1, len(config.step_size)) * config.replications
    with console.progress(run_dir, label, config.num_steps, num_chains) as advance:
        chains = make_chains(config, target, key_tune)
        samples = sample(
            noisy,
            tuned(chains.kernel(noisy.logdensity), constant()),
            chains.step_size,
            key=key_sample,
            num_steps=config.num_steps,
            thinning=config.thinning,
            burn_in=config.burn_in,
            on_chunk=advance,
        )
    values = measure(target, samples, config.target.moments, _exact_draws(config.target))
    rows = _rows(config, chains, values, samples.gradient_evaluations, time.monotonic() - start)
    write_text_atomic(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(to_dict(config))))
    if config.target.name == "custom":
        write_bytes_atomic(run_dir / "draws.npz", _npz(chains, samples))
    write_metrics(run_dir / METRICS_FILE, rows)
    wandb.mirror(
        to_dict(config),
        rows,
        mode=config.tracker.wandb.mode,
        project=config.tracker.wandb.project,
        group=config.experiment,
        name=" ".join(filter(None, (target.name, config.noise.name, config.sampler.name, config.variant))),
        run_id=f"{config.experiment}-{config.scale}-{run_id(config)}",
        directory=Path(),
    )
    return rows


def measure(
    target: Target, samples: Samples, moments: str = "exact", exact_draws: Reference | None = None
) -> dict[str, np.ndarray]:
    """The metrics that what is known about the target allows.

    Args:
        target: that was sampled.
        samples: of its chains.
        moments: which of the target's moments define ``bias``.
        exact_draws: for the Wasserstein distances.

    Returns:
        By name, one value per chain: the mean over coordinates unless the name says otherwise.
    """
    values = {"diverged": 1.0 - np.isfinite(samples.second_moment).all(axis=1)}
    biases = {k: metrics.second_moment_bias(samples.second_moment, m) for k, m in target.moments.items()}
    if moments in biases:
        values["bias"], values["bias_max"] = biases[moments].mean(axis=1), biases[moments].max(axis=1)
        values |= {f"bias_{name}": bias.mean(axis=1) for name, bias in biases.items()}
    if exact_draws is not None:
        distances, values["sliced_wasserstein"] = metrics.wasserstein_bias(exact_draws, samples.draws)
        values["wasserstein"], values["wasserstein_max"] = distances.mean(axis=1), distances.max(axis=1)
    # The chain's own variance: against that of the target, a chain that does not move would look perfect.
    variance = (samples.draws.astype(np.float64) ** 2).var(axis=1)
    ess = metrics.effective_sample_size(samples.chunk_second_moments, variance)
    values["ess_per_gradient"] = ess.min(axis=1) / samples.gradient_evaluations
    return values


@cache
def _exact_draws(options: TargetConfig) -> Reference | None:
    """Prepared once for the runs of a process that share a target."""
    target = exact_target(options)
    if target.sample is None:
        return None
    return metrics.reference(np.asarray(target.sample(random.key(_EXACT_SEED), _NUM_EXACT_DRAWS), np.float32))


def _rows(
    config: RunConfig,
    chains: Chains,
    values: dict[str, np.ndarray],
    gradient_evaluations: int,
    seconds: float,
) -> pd.DataFrame:
    table = pd.DataFrame({"step_size": chains.step_size, "replication": chains.replication, **values})
    rows = table.melt(["step_size", "replication"], var_name="metric", value_name="value")
    return rows.assign(
        run_id=run_id(config),
        experiment=config.experiment,
        scale=config.scale,
        variant=config.variant,
        target=config.target.name,
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
        git_commit=_git_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@cache
def _git_commit() -> str:
    """Commit of the checkout that holds the package, with ``+changes`` where files differ; empty elsewhere."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(smile.__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # an installed copy may lie in someone else's repository
        commit = git("rev-parse", "--short=12", "HEAD")
        return f"{commit}+changes" if git("status", "--porcelain", ".") else commit
    except (OSError, subprocess.CalledProcessError):
        return ""


def _npz(chains: Chains, samples: Samples) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, draws=samples.draws, step_size=chains.step_size, replication=chains.replication
    )
    return buffer.getvalue()

"""Runs on analytic targets, whose answer is known."""

from __future__ import annotations

import io
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from smile import metrics, random
from smile.base import Target
from smile.config.run import RunConfig
from smile.execute.live import timed
from smile.execute.problem import adapt, algorithm_of, exact_target, make_target
from smile.execute.record import as_rows
from smile.metrics.wasserstein import Reference
from smile.runs.progress import progress
from smile.sampling import Samples, sample, trailing_chains
from smile.targets import AnalyticTarget
from smile.tracking import write_bytes_atomic
from smile.tracking.tracker import Trackers

__all__ = ["Chains", "execute_analytic", "make_chains", "measure"]

# Exact draws that all chains of all runs are compared with, so that their error is common to them.
_NUM_EXACT_DRAWS = 128_000
_EXACT_SEED = 2**31


class Chains(NamedTuple):
    """The chains of a run, step sizes varying slowest.

    Attributes:
        parameters: of the kernel, that an adaptation found.
        step_size: (chains,).
        replication: (chains,) int.
    """

    parameters: Any
    step_size: np.ndarray
    replication: np.ndarray


def make_chains(config: RunConfig, target: Target, key: jax.Array) -> Chains:
    """Parameters and step sizes of all chains; a tuner that adapts them does it here, one chain per replication."""
    keys = jax.random.split(key, (config.replications, 2))
    positions = jax.vmap(target.init)(keys[:, 0])
    adapted, _ = adapt(config, lambda position: target.logdensity(position, ()), positions, keys[:, 1])
    step_size = np.asarray(adapted.step_size, np.float64)
    replication = np.tile(np.arange(config.replications), len(step_size) // config.replications)
    return Chains(adapted.parameters, step_size, replication)


def execute_analytic(config: RunConfig, run_dir: Path, label: str, trackers: Trackers) -> pd.DataFrame:
    """Samples a known target and measures what is known of it.

    Writes ``draws.npz`` and ``parameters.parquet`` where the target is the user's own.

    Args:
        run_dir: existing folder of the run.
        label: what the progress display calls the run.
        trackers: that follow it.

    Returns:
        The rows of the run.
    """
    options = config.target
    assert isinstance(options, AnalyticTarget)
    start = time.monotonic()
    target = make_target(config)
    noisy = trailing_chains(target)
    key_tune, key_sample = jax.random.split(random.key(config.seed))
    num_chains = max(1, len(config.step_size)) * config.replications
    with progress(run_dir, label, config.num_steps, num_chains) as advance:
        chains = make_chains(config, target, key_tune)
        algorithm = algorithm_of(
            config,
            noisy.logdensity,
            config.num_steps,
            subsampling=target.subsampling,
            dimension=target.dim,
        ).of(chains.parameters)
        samples = sample(
            noisy,
            algorithm,
            chains.step_size,
            key=key_sample,
            num_steps=config.num_steps,
            thinning=config.thinning,
            burn_in=config.burn_in,
            on_chunk=timed(advance, trackers, num_chains),
        )
    exact_draws = _exact_draws(options)
    values = measure(target, samples, options.moments, exact_draws)
    values |= diagnose(samples, config.replications)
    values |= predict(config, target, chains.step_size)
    if config.short_steps is not None:
        # Independent of the chains above, like the public code's.
        short = sample(
            noisy,
            algorithm,
            chains.step_size,
            key=jax.random.fold_in(key_sample, 1),
            num_steps=config.short_steps,
        )
        measured = measure(target, short, options.moments, exact_draws)
        values |= {f"short_{name}": measured[name] for name in ("bias_published", "wasserstein")}
    table = pd.DataFrame({"step_size": chains.step_size, "replication": chains.replication, **values})
    rows = as_rows(
        config,
        table.melt(["step_size", "replication"], var_name="metric", value_name="value"),
        gradient_evaluations=samples.gradient_evaluations,
        seconds=time.monotonic() - start,
    )
    if options.factory:
        write_bytes_atomic(run_dir / "draws.npz", _npz(chains, samples))
        parameters = summarise_parameters(target, chains, samples, config.replications)
        buffer = io.BytesIO()
        parameters.to_parquet(buffer, index=False, compression="zstd")
        write_bytes_atomic(run_dir / "parameters.parquet", buffer.getvalue())
    return rows


def measure(
    target: Target, samples: Samples, moments: str = "exact", exact_draws: Reference | None = None
) -> dict[str, np.ndarray]:
    """The distances from the target that what is known about it allows.

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
        if target.published:
            values["bias_published"] = biases[moments][:, target.published].mean(axis=1)
        values |= {f"bias_{name}": bias.mean(axis=1) for name, bias in biases.items()}
    if target.reference is not None:
        values |= metrics.posterior_errors(
            samples.mean, samples.second_moment, samples.draws, target.reference
        )
    if exact_draws is not None:
        distances, values["sliced_wasserstein"] = metrics.wasserstein_bias(exact_draws, samples.draws)
        values["wasserstein"], values["wasserstein_max"] = distances.mean(axis=1), distances.max(axis=1)
    return values


def predict(config: RunConfig, target: Target, step_size: np.ndarray) -> dict[str, np.ndarray]:
    """What theory says of every chain's spread, median over coordinates, where it says anything."""
    if target.batch_noise is None:
        return {}
    ratios = {}
    for size in np.unique(step_size):
        langevin = config.sampler.langevin(float(size), target.batch_noise)
        if langevin is None:
            return {}
        ratios[size] = np.median(metrics.predicted_sd_ratios(target.batch_noise, langevin))
    return {"sd_ratio_predicted": np.array([ratios[size] for size in step_size])}


def diagnose(samples: Samples, replications: int) -> dict[str, np.ndarray]:
    """Whether chains that have everything but their random numbers in common agree, and what became of them.

    Args:
        samples: of all chains, step sizes varying slowest.
        replications: chains in a row that belong together.

    Returns:
        By name, one value per chain, R-hat and effective sample sizes the same for all replications: of the worst
        coordinate; ``ess_min`` is that of all chains together, the others are those of one chain.
    """
    values: dict[str, list[float]] = {"rhat_max": [], "ess_min": [], "ess_moments_min": []}
    for group in _groups(len(samples.draws), replications):
        rhat, ess = metrics.rank_diagnostics(samples.draws[group])
        values["rhat_max"].append(rhat.max())
        values["ess_min"].append(ess.min())
        moments = metrics.second_moment_ess(samples.draws[group], samples.second_moment[group])
        values["ess_moments_min"].append(moments.min())
    found = {name: np.repeat(value, replications) for name, value in values.items()}
    found["ess_per_gradient"] = found["ess_moments_min"] / samples.gradient_evaluations
    found |= {name: np.asarray(count, np.float64) for name, count in samples.counts.items()}
    return found | {"final_step_size": samples.step_size}


def summarise_parameters(target: Target, chains: Chains, samples: Samples, replications: int) -> pd.DataFrame:
    """What the chains of every step size say of every coordinate.

    Returns:
        Columns step_size, parameter (its place in the position), mean, sd, rhat and ess.
    """
    names = _names(target)
    frames = []
    for group in _groups(len(samples.draws), replications):
        draws = samples.draws[group].astype(np.float64)
        rhat, ess = metrics.rank_diagnostics(draws)
        columns = {
            "parameter": names,
            "mean": draws.mean((0, 1)),
            "sd": draws.std((0, 1)),
            "rhat": rhat,
            "ess": ess,
        }
        frames.append(pd.DataFrame({"step_size": chains.step_size[group].mean(), **columns}))
    return pd.concat(frames, ignore_index=True)


def _groups(chains: int, replications: int) -> list[slice]:
    return [slice(first, first + replications) for first in range(0, chains, replications)]


def _names(target: Target) -> list[str]:
    """Of all coordinates, in the order of the flattened leaves: ``theta[0]``, ``scale``; ``x[0]`` in a bare array."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.eval_shape(target.init, jax.random.key(0)))
    names = []
    for path, leaf in leaves:
        name = ".".join(jax.tree_util.keystr((key,), simple=True) for key in path) or "x"
        names += [
            f"{name}[{','.join(map(str, index))}]" if index else name for index in np.ndindex(leaf.shape)
        ]
    return names


@cache
def _exact_draws(options: AnalyticTarget) -> Reference | None:
    """Prepared once for the runs of a process that share a target."""
    target = exact_target(options)
    if target.reference is not None:
        return metrics.reference(target.reference)
    if target.sample is None:
        return None
    return metrics.reference(np.asarray(target.sample(random.key(_EXACT_SEED), _NUM_EXACT_DRAWS), np.float32))


def _npz(chains: Chains, samples: Samples) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, draws=samples.draws, step_size=chains.step_size, replication=chains.replication
    )
    return buffer.getvalue()

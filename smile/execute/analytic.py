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
from smile.execute.problem import adapt, algorithm_of, exact_target, make_target
from smile.execute.record import as_rows
from smile.metrics.wasserstein import Reference
from smile.sampling import Samples, sample, trailing_chains
from smile.targets import AnalyticTarget
from smile.tracking import console, write_bytes_atomic

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


def execute_analytic(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
    """Samples a known target and measures the bias; writes ``draws.npz`` where the target is the user's own.

    Args:
        config: of the run.
        run_dir: existing folder of the run.
        label: what the progress display calls the run.

    Returns:
        The rows of the run.
    """
    assert isinstance(config.target, AnalyticTarget)
    start = time.monotonic()
    target = make_target(config)
    noisy = trailing_chains(target)
    key_tune, key_sample = jax.random.split(random.key(config.seed))
    num_chains = max(1, len(config.step_size)) * config.replications
    with console.progress(run_dir, label, config.num_steps, num_chains) as advance:
        chains = make_chains(config, target, key_tune)
        algorithm = algorithm_of(config, noisy.logdensity, config.num_steps, subsampling=target.subsampling)
        samples = sample(
            noisy,
            algorithm.of(chains.parameters),
            chains.step_size,
            key=key_sample,
            num_steps=config.num_steps,
            thinning=config.thinning,
            burn_in=config.burn_in,
            on_chunk=advance,
        )
    values = measure(target, samples, config.target.moments, _exact_draws(config.target), config.replications)
    table = pd.DataFrame({"step_size": chains.step_size, "replication": chains.replication, **values})
    rows = as_rows(
        config,
        table.melt(["step_size", "replication"], var_name="metric", value_name="value"),
        gradient_evaluations=samples.gradient_evaluations,
        seconds=time.monotonic() - start,
    )
    if config.target.factory:
        write_bytes_atomic(run_dir / "draws.npz", _npz(chains, samples))
    return rows


def measure(
    target: Target,
    samples: Samples,
    moments: str = "exact",
    exact_draws: Reference | None = None,
    replications: int | None = None,
) -> dict[str, np.ndarray]:
    """The metrics that what is known about the target allows.

    Args:
        target: that was sampled.
        samples: of its chains.
        moments: which of the target's moments define ``bias``.
        exact_draws: for the Wasserstein distances.
        replications: chains in a row that have the same step size; None: all.

    Returns:
        By name, one value per chain: the mean over coordinates unless the name says otherwise; the effective sample
        size is that of the worst coordinate, the same for all replications.
    """
    values = {"diverged": 1.0 - np.isfinite(samples.second_moment).all(axis=1)}
    biases = {k: metrics.second_moment_bias(samples.second_moment, m) for k, m in target.moments.items()}
    if moments in biases:
        values["bias"], values["bias_max"] = biases[moments].mean(axis=1), biases[moments].max(axis=1)
        values |= {f"bias_{name}": bias.mean(axis=1) for name, bias in biases.items()}
    if exact_draws is not None:
        distances, values["sliced_wasserstein"] = metrics.wasserstein_bias(exact_draws, samples.draws)
        values["wasserstein"], values["wasserstein_max"] = distances.mean(axis=1), distances.max(axis=1)
    count = replications or len(samples.draws)
    alike = [slice(first, first + count) for first in range(0, len(samples.draws), count)]
    ess = [metrics.second_moment_ess(samples.draws[s], samples.second_moment[s]).min() for s in alike]
    values["ess_per_gradient"] = np.repeat(ess, count) / samples.gradient_evaluations
    return values


@cache
def _exact_draws(options: AnalyticTarget) -> Reference | None:
    """Prepared once for the runs of a process that share a target."""
    target = exact_target(options)
    if target.sample is None:
        return None
    return metrics.reference(np.asarray(target.sample(random.key(_EXACT_SEED), _NUM_EXACT_DRAWS), np.float32))


def _npz(chains: Chains, samples: Samples) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, draws=samples.draws, step_size=chains.step_size, replication=chains.replication
    )
    return buffer.getvalue()

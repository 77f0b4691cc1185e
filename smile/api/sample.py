"""A log density of one's own: ``smile.sample``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

from smile import metrics, random
from smile.api.choices import psmile
from smile.api.dynamics import (
    LogDensity,
    Schedule,
    check_scalar,
    dynamics_of,
    scheduled,
    source_of,
    starting_positions,
    subsampling_of,
)
from smile.execute.problem import adapt, algorithm_of
from smile.kernels import Sampler
from smile.options import ConfigError, integer, number, require
from smile.sampling import Batches, Chains, Length, Monitor, sample_ensemble
from smile.tuners import Tuner, TunerOptions

__all__ = ["Draws", "sample"]


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """What chains drew.

    Attributes:
        position: like the initial position, leaves (chains, draws, ...).
        step_size: of every chain at the end, (chains,).
        num_divergent: steps that were divergent, (chains,).
        num_resets: steps that the tuner undid, (chains,).
        gradient_evaluations: of one chain.
    """

    position: Any
    step_size: np.ndarray
    num_divergent: np.ndarray
    num_resets: np.ndarray
    gradient_evaluations: int

    def __repr__(self) -> str:
        chains, draws = jax.tree.leaves(self.position)[0].shape[:2]
        return f"Draws({chains} chains x {draws} draws, {int(self.num_divergent.sum())} divergent steps)"

    def summary(self) -> pd.DataFrame:
        """Of every coordinate, by its name: mean, sd, R-hat, and the effective sample size of all chains together."""
        frames = []
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.position):
            name = jax.tree_util.keystr(path, simple=True, separator=".") or "x"
            flat = leaf.reshape(*leaf.shape[:2], -1).astype(np.float64)
            rhat, ess = metrics.rank_diagnostics(flat)
            names = [f"{name}[{','.join(map(str, i))}]" if i else name for i in np.ndindex(leaf.shape[2:])]
            columns = {"mean": flat.mean((0, 1)), "sd": flat.std((0, 1)), "rhat": rhat, "ess": ess}
            frames.append(pd.DataFrame(columns, index=names))
        return pd.concat(frames)


def sample(
    logdensity_fn: LogDensity,
    init: Any,
    *,
    data: Any = None,
    batch_size: int | None = None,
    sampler: Sampler | None = None,
    tuner: TunerOptions | None = None,
    step_size: float | None = None,
    schedule: Schedule | None = None,
    chains: int = 4,
    num_steps: int = 10_000,
    burn_in: int | None = None,
    thinning: int = 1,
    prior_sd: Any = 1.0,
    temperature: float = 1.0,
    seed: int = 0,
) -> Draws:
    """Runs chains on a log density that is estimated from batches of rows.

    Args:
        logdensity_fn: ``(position, batch) -> scalar``, an unbiased estimate of the log density up to a constant, so
            that the sum over a batch counts N / B times; ``batch`` is rows of ``data``, all of them with
            ``batch_size=None``, ``None`` without data.
        init: where chains start, a pytree of numbers or arrays; or ``key -> position``, without which all chains start
            at one point and R-hat is blind to what all of them miss.
        data: arrays (rows, ...), a tree of them; None: the log density knows its data.
        batch_size: rows per step, in epochs without replacement; None: all of them.
        sampler: such as ``smile.psmile()``; None: that one.
        tuner: such as ``smile.energy_variance()``; None: the step size stays as given.
        step_size: the initial one, > 0; of pSMILE with data in standard deviations of the posterior. Needed unless the
            tuner finds one or ``schedule`` says all.
        schedule: ``step -> factor``, such as optax's, by which the step size is multiplied, the tuner's included.
        chains: how many.
        num_steps: of a chain, burn-in included.
        burn_in: first steps, whose draws are not kept; None: half of all.
        thinning: every how many steps a draw is kept; a divisor of num_steps.
        prior_sd: standard deviations of the prior, a number or a tree like the position, by which pSMILE knows the
            scale of what the rows say nothing of.
        temperature: T > 0; chains sample exp(log density / T).
        seed: determines every number.

    Raises:
        ConfigError: which option is wrong, and what is valid.
        ValueError: where the log density is no scalar, or the position is empty.
    """
    for name, value, converter in (
        ("chains", chains, integer(1)), ("num_steps", num_steps, integer(1)), ("thinning", thinning, integer(1)),
        ("temperature", temperature, number(0)), ("seed", seed, integer(0, 2**32 - 1)),
    ):  # fmt: skip
        require(name, value, converter)
    burn_in = num_steps // 2 if burn_in is None else burn_in
    if num_steps % thinning or not 0 <= burn_in < num_steps:
        raise ConfigError(
            "thinning", thinning, f"a divisor of num_steps={num_steps}, and 0 <= burn_in < num_steps"
        )
    key_init, key_adapt, key_sample = jax.random.split(random.key(seed), 3)
    starts = starting_positions(init, jax.random.split(key_init, chains))
    positions = jax.vmap(lambda start: ravel_pytree(start)[0])(starts)
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], starts))[1]
    source, size = source_of(data, batch_size)

    def logdensity(position: jax.Array, batch: Any) -> jax.Array:
        return logdensity_fn(unravel(position), batch) / temperature

    check_scalar(logdensity, positions[0], source, size)
    subsampling = (
        None if data is None else subsampling_of(source, size, prior_sd, unravel(positions[0]), temperature)
    )
    dynamics = dynamics_of(sampler or psmile(), tuner, step_size, schedule, chains, num_steps)
    adapted, adaptation = adapt(
        dynamics, lambda p: logdensity(p, source.data), positions, jax.random.split(key_adapt, chains)
    )
    first = jnp.asarray(adapted.step_size, positions.dtype)
    around: Callable[[Tuner], Tuner] = lambda tuner: tuner  # noqa: E731
    if schedule is not None:
        around = partial(scheduled, schedule=schedule, first=dynamics.step_size[0])
        first = first * schedule(0)
    algorithm = algorithm_of(
        dynamics, logdensity, num_steps, subsampling=subsampling, dimension=positions.shape[1], around=around
    )
    chunks: list[np.ndarray] = []
    result = sample_ensemble(
        Chains(algorithm.of, adapted.position, first, adapted.parameters),
        Batches(source, size),
        Monitor(lambda chains: (), lambda state, positions, data: (), lambda state: (), ()),
        Length(num_steps, burn_in, thinning, algorithm.keeps),
        key=key_sample,
        on_draws=lambda index, draws: chunks.append(draws),
    )
    draws = np.concatenate(chunks).swapaxes(0, 1)
    flat = jax.vmap(unravel)(jnp.asarray(draws.reshape(-1, draws.shape[-1])))
    position = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(*draws.shape[:2], *leaf.shape[1:]), flat)
    resets = getattr(result.state.tuner, "num_resets", None)
    return Draws(
        position,
        np.asarray(result.state.step_size),
        result.num_divergent,
        np.zeros(chains, int) if resets is None else np.asarray(resets),
        num_steps * result.gradients_per_step + adaptation,
    )

"""The Bayesian model average over chains and draws on a whole test set, accumulated draw by draw.

With members m = 1..M, all draws of all chains of a group, the predictive density of row n is the equal-weight mixture
p(y_n) = 1/M sum_m p(y_n | m). A state holds, for every chain, averages over its draws of what the metrics of this
mixture need, so memory does not grow with the number of draws:

    state = init_regression(chains, rows)
    state = update_regression(state, mean, log_sd, y)      # in a scan, once for each draw
    evaluate(state, y, y_scale=scale)                      # smile.metrics.evaluation

A deep ensemble is a state with one draw per chain. Averages are kept, not sums: they stay of order one, so that float32
does even for 1e5 draws (relative errors below 2e-4, absolute ones below 1e-3 in ``cdf``). Densities are averaged in
log space, where nothing underflows (E11).

A chain with a prediction that is not finite has NaN metrics, as has every group with this chain.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, ndtr

__all__ = [
    "Classification",
    "Regression",
    "chain_error",
    "chain_lppd",
    "init_classification",
    "init_regression",
    "lppd",
    "update_classification",
    "update_regression",
]

_SMALLEST_SD, _LARGEST_SD = 1e-6, 1e6


class Regression(NamedTuple):
    """Averages over the draws of every chain; targets are normal given a draw.

    Attributes:
        num_draws: number of draws, () int32.
        log_density: log of the average of N(y; mean, sd), (chains, rows).
        mean_log_density: average of log N(y; mean, sd), (chains, rows).
        mean: average of the mean, (chains, rows).
        variance: variance of the mixture over draws, average sd^2 plus variance of the mean, (chains, rows).
        cdf: average of Phi((y - mean) / sd), (chains, rows).
    """

    num_draws: jax.Array
    log_density: jax.Array
    mean_log_density: jax.Array
    mean: jax.Array
    variance: jax.Array
    cdf: jax.Array


class Classification(NamedTuple):
    """Averages over the draws of every chain.

    Attributes:
        num_draws: number of draws, () int32.
        log_probability: log of the average of softmax(logits), (chains, rows, classes).
    """

    num_draws: jax.Array
    log_probability: jax.Array


State = TypeVar("State", Regression, Classification)


def init_regression(chains: int, rows: int) -> Regression:
    """A state without draws."""
    zeros = jnp.zeros((chains, rows))
    return Regression(
        jnp.zeros((), jnp.int32), jnp.full((chains, rows), -jnp.inf), zeros, zeros, zeros, zeros
    )


def init_classification(chains: int, rows: int, classes: int) -> Classification:
    """A state without draws."""
    return Classification(jnp.zeros((), jnp.int32), jnp.full((chains, rows, classes), -jnp.inf))


def update_regression(state: Regression, mean: jax.Array, log_sd: jax.Array, y: jax.Array) -> Regression:
    """Adds one draw of every chain.

    Args:
        state: averages over the draws before.
        mean: predicted means, (chains, rows).
        log_sd: logs of the predicted standard deviations, broadcastable to (chains, rows); the deviation is clipped
            to [1e-6, 1e6].
        y: targets on the scale of ``mean``, (rows,).
    """
    n = state.num_draws + 1
    sd = jnp.clip(jnp.exp(log_sd), _SMALLEST_SD, _LARGEST_SD)
    mean = jnp.where(jnp.isfinite(mean) & jnp.isfinite(log_sd), mean, jnp.nan)
    z = (y - mean) / sd
    log_density = -0.5 * z**2 - jnp.log(sd) - 0.5 * math.log(2 * math.pi)
    new_mean = _running_mean(state.mean, mean, n)
    # Welford's update: mean^2 is never subtracted from a mean of squares
    spread = sd**2 + (mean - state.mean) * (mean - new_mean)
    return Regression(
        num_draws=n,
        log_density=_running_log_mean(state.log_density, log_density, n),
        mean_log_density=_running_mean(state.mean_log_density, log_density, n),
        mean=new_mean,
        variance=_running_mean(state.variance, spread, n),
        cdf=_running_mean(state.cdf, ndtr(z), n),
    )


def update_classification(state: Classification, logits: jax.Array) -> Classification:
    """Adds one draw of every chain.

    Args:
        state: averages over the draws before.
        logits: (chains, rows, classes).
    """
    n = state.num_draws + 1
    logits = jnp.where(jnp.isfinite(logits), logits.astype(state.log_probability.dtype), jnp.nan)
    log_probability = _running_log_mean(state.log_probability, jax.nn.log_softmax(logits), n)
    return Classification(n, log_probability)


@partial(jax.jit, inline=True)
def chain_lppd(state: Regression | Classification, y: jax.Array) -> jax.Array:
    """Log pointwise predictive density of every chain alone, (chains,), in nats per row.

    Args:
        state: averages with one draw at least; without, the answer is -inf.
        y: labels, (rows,); in regression the targets are those the state was updated with.
    """
    return _log_density(state, y).mean(axis=1)


@partial(jax.jit, inline=True)
def chain_error(state: Regression | Classification, y: jax.Array) -> jax.Array:
    """Of every chain alone, (chains,): the RMSE of its mean, or the share of rows whose class it gets wrong.

    Args as in ``chain_lppd``. NaN where a prediction is not finite.
    """
    if isinstance(state, Regression):
        return jnp.sqrt(((state.mean - y) ** 2).mean(axis=1))
    wrong = (state.log_probability.argmax(axis=2) != y).mean(axis=1)
    return jnp.where(jnp.isnan(state.log_probability).any(axis=(1, 2)), jnp.nan, wrong)


@partial(jax.jit, inline=True)
def lppd(state: Regression | Classification, y: jax.Array) -> jax.Array:
    """Log pointwise predictive density of the mixture over all chains, (), in nats per row.

    mean_n log(1/M sum_m p(y_n | m)) as in Eq. 5 of Gelman, Hwang & Vehtari (2014), divided by the number of rows. It
    can be jitted, for a running value; arguments as in ``chain_lppd``.
    """
    log_density = _log_density(state, y)
    return (logsumexp(log_density, axis=0) - math.log(len(log_density))).mean()


def _running_mean(old: jax.Array, x: jax.Array, n: jax.Array) -> jax.Array:
    mean = old + (x - old) / n
    return jnp.where(
        jnp.isinf(old) | jnp.isinf(x), old + x, mean
    )  # infinite stays, and opposite ones are NaN


def _running_log_mean(old: jax.Array, x: jax.Array, n: jax.Array) -> jax.Array:
    """log(((n - 1) e^old + e^x) / n) by increments to ``old``, whose rounding errors do not add up as log n's would."""
    difference = jnp.where(x == old, 0.0, x - old)  # both may be -inf
    large = 50.0  # e^large is a float32, and the first draw, with old = -inf, is larger
    increment = old + jnp.log1p(jnp.expm1(jnp.minimum(difference, large)) / n)
    replacement = x - jnp.log(n) + jnp.log1p((n - 1) * jnp.exp(-difference))
    return jnp.where(difference > large, replacement, increment)


def _log_density(state: Regression | Classification, y: jax.Array) -> jax.Array:
    if isinstance(state, Regression):
        return state.log_density
    return jnp.take_along_axis(state.log_probability, y[None, :, None], axis=2)[..., 0]

"""Adaptation of full-batch MCLMC from a warm start, step by step, that does not throw chains out of their optima.

The phases are those of Robnik et al. (2023, 2303.18221, section 4) as BlackJAX has them, each a third of all steps:

    1, 2  eps <- (mean of w xi / eps^6)^(-1/6),  xi = (Delta E)^2 / (d v),  w = exp(-(log xi)^2 / (2 (6 r)^2)),
          a running mean that forgets over n steps; eps shrinks to 0.8 times one that led out of the numbers
    2     L <- (sum of the variances of x)^(1/2)
    3     L <- 0.4 eps times the mean autocorrelation time of x, in steps

with v the wanted energy variance per dimension, r = 1.5 and n = 150. What differs is the first eps. BlackJAX takes
sqrt(d) / 4, which throws a network's chains out of the optimum that their members were trained to. Here it is the
largest of 0.01 2^k below which the mean of (Delta E)^2 / d over random velocities stays below v, and it enters the
running mean with the weight of all that this remembers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from smile import tree
from smile.kernels import smile
from smile.kernels.checks import check_count, check_range
from smile.kernels.microcanonical import random_unit_vector
from smile.tuners.options import Adaptation, Adapted

__all__ = ["SearchState", "largest_quiet_step", "mclmc_from_line_search"]

_EXPONENTS, _VELOCITIES = (-5, 6), 8  # no more than 12 x 8 steps of two gradients each
_TRUST, _EFFECTIVE_SAMPLES = 1.5, 150
_SHRINKAGE = 0.8
_LENGTH_FACTOR = 0.4
_TRACED_DRAWS, _TRACED_NUMBERS = 1000, 1_000_000  # of phase 3, by chain


class SearchState(NamedTuple):
    """Of one chain.

    Attributes:
        kernel: state of the dynamics.
        step_size: of the next step.
        largest: step size that none may exceed.
        weight: of all that entered the mean.
        mean: of w xi / eps^6, times the weight.
        position_weight: of all positions that entered their moments.
        first_moment: of the position, a vector.
        second_moment: of the position, a vector.
        trace: positions of phase 3, (draws, coordinates).
        start: log density where the chain started.
        lowest: log density that it has reached.
    """

    kernel: Any
    step_size: jax.Array
    largest: jax.Array
    weight: jax.Array
    mean: jax.Array
    position_weight: jax.Array
    first_moment: jax.Array
    second_moment: jax.Array
    trace: jax.Array
    start: jax.Array
    lowest: jax.Array


def largest_quiet_step(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    position: Any,
    key: jax.Array,
    batch: Any,
    energy_variance: float,
) -> jax.Array:
    """The largest of the step sizes 0.01 2^k up to which the dynamics keep their energy at a position.

    Args:
        logdensity_fn: ``(position, batch) -> scalar``.
        position: of one chain.
        key: of the velocities.
        batch: all data.
        energy_variance: that the mean of (Delta E)^2 per dimension must stay below.

    Returns:
        A step size, the smallest one where even that does not keep the energy. Costs less than 200 gradients.
    """
    kernel = smile(logdensity_fn)
    dimension = tree.num_scalars(position, 0)
    start = kernel.init(position, key, batch)

    def squared_energy_error(step_size: jax.Array) -> jax.Array:
        def one(key: jax.Array) -> jax.Array:
            state = start._replace(velocity=random_unit_vector(key, position, 0))
            return kernel.step(key, state, batch, step_size)[1].energy_error ** 2

        # one after the other, because each needs the memory of all data
        return jnp.mean(jax.lax.map(one, jax.random.split(key, _VELOCITIES))) / dimension

    def step_size_of(exponent: jax.Array) -> jax.Array:
        return (0.01 * 2.0**exponent).astype(start.logdensity.dtype)

    def look(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        exponent, _ = carry
        return exponent + 1, squared_energy_error(step_size_of(exponent)) < energy_variance

    next_one, was_quiet = jax.lax.while_loop(
        lambda carry: carry[1] & (carry[0] <= _EXPONENTS[1]),
        look,
        (jnp.int32(_EXPONENTS[0]), jnp.array(True)),
    )
    return step_size_of(jnp.maximum(next_one - jnp.where(was_quiet, 1, 2), _EXPONENTS[0]))


def mclmc_from_line_search(
    logdensity_fn: Callable[[Any, Any], jax.Array], *, num_steps: int, desired_energy_variance: float
) -> Adaptation:
    """L and the step size of MCLMC.

    Args:
        logdensity_fn: ``(position, batch) -> scalar``; the batch is all data.
        num_steps: how many steps the adaptation takes.
        desired_energy_variance: wanted variance of the energy error per dimension, > 0.

    Raises:
        ValueError: where an argument is not as it says.
    """
    check_count("num_steps", num_steps)
    check_range("desired_energy_variance", desired_energy_variance, "(0, inf)")
    third = round(num_steps / 3)
    last_phase = num_steps - third
    every = max(1, math.ceil(third / _TRACED_DRAWS))
    draws = max(1, third // every)
    decay = (_EFFECTIVE_SAMPLES - 1) / (_EFFECTIVE_SAMPLES + 1)

    def init(position: Any, key: jax.Array, batch: Any) -> SearchState:
        key_search, key_velocity = jax.random.split(key)
        step_size = largest_quiet_step(logdensity_fn, position, key_search, batch, desired_energy_variance)
        kernel = smile(logdensity_fn).init(position, key_velocity, batch)
        flat = ravel_pytree(position)[0]
        zero = jnp.zeros((), flat.dtype)
        # What the search has found counts like all that the mean remembers: one small first error alone would let the
        # next step be twenty times as long.
        weight = jnp.full_like(zero, 1 / (1 - decay))
        trace = jnp.zeros((draws, len(_traced(flat.size, draws))), flat.dtype)
        return SearchState(
            kernel, step_size, jnp.full_like(zero, jnp.inf), weight, weight / step_size**6, zero, jnp.zeros_like(flat),
            jnp.zeros_like(flat), trace, kernel.logdensity, kernel.logdensity,
        )  # fmt: skip

    def step(state: SearchState, key: jax.Array, index: jax.Array, batch: Any) -> SearchState:
        is_tuned = index < last_phase
        length = jnp.where(is_tuned, math.sqrt(state.first_moment.size), _extent(state))
        algorithm = smile(logdensity_fn, momentum_decoherence_length=length)
        key_step, key_restart = jax.random.split(key)
        kernel, info = algorithm.step(key_step, state.kernel, batch, state.step_size)
        kernel = jax.lax.cond(
            info.is_divergent,
            lambda: algorithm.restart(key_restart, state.kernel, kernel),
            lambda: kernel,
        )
        flat = ravel_pytree(kernel.position)[0]
        state = state._replace(kernel=kernel, lowest=jnp.minimum(state.lowest, kernel.logdensity))
        tuned = _with_step_size(state, info.energy_error, desired_energy_variance, decay)
        used = jnp.where((index >= third) & ~info.is_divergent, state.step_size, 0.0)
        tuned = _with_moments(tuned, flat, used)
        trace = state.trace  # set apart, because a choice between two of them would copy it
        tuned, state = (one._replace(trace=jnp.zeros(())) for one in (tuned, state))
        new: SearchState = jax.tree.map(partial(jnp.where, is_tuned), tuned, state)
        slot = jnp.clip((index - last_phase) // every, 0, draws - 1)
        traced = flat[_traced(flat.size, draws)]
        return new._replace(trace=jax.lax.dynamic_update_index_in_dim(trace, traced, slot, 0))

    def result(state: SearchState) -> Adapted:
        length = jnp.where(third > 1, _extent(state), math.sqrt(state.first_moment.size))
        if third >= 2:
            time = every * _autocorrelation_time(state.trace)
            is_known = jnp.isfinite(time)
            mean = jnp.mean(time, where=is_known)
            length = jnp.where(is_known.any(), _LENGTH_FACTOR * state.step_size * mean, length)
        fall = (state.start - state.lowest) / state.first_moment.size
        return Adapted(length, state.step_size, state.kernel.position, fall)

    return Adaptation(num_steps, init, step, result)


def _with_step_size(
    state: SearchState, energy_error: jax.Array, energy_variance: float, decay: float
) -> SearchState:
    """One more energy error in the mean that says which step size has the wanted variance."""
    is_finite = jnp.isfinite(energy_error)
    largest = jnp.where(is_finite, state.largest, _SHRINKAGE * state.step_size)
    squared = jnp.where(is_finite, energy_error, 0.0) ** 2
    xi = squared / (state.first_moment.size * energy_variance) + 1e-8
    weight = jnp.exp(-0.5 * (jnp.log(xi) / (6 * _TRUST)) ** 2)
    mean = decay * state.mean + weight * xi / state.step_size**6
    total = decay * state.weight + weight
    return state._replace(
        largest=largest,
        mean=mean,
        weight=total,
        step_size=jnp.minimum((mean / total) ** (-1 / 6), largest),
    )


def _with_moments(state: SearchState, position: jax.Array, weight: jax.Array) -> SearchState:
    total = state.position_weight + weight
    share = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
    return state._replace(
        position_weight=total,
        first_moment=state.first_moment + share * (position - state.first_moment),
        second_moment=state.second_moment + share * (position**2 - state.second_moment),
    )


def _extent(state: SearchState) -> jax.Array:
    """Root of the sum of all variances; tiny where the chain has not moved, for a length must be above zero."""
    total = jnp.sum(jnp.maximum(state.second_moment - state.first_moment**2, 0))
    return jnp.sqrt(jnp.maximum(total, jnp.finfo(total.dtype).tiny))


def _traced(dimension: int, draws: int) -> jax.Array:
    """The coordinates of a trace, all of them where there is room."""
    count = min(dimension, max(1, _TRACED_NUMBERS // draws))
    return jnp.linspace(0, dimension - 1, count).astype(jnp.int32)


def _autocorrelation_time(trace: jax.Array) -> jax.Array:
    """In draws, by coordinate."""
    from blackjax.diagnostics import effective_sample_size  # here, because it takes long to import

    times: jax.Array = trace.shape[0] / effective_sample_size(trace[None])
    return times

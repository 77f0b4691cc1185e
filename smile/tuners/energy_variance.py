"""The paper's tuner: the energy error, modelled as a Gamma variable, adapts the step size and resets divergent steps.

With A = |energy error| of a step and m, v the running mean and variance of A (Sommer et al. 2026, 2602.06500):

    u = P(k, A / theta),  k = m^2 / v,  theta = v / m           A's quantile in the moment-matched Gamma
    reset     where u > reset_quantile, or A is not finite
    shrink    where u > 1 - 2a/3, or A is not finite            step size times 1 - delta
    grow      where u < a/3                                     step size over (1 - delta)^g

The thresholds are quantiles of the chain's own errors, so a step size that makes all of them larger is invisible; what
the rule sees is the shape of their distribution, above all tails heavier than those of normal errors, which batch noise
alone has. Hence g: it makes the log step size free of drift where energy errors are normal. (The public code has g = 1
and approximate quantiles, and a drift of its own over the published chain length; docs/deviations.md, K8.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc, ndtr
from jax.scipy.stats import norm

from smile.base import Build, Info
from smile.kernels.checks import check_count, check_range
from smile.options import boolean, integer, number, option, optional
from smile.tuners.base import Tuner
from smile.tuners.options import TunerOptions

__all__ = ["EnergyVariance", "EnergyVarianceState", "energy_variance"]

_FIRST_STEPS = 9  # no more than a look at the errors
_MOST_DEVIATIONS = 4.0  # an error further above the mean counts as this far
_LARGE_SHAPE = 5.0
_HALF_NORMAL_SHAPE = 2 / (math.pi - 2)  # of the Gamma with the mean and variance of |N(0, 1)|
_SMALLEST, _LARGEST = 1e-8, 10.0  # step sizes


class EnergyVarianceState(NamedTuple):
    """State of the tuner, (*chains,).

    Attributes:
        step_size: of the next step.
        mean: running mean of the absolute energy error.
        variance: its running variance.
        num_fitted: errors that entered them, int32.
        num_steps: seen, int32.
        num_resets: steps undone, int32.
        num_non_finite: steps with an energy error that is not finite, int32.
    """

    step_size: jax.Array
    mean: jax.Array
    variance: jax.Array
    num_fitted: jax.Array
    num_steps: jax.Array
    num_resets: jax.Array
    num_non_finite: jax.Array


def energy_variance(
    *,
    reset_quantile: float = 0.98,
    adaptation_probability: float = 0.1,
    adaptation_strength: float = 0.02,
    smoothing: float = 0.01,
    freeze_after: int | None = None,
    reference: bool = False,
) -> Tuner:
    """The energy-variance tuner.

    Args:
        reset_quantile: in (0, 1], of the fitted Gamma above which a step is undone; 1: only steps that are not finite.
        adaptation_probability: a in [0, 1), how often the step size changes; 0: only after steps that are not finite.
        adaptation_strength: delta in [0, 1), by what fraction.
        smoothing: weight in (0, 1) of a new error in mean and variance.
        freeze_after: steps after which the step size stays as it is while resets go on; None: never.
        reference: the public code's rule, oddities K1 to K4 and K8 to K15 of docs/deviations.md included.

    Returns:
        A tuner whose state counts what it did.

    Raises:
        ValueError: where an argument is not as it says.
    """
    check_range("reset_quantile", reset_quantile, "(0, 1]")
    check_range("adaptation_probability", adaptation_probability, "[0, 1)")
    check_range("adaptation_strength", adaptation_strength, "[0, 1)")
    check_range("smoothing", smoothing, "(0, 1)")
    check_count("freeze_after", freeze_after, or_none=True)
    a, delta, rate = adaptation_probability, adaptation_strength, smoothing
    growth = _growth(a) if a > 0 else 0.0

    def init(step_size: jax.Array) -> EnergyVarianceState:
        zeros = jnp.zeros_like(step_size)
        count = jnp.zeros(jnp.shape(step_size), jnp.int32)
        return EnergyVarianceState(step_size, zeros, zeros, count, count, count, count)

    def update(state: EnergyVarianceState, info: Info) -> tuple[EnergyVarianceState, jax.Array, jax.Array]:
        error = jnp.abs(info.energy_error)
        is_finite = jnp.isfinite(error)
        rule = _published_rule if reference else _rule
        mean, variance, num_fitted, reset, log_change = rule(state, error, is_finite)
        step_size = jnp.clip(state.step_size * jnp.exp(log_change), _SMALLEST, _LARGEST)
        if freeze_after is not None:
            step_size = jnp.where(state.num_steps < freeze_after, step_size, state.step_size)
        new_state = EnergyVarianceState(
            step_size.astype(state.step_size.dtype),
            mean.astype(state.mean.dtype),
            variance.astype(state.variance.dtype),
            num_fitted,
            state.num_steps + 1,
            state.num_resets + reset,
            state.num_non_finite + ~is_finite,
        )
        return new_state, new_state.step_size, reset

    def _rule(state: EnergyVarianceState, error: jax.Array, is_finite: jax.Array) -> tuple[jax.Array, ...]:
        is_fitted = state.num_fitted >= _FIRST_STEPS
        variance = state.variance + 1e-12 * state.mean**2 + 1e-30
        finite_error = jnp.where(is_finite, error, 0.0)
        quantile = _gamma_cdf(state.mean**2 / variance, finite_error * state.mean / variance)
        quantile = jnp.where(is_finite, quantile, jnp.inf)
        is_judged = is_fitted | ~is_finite
        reset = is_judged & (quantile > reset_quantile)
        shrinks = is_judged & (quantile > 1 - 2 * a / 3)
        grows = is_fitted & (quantile < a / 3)
        log_change = jnp.log1p(-delta) * (1.0 * shrinks - growth * grows)
        # An outlier enters the fit, so that it can follow, but not as far as it lies.
        most = state.mean + _MOST_DEVIATIONS * jnp.sqrt(state.variance)
        entered = jnp.where(is_finite, jnp.where(is_fitted, jnp.minimum(error, most), error), state.mean)
        weight = rate / (1 - (1 - rate) ** (state.num_fitted + 1))
        deviation = entered - state.mean
        new_mean = state.mean + weight * deviation
        new_variance = (1 - weight) * (state.variance + weight * deviation**2)
        return (
            new_mean,
            jnp.where(is_finite, new_variance, state.variance),
            state.num_fitted + is_finite,
            reset,
            log_change,
        )

    def _published_rule(
        state: EnergyVarianceState, error: jax.Array, is_finite: jax.Array
    ) -> tuple[jax.Array, ...]:
        t = state.num_steps + 1.0
        variance = state.variance + 1e-6
        shape, scale = state.mean**2 / variance, variance / state.mean

        def wilson_hilferty(probability: float) -> jax.Array:
            z = norm.ppf(jnp.asarray(probability, error.dtype))
            return scale * shape * (1 - 1 / (9 * shape) + z / (3 * jnp.sqrt(shape))) ** 3

        def above(probability: float) -> jax.Array:
            return (probability < 1) & (error > wilson_hilferty(probability)) & (t >= 10)

        grows = (a > 0) & (error < wilson_hilferty(a / 3)) & (t >= 10)
        log_change = jnp.log1p(-delta) * above(1 - 2 * a / 3) + jnp.log1p(delta) * grows
        mean = jnp.clip(jnp.where(t < 3, error, (1 - rate) * state.mean + rate * error), 1e-6, 1e6)
        old = jnp.where(t == 1, 0.0, state.variance)
        correction = jnp.where(t < 5, 1.0, 1 - 0.5 ** (t - 4))
        new = ((1 - rate) * old + rate * (error - mean) ** 2) / correction
        deviation = jnp.clip(jnp.sqrt(new), 1e-6, 1e7)
        return mean, deviation**2, state.num_fitted + 1, above(reset_quantile), log_change

    return Tuner(init, update)


def _gamma_cdf(shape: jax.Array, x: jax.Array) -> jax.Array:
    """Exact up to a shape of 5; beyond, where its series is slow, Wilson & Hilferty (1931), wrong by 1e-3."""
    root = jnp.cbrt(x / shape)
    normal = ndtr(3 * jnp.sqrt(shape) * (root - 1 + 1 / (9 * shape)))
    return jnp.where(shape < _LARGE_SHAPE, gammainc(jnp.minimum(shape, _LARGE_SHAPE), x), normal)


def _growth(a: float) -> float:
    """How often normal errors shrink the step size for each time they make it grow."""
    import scipy.stats  # here, because it takes longer to import than a wrong option to answer

    gamma = scipy.stats.gamma(_HALF_NORMAL_SHAPE, scale=math.sqrt(2 / math.pi) / _HALF_NORMAL_SHAPE)
    return float(
        scipy.stats.halfnorm.sf(gamma.ppf(1 - 2 * a / 3)) / scipy.stats.halfnorm.cdf(gamma.ppf(a / 3))
    )


@dataclass(frozen=True, kw_only=True)
class EnergyVariance(TunerOptions):
    """``tuner=energy_variance``: the paper's."""

    needs_energy: ClassVar[bool] = True

    reset_quantile: float = option(number(0, at_most=1))
    adaptation_probability: float = option(number(at_least=0, high=1))
    adaptation_strength: float = option(number(at_least=0, high=1))
    smoothing: float = option(number(0, 1))
    freeze_after: int | None = option(optional(integer(1)))  # in units of the run
    reference: bool = option(boolean)

    @property
    def wants_reference_kernel(self) -> bool:
        """The public code's tuner goes with its kernel."""
        return self.reference

    def build(self, build: Build) -> Tuner:
        """The energy-variance tuner."""
        return energy_variance(
            reset_quantile=self.reset_quantile,
            adaptation_probability=self.adaptation_probability,
            adaptation_strength=self.adaptation_strength,
            smoothing=self.smoothing,
            freeze_after=self.freeze_after and self.freeze_after * build.unit,
            reference=self.reference,
        )

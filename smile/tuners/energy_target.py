"""A tuner with a scale of its own: the energy error of a step on one batch is to have a given variance per dimension.

With E the energy error of a step whose two log densities are those of the same batch, d the dimension and v the
desired variance (E^2 / d = v is how MCLMC adapts on the full batch: Robnik et al. 2023, arXiv 2212.08549):

    grow      where |E| < .67 sqrt(d v), the median of a normal variable      log step size + gain
    shrink    elsewhere, also where E is not finite                           log step size - gain
    reset     where |E| > 10 sqrt(d v), or E is not finite
    gain      initial_gain / (1 + t / 1000)^.6, which ends the adaptation (Robbins & Monro 1951)

A median and not a mean square, because batches of real rows have outliers. Where the noise of the gradients dominates,
E is the work of the difference of two batches' gradients along the step: its variance is proportional to step size^2
times that noise. In the coordinates of ``posterior_scale`` the noise is (N / B) times one per coordinate, so that the
same v gives smaller steps where a batch is a smaller part of the data. A reset at ten deviations of a scale that does
not follow the chain is a divergence and cuts no tail of the posterior, unlike one at a quantile of the chain's own
errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from smile.base import Build, Info
from smile.kernels.checks import check_count, check_range
from smile.options import integer, number, option, optional
from smile.tuners.base import Tuner
from smile.tuners.options import TunerOptions

__all__ = ["EnergyTarget", "EnergyTargetState", "energy_target"]

_MEDIAN, _DIVERGENT = 0.6745, 10.0  # of |E|, in standard deviations
_GAIN_STEPS, _GAIN_POWER = 1000.0, 0.6
_SMALLEST, _LARGEST = 1e-8, 10.0  # step sizes


class EnergyTargetState(NamedTuple):
    """State of the tuner, (*chains,).

    Attributes:
        step_size: of the next step.
        num_judged: steps that moved, int32.
        num_steps: seen, int32.
        num_resets: steps undone, int32.
        num_non_finite: steps with an energy error that is not finite, int32.
    """

    step_size: jax.Array
    num_judged: jax.Array
    num_steps: jax.Array
    num_resets: jax.Array
    num_non_finite: jax.Array


def energy_target(
    dimension: int,
    *,
    desired_energy_variance: float = 5e-4,
    initial_gain: float = 0.05,
    freeze_after: int | None = None,
) -> Tuner:
    """The tuner; the kernel must be built with ``same_batch_energy=True``.

    Args:
        dimension: d, number of scalars in a position.
        desired_energy_variance: v > 0, of the energy error per dimension.
        initial_gain: > 0, by how much the log of the step size changes in the first steps.
        freeze_after: steps after which the step size stays as it is while resets go on; None: never.

    Returns:
        A tuner whose state counts what it did.

    Raises:
        ValueError: where an argument is not as it says.
    """
    check_count("dimension", dimension)
    check_range("desired_energy_variance", desired_energy_variance, "(0, inf)")
    check_range("initial_gain", initial_gain, "(0, inf)")
    check_count("freeze_after", freeze_after, or_none=True)
    deviation = math.sqrt(dimension * desired_energy_variance)

    def init(step_size: jax.Array) -> EnergyTargetState:
        count = jnp.zeros(jnp.shape(step_size), jnp.int32)
        return EnergyTargetState(step_size, count, count, count, count)

    def update(state: EnergyTargetState, info: Info) -> tuple[EnergyTargetState, jax.Array, jax.Array]:
        error = jnp.abs(info.energy_error)
        is_finite = jnp.isfinite(error)
        has_moved = error != 0  # not while a preconditioner still waits for its first gradients
        gain = initial_gain * (1 + state.num_judged / _GAIN_STEPS) ** -_GAIN_POWER
        log_change = jnp.where(is_finite & (error < _MEDIAN * deviation), gain, -gain)
        step_size = jnp.clip(state.step_size * jnp.exp(log_change), _SMALLEST, _LARGEST)
        changes = has_moved if freeze_after is None else has_moved & (state.num_steps < freeze_after)
        step_size = jnp.where(changes, step_size, state.step_size).astype(state.step_size.dtype)
        reset = ~is_finite | (error > _DIVERGENT * deviation)
        new_state = EnergyTargetState(
            step_size,
            state.num_judged + has_moved,
            state.num_steps + 1,
            state.num_resets + reset,
            state.num_non_finite + ~is_finite,
        )
        return new_state, step_size, reset

    return Tuner(init, update)


@dataclass(frozen=True, kw_only=True)
class EnergyTarget(TunerOptions):
    """``tuner=energy_target``."""

    needs_energy: ClassVar[bool] = True
    wants_same_batch_energy: ClassVar[bool] = True

    desired_energy_variance: float = option(number(0))
    initial_gain: float = option(number(0))
    freeze_after: int | None = option(optional(integer(1)))  # in units of the run

    def build(self, build: Build) -> Tuner:
        """The energy-target tuner.

        Raises:
            ValueError: where nobody says how many scalars a position has.
        """
        if build.dimension is None:
            raise ValueError("tuner=energy_target needs the dimension of a position")
        return energy_target(
            build.dimension,
            desired_energy_variance=self.desired_energy_variance,
            initial_gain=self.initial_gain,
            freeze_after=self.freeze_after and self.freeze_after * build.unit,
        )

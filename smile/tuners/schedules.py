"""Step sizes as a function of the step: the initial step size times an optax schedule that starts at one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from smile.base import Build, Info
from smile.kernels.checks import check_count, check_range
from smile.options import integer, number, option
from smile.tuners.base import Tuner
from smile.tuners.options import TunerOptions

__all__ = ["Cosine", "Cyclical", "Linear", "ScheduleState", "cosine", "cyclical", "linear"]


class ScheduleState(NamedTuple):
    """Initial step size and number of the next step, (*chains,)."""

    initial: jax.Array
    step: jax.Array


def linear(num_steps: int, end_fraction: float) -> Tuner:
    """From the initial step size to ``end_fraction`` of it, in [0, 1], over ``num_steps``; else a ValueError."""
    _check(num_steps, end_fraction)
    return _scheduled(optax.linear_schedule(1.0, end_fraction, num_steps))


def cosine(num_steps: int, end_fraction: float) -> Tuner:
    """From the initial step size to ``end_fraction`` of it, in [0, 1], along half a cosine; else a ValueError."""
    _check(num_steps, end_fraction)
    return _scheduled(optax.cosine_decay_schedule(1.0, num_steps, end_fraction))


def cyclical(num_steps: int, num_cycles: int, exploration: float, end_fraction: float) -> Tuner:
    """CSGLD's cosine cycles (Zhang et al. 2020, 1902.03932, equation 1), with warm restarts to the initial step size.

    Args:
        num_steps: of the chain; where ``num_cycles`` does not divide it, the last cycle is cut short.
        num_cycles: how often the cosine falls.
        exploration: fraction in [0, 1) at the start of a cycle whose draws are not kept. Noise is injected there, too,
            as in the public code and unlike in the paper (docs/deviations.md, S1).
        end_fraction: in [0, 1], of the initial step size, at the end of a cycle.

    Raises:
        ValueError: where an argument is not as it says.
    """
    _check(num_steps, end_fraction)
    check_count("num_cycles", num_cycles)
    check_range("exploration", exploration, "[0, 1)")
    cycle = -(-num_steps // num_cycles)
    decay = optax.cosine_decay_schedule(1.0, cycle, end_fraction)
    return _scheduled(lambda step: decay(step % cycle), lambda step: step % cycle >= exploration * cycle)


def _check(num_steps: int, end_fraction: float) -> None:
    check_count("num_steps", num_steps)
    check_range("end_fraction", end_fraction, "[0, 1]")


def _scheduled(
    schedule: Callable[[jax.Array], jax.Array], keeps: Callable[[jax.Array], jax.Array] | None = None
) -> Tuner:
    def init(step_size: jax.Array) -> ScheduleState:
        return ScheduleState(step_size, jnp.zeros(jnp.shape(step_size), jnp.int32))

    def update(state: ScheduleState, info: Info) -> tuple[ScheduleState, jax.Array, None]:
        step = state.step + 1
        step_size = (state.initial * schedule(step)).astype(state.initial.dtype)
        return ScheduleState(state.initial, step), step_size, None

    return Tuner(init, update, keeps)


@dataclass(frozen=True, kw_only=True)
class _Falling(TunerOptions):
    """A schedule that ends at a fraction of the initial step size."""

    end_fraction: float = option(number(at_least=0, at_most=1))


@dataclass(frozen=True, kw_only=True)
class Linear(_Falling):
    """``tuner=linear``."""

    def build(self, build: Build) -> Tuner:
        """Over all steps."""
        return linear(build.num_steps, self.end_fraction)


@dataclass(frozen=True, kw_only=True)
class Cosine(_Falling):
    """``tuner=cosine``."""

    def build(self, build: Build) -> Tuner:
        """Over all steps."""
        return cosine(build.num_steps, self.end_fraction)


@dataclass(frozen=True, kw_only=True)
class Cyclical(_Falling):
    """``tuner=cyclical``."""

    num_cycles: int = option(integer(1))
    exploration: float = option(number(at_least=0, high=1))

    def build(self, build: Build) -> Tuner:
        """Over all steps."""
        return cyclical(build.num_steps, self.num_cycles, self.exploration, self.end_fraction)

"""Robbins & Monro (1951): the log step size follows the difference from a wanted energy error, ever more slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from smile.base import Build
from smile.options import number, option
from smile.tuners import Tuner, TunerOptions


class RobbinsMonroState(NamedTuple):
    """Step size and number of steps, (*chains,)."""

    step_size: jax.Array
    step: jax.Array


@dataclass(frozen=True, kw_only=True)
class RobbinsMonro(TunerOptions):
    """``tuner=robbins_monro``."""

    needs_energy: ClassVar[bool] = True

    wanted_error: float = option(number(0))

    def build(self, build: Build) -> Tuner:
        """The tuner."""

        def update(state, info):
            step = state.step + 1
            too_large = jnp.where(jnp.abs(info.energy_error) < self.wanted_error, -1.0, 1.0)
            step_size = (state.step_size * jnp.exp(-too_large / step)).astype(state.step_size.dtype)
            return RobbinsMonroState(step_size, step), step_size, None

        return Tuner(lambda size: RobbinsMonroState(size, jnp.zeros(jnp.shape(size), jnp.int32)), update)

"""Random walk: a sampler that looks at no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from smile import tree
from smile.base import Build, Kernel, SamplingAlgorithm
from smile.kernels import Sampler
from smile.kernels.info import info_without_energy
from smile.options import number, option


class WalkState(NamedTuple):
    """The position."""

    position: Any


def walk(logdensity_fn, *, speed: float) -> SamplingAlgorithm:
    """x <- x + speed sqrt(eps) xi."""

    def step(key, state, batch, step_size):
        noise = tree.random_normal(key, state.position)
        position = tree.axpy(speed * jnp.sqrt(step_size), noise, state.position)
        return WalkState(position), info_without_energy(position, logdensity_fn(position, batch))

    return SamplingAlgorithm(lambda position, key, batch: WalkState(position), step)


@dataclass(frozen=True, kw_only=True)
class Walk(Sampler):
    """``sampler=walk``."""

    speed: float = option(number(0))

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """The walk."""
        return partial(walk, speed=self.speed)

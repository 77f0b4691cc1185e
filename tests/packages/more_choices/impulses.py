"""Impulses: most gradients are right, and now and then one is far off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from smile.base import Target
from smile.noise import NoiseOptions
from smile.options import number, option


@dataclass(frozen=True, kw_only=True)
class Impulses(NoiseOptions):
    """``noise=impulses``."""

    needs_scales: ClassVar[bool] = False

    probability: float = option(number(0, 1))
    scale: float = option(number(0))

    def add(self, target: Target) -> Target:
        """The target, whose batches are what is added to its gradients, (dim, *chains)."""

        def draw_batch(key, chains):
            key_when, key_what = jax.random.split(key)
            hits = jax.random.bernoulli(key_when, self.probability, chains)
            return self.scale * hits * jax.random.normal(key_what, (target.dim, *chains))

        def logdensity(x, batch):
            value = target.logdensity(x, target.full_batch)
            return value if isinstance(batch, tuple) else value + jnp.sum(x * batch, axis=0)

        return target.replace(logdensity=logdensity, draw_batch=draw_batch, full_batch=())

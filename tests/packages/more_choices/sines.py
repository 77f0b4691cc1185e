"""A network with one hidden layer of sines."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from smile.models import Model, ModelOptions, from_flax
from smile.options import integer, option


class Sines(nn.Module):
    """Maps (rows, features) to (rows, num_outputs)."""

    width: int
    num_outputs: int

    @nn.compact
    def __call__(self, x):
        """The outputs."""
        return nn.Dense(self.num_outputs)(jnp.sin(nn.Dense(self.width)(x)))


@dataclass(frozen=True, kw_only=True)
class SinesOptions(ModelOptions):
    """``model=sines``."""

    width: int = option(integer(1))

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The network."""
        return from_flax(Sines(self.width, num_outputs))

"""How long chains run, and which of their draws are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Length"]


class Length(NamedTuple):
    """How long chains run, in steps.

    Attributes:
        num_steps: of a chain, burn-in included; a multiple of ``thinning``.
        burn_in: the first steps, whose positions are not kept.
        thinning: every how many steps the position is kept.
        keeps: ``step -> bool``, whether a schedule lets the draw after this step be kept; None: every one.
    """

    num_steps: int
    burn_in: int
    thinning: int
    keeps: Callable[[jax.Array], jax.Array] | None = None

    def is_kept(self, step: jax.Array) -> jax.Array:
        """Whether the draw after this step is kept, where thinning looks at it."""
        return (step >= self.burn_in) & (True if self.keeps is None else self.keeps(step))

    @property
    def draw_steps(self) -> np.ndarray:
        """The steps after which thinning looks at the position, counted from 0."""
        return (np.arange(self.num_steps // self.thinning) + 1) * self.thinning - 1

    def kept(self) -> np.ndarray:
        """Which of ``draw_steps`` are kept, bool."""
        return np.asarray(jax.jit(jax.vmap(self.is_kept))(jnp.asarray(self.draw_steps)))

"""Info of kernels that conserve no energy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import Info

__all__ = ["info_without_energy"]


def info_without_energy(position: Any, step_size: jax.Array) -> Info:
    """Divergence from the position alone; one gradient evaluation."""
    squared_norm = tree.vdot(position, position, jnp.ndim(step_size))
    return Info(jnp.full_like(squared_norm, jnp.nan), ~jnp.isfinite(squared_norm), jnp.int32(1))

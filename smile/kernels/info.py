"""Info of kernels that conserve no energy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import Info

__all__ = ["info_without_energy"]


def info_without_energy(position: Any, logdensity: jax.Array) -> Info:
    """Divergence where the new position or the log density of the old one is not finite; one gradient evaluation."""
    squared_norm = tree.vdot(position, position, jnp.ndim(logdensity))
    is_divergent = ~(jnp.isfinite(squared_norm) & jnp.isfinite(logdensity))
    return Info(jnp.full_like(squared_norm, jnp.nan), is_divergent, jnp.int32(1))

"""Operators of isokinetic (microcanonical) Langevin dynamics.

Equations, in code order (Robnik & Seljak 2023, arXiv 2303.18221; Steeg & Galstyan 2021, arXiv 2111.02434), with
d = dimension, u = unit velocity, g = gradient of the log density, e = g/|g|, p = u.e, delta = eps |g| / (d - 1),
z = exp(-delta):

    kick      u <- normalise( e (1 - z)(1 + z + p (1 - z)) + 2 z u ),
              kinetic energy change (d - 1) [ delta - log 2 + log(1 + p + (1 - p) z^2) ]
    drift     x <- x + eps u
    refresh   u <- normalise( u + nu xi ),  nu = sqrt((exp(2 eps / L) - 1) / d),  xi ~ N(0, I)

One step is refresh, kick b, drift 1/2, kick 1 - 2b, drift 1/2, kick b: McLachlan's minimal-norm integrator.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from smile import tree

__all__ = ["KICK_FRACTION", "kick", "random_unit_vector", "refresh"]

KICK_FRACTION = 0.1931833275037836
_TINY = 1e-13


def kick(velocity: Any, gradient: Any, step_size: jax.Array, dimension: int) -> tuple[Any, jax.Array]:
    """Turns the velocity towards the gradient: the exact flow for a constant gradient.

    Args:
        velocity: pytree, leaves (..., *chains); unit length, or exactly zero (a restart: it becomes e).
        gradient: pytree like ``velocity``.
        step_size: shape (*chains,).
        dimension: number of scalars of one chain, at least 2.

    Returns:
        The new unit velocity and the change of kinetic energy, shape (*chains,).
    """
    chain_ndim = jnp.ndim(step_size)
    squared_norm = tree.vdot(gradient, gradient, chain_ndim)
    along = tree.vdot(velocity, gradient, chain_ndim)
    squared_speed = tree.vdot(velocity, velocity, chain_ndim)
    norm = jnp.sqrt(squared_norm)
    inverse_norm = jnp.where(norm > _TINY, 1.0 / norm, 1.0)
    p = along * inverse_norm
    delta = step_size * norm / (dimension - 1)
    z = jnp.exp(-delta)
    towards, keep = (1 - z) * (1 + z + p * (1 - z)), 2 * z
    # |w|^2 from the three inner products at hand instead of a second pass over all coordinates.
    squared_length = towards**2 * (norm > _TINY) + keep**2 * squared_speed + 2 * towards * keep * p
    rescale = jnp.where(squared_length > _TINY**2, jax.lax.rsqrt(squared_length), 1.0)
    along_gradient, along_velocity = towards * inverse_norm * rescale, keep * rescale
    kinetic_change = (dimension - 1) * (delta - jnp.log(2.0) + jnp.log(1 + p + (1 - p) * z**2))
    new_velocity = jax.tree.map(
        lambda u, g: (along_velocity * u + along_gradient * g).astype(u.dtype), velocity, gradient
    )
    return new_velocity, kinetic_change


def refresh(
    key: jax.Array,
    velocity: Any,
    step_size: jax.Array,
    momentum_decoherence_length: float | jax.Array,
    dimension: int,
) -> Any:
    """Partial velocity refreshment over one step. Normalising here also undoes the rounding of the kicks.

    Differs from the usual half refresh on both sides of the step: adjacent halves of successive steps are one.
    """
    chain_ndim = jnp.ndim(step_size)
    nu = jnp.sqrt(jnp.expm1(2 * step_size / momentum_decoherence_length) / dimension)
    noisy = tree.axpy(nu, tree.random_normal(key, velocity), velocity)
    inverse_length = jax.lax.rsqrt(tree.vdot(noisy, noisy, chain_ndim))
    return jax.tree.map(lambda u: (u * inverse_length).astype(u.dtype), noisy)


def random_unit_vector(key: jax.Array, like: Any, chain_ndim: int) -> Any:
    """A velocity drawn uniformly from the unit sphere, one per chain."""
    draw = tree.random_normal(key, like)
    inverse_length = jax.lax.rsqrt(tree.vdot(draw, draw, chain_ndim))
    return jax.tree.map(lambda u: (u * inverse_length).astype(u.dtype), draw)

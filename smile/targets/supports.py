"""Parameters that are positive, in an interval, ordered or on a simplex, from numbers that may be anything.

Chains move in all of R^d. Where a density ends at a border, such as that of a standard deviation at zero, they step
over it. Therefore a log density takes free numbers, makes its parameters of them with a function of this file, and adds
the logarithm of the determinant of the Jacobian, with which the parameters have the density that was meant:

    def logdensity(free):
        sd, log_jacobian = positive(free["log_sd"])
        return jnp.sum(norm.logpdf(y, free["mean"], sd)) - sd + log_jacobian

The transforms are those of the Stan reference manual, version 2.35, chapter "Constraint transforms". Draws of the free
numbers become draws of the parameters by the same functions.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, softplus

__all__ = ["interval", "ordered", "positive", "simplex"]


def positive(free: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp(free), in (0, inf).

    Args:
        free: of any shape.

    Returns:
        The parameters, of the same shape, and the logarithm of the Jacobian determinant, a scalar.
    """
    return jnp.exp(free), jnp.sum(free)


def interval(free: jax.Array, low: float | jax.Array, high: float | jax.Array) -> tuple[jax.Array, jax.Array]:
    """An interval: low + (high - low) / (1 + exp(-free)).

    Args:
        free: of any shape; beyond +-16 float32 rounds to the border.
        low, high: broadcast to the shape of ``free``.

    Returns:
        The parameters, of the same shape, and the logarithm of the Jacobian determinant, a scalar.
    """
    width = jnp.asarray(high, free.dtype) - low
    return low + width * jax.nn.sigmoid(free), jnp.sum(jnp.log(width) - softplus(free) - softplus(-free))


def ordered(free: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Increasing numbers: the first is free, every other one lies exp(free) above the one before.

    Args:
        free: (n,).

    Returns:
        The parameters (n,), and the logarithm of the Jacobian determinant, a scalar.
    """
    return jnp.cumsum(jnp.concatenate([free[:1], jnp.exp(free[1:])])), jnp.sum(free[1:])


def simplex(free: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Positive numbers that add up to one, by breaking a stick; zeros give equal ones.

    Args:
        free: (n - 1,).

    Returns:
        The parameters (n,), and the logarithm of the Jacobian determinant of the first n - 1 of them, a scalar.
    """
    pieces = jnp.arange(free.size, 0, -1).astype(free.dtype)  # that are left to break off after this one
    shifted = free - jnp.log(pieces)
    log_share, log_rest = log_sigmoid(shifted), log_sigmoid(-shifted)
    zero = jnp.zeros(1, free.dtype)
    log_stick = jnp.concatenate([zero, jnp.cumsum(log_rest)])  # what was left before each piece
    parameters = jnp.exp(log_stick + jnp.concatenate([log_share, zero]))
    return parameters, jnp.sum(log_share + log_rest + log_stick[:-1])

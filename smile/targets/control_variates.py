"""Gradients of batches with control variates for every sampler (Baker, Fearnhead, Fox & Nemeth 2019).

    g(x, b) = grad log p(x | b) - grad log p(m | b) + grad log p(m)

at m, about the mode. Whatever m is, the mean over batches is that of the batches' own gradients; at m there is no
noise, and near it that of differences of rows between x and m, which grows with their distance. The log density of
which samplers take this gradient is

    log p(x | b) - (grad log p(m | b) - grad log p(m)) . (x - m)

A gradient costs two of the batch, as those of its rows at m are computed anew. Differs from the paper's algorithm: m is
where L-BFGS-B stops, on all rows, not where an optimisation by batches does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from smile import tree
from smile.base import Target
from smile.options import ConfigError, choice

__all__ = ["ESTIMATORS", "MODE_GRADIENTS", "Estimator", "find_mode", "with_control_variates"]

MODE_GRADIENTS = 64  # of all rows, at most, on the way to the mode; equal work counts them all

Estimator = Literal["batch", "control_variate"]  # target.gradient: what estimates the gradient of all rows
ESTIMATORS = choice(*get_args(Estimator))


class _NoModeError(Exception):
    """There was none within the gradients that it may cost."""


def find_mode(logdensity_fn: Callable[[Any], jax.Array], start: Any) -> Any:
    """About the mode, by L-BFGS-B in double precision.

    Args:
        logdensity_fn: ``position -> ()``, exact.
        start: where to begin, a position.

    Returns:
        A position like ``start``.

    Raises:
        ValueError: where MODE_GRADIENTS are not enough, as where the density has no bound.
    """
    count = 0
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), start)
        flat, unravel = ravel_pytree(wide)
        value_and_grad = jax.jit(jax.value_and_grad(lambda x: -logdensity_fn(unravel(x))))

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal count
            if count == MODE_GRADIENTS:
                raise _NoModeError
            count += 1
            value, gradient = value_and_grad(jnp.asarray(x))
            return float(value), np.asarray(gradient)

        try:
            found = minimize(evaluate, np.asarray(flat), jac=True, method="L-BFGS-B")
        except _NoModeError:
            found = None
        if found is None or not (found.success and np.isfinite(found.fun)):
            raise ValueError(f"no mode within {MODE_GRADIENTS} gradients of all rows")
        mode = unravel(jnp.asarray(found.x))
        return jax.tree.map(lambda x, like: np.asarray(x, jnp.result_type(like)), mode, start)


def with_control_variates(target: Target, start: Any) -> Target:
    """The same target with control variates at its mode.

    Args:
        target: whose batches are of rows, and whose ``full_batch`` is all of them.
        start: where the search for the mode begins, a position.

    Raises:
        ConfigError: where batches are not known to be of rows, or no mode is found.
    """
    if (subsampling := target.subsampling) is None:
        valid = f"batch with target={target.name}, whose batches are not known to be some of its rows"
        raise ConfigError("target.gradient", "control_variate", valid)

    def exact(position: Any) -> jax.Array:
        return target.logdensity(position, target.full_batch)

    try:
        mode = find_mode(exact, start)
    except ValueError as error:
        valid = f"batch with target={target.name}, whose log density has {error}"
        raise ConfigError("target.gradient", "control_variate", valid) from None
    with jax.enable_x64(True):
        wide = jax.grad(exact)(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), mode))
    at_mode = jax.tree.map(lambda leaf, like: np.asarray(leaf, like.dtype), wide, mode)

    def logdensity(position: Any, batch: Any) -> jax.Array:
        of_batch = jax.grad(lambda x: target.logdensity(x, batch))(jax.tree.map(jnp.asarray, mode))
        excess = jax.tree.map(jnp.subtract, of_batch, at_mode)
        away = jax.tree.map(jnp.subtract, position, mode)
        return target.logdensity(position, batch) - tree.vdot(excess, away, 0)

    return target.replace(
        logdensity=logdensity,
        handles_chains=False,  # as one chain's gradient is taken inside
        gradients=2,
        subsampling=subsampling._replace(is_information=False),
        batch_noise=None,
    )

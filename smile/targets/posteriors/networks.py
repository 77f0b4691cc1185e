"""A network small enough for long chains of NUTS to agree on its predictions."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from smile.targets.posteriors.regressions import standard_normal, standardised, table
from smile.targets.posteriors.rows import RowModel

__all__ = ["perceptron"]

_HIDDEN = 6
_EVERY, _HELD_OUT = 11, 40  # every eleventh row, and how many of these the network is looked at


def perceptron() -> RowModel:
    """Progression of diabetes by a network 10-6-1 with tanh and an unknown noise (N = 402, d = 74).

    Positions are weights (10, 6) and biases (6,) of the hidden units, weights (6,) and bias of the output, and the log
    standard deviation of the noise, all standard normal a priori. Units may change their names and signs, 6! 2^6
    positions for every function, so that the function is compared: its values at 40 rows that the network has not seen,
    in standard deviations of the response.
    """
    x, y = table("diabetes")
    y = standardised(y)
    inputs = x.shape[1]
    held_out = np.arange(len(y))[::_EVERY][:_HELD_OUT]
    rows = np.delete(x, held_out, axis=0), np.delete(y, held_out)

    def network(position: jax.Array, x: jax.Array) -> jax.Array:
        ends = np.cumsum([inputs * _HIDDEN, _HIDDEN, _HIDDEN])
        weights, biases, output, (bias, _) = jnp.split(position, ends)
        return jnp.tanh(x @ weights.reshape(inputs, _HIDDEN) + biases) @ output + bias

    def log_likelihood(position: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        log_sd = position[-1]
        z = (y - network(position, x)) * jnp.exp(-log_sd)
        return -0.5 * z**2 - log_sd - 0.5 * math.log(2 * math.pi)

    return RowModel(
        rows,
        inputs * _HIDDEN + 2 * _HIDDEN + 2,
        standard_normal,
        log_likelihood,
        observe=lambda position: network(position, jnp.asarray(x[held_out], position.dtype)),
    )

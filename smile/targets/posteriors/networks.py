"""A small network, whose weights have symmetries: what it predicts is compared."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from smile.targets.posteriors.regressions import standard_normal, standardised, table
from smile.targets.posteriors.rows import RowModel

__all__ = ["mlp"]

_HIDDEN = 6
_NUM_OBSERVED = 40


def mlp() -> RowModel:
    """10-6-1 with tanh on the progression of diabetes (N = 442, d = 74), compared at the inputs of 40 patients.

    Positions are (hidden weights, hidden biases, output weights, output bias, log sigma), standard normal a priori.
    """
    x, y = table("diabetes")
    inputs = x.shape[1]
    seen = x[:: len(x) // _NUM_OBSERVED][:_NUM_OBSERVED]

    def predict(position: jax.Array, x: jax.Array) -> jax.Array:
        weights, rest = position[: inputs * _HIDDEN].reshape(inputs, _HIDDEN), position[inputs * _HIDDEN :]
        hidden = jnp.tanh(x @ weights + rest[:_HIDDEN])
        return hidden @ rest[_HIDDEN : 2 * _HIDDEN] + rest[2 * _HIDDEN]

    def log_likelihood(position: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        log_sd = position[-1]
        z = (y - predict(position, x)) * jnp.exp(-log_sd)
        return -0.5 * z**2 - log_sd - 0.5 * math.log(2 * math.pi)

    def observe(position: jax.Array) -> jax.Array:
        """Predictions and the logarithm of the noise."""
        predictions = predict(position, jnp.asarray(seen, position.dtype))
        return jnp.concatenate([predictions, position[-1:]])

    dim = (inputs + 2) * _HIDDEN + 2
    return RowModel((x, standardised(y)), dim, standard_normal, log_likelihood, observe=observe)

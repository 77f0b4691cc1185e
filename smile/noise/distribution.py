"""Which tails the noise has: iid entries with mean zero and variance one, drawn by JAX or, as a data set, by numpy."""

from __future__ import annotations

import math
from typing import Literal, assert_never

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Distribution", "data_set", "unit_variates", "wrong_parameter"]

Distribution = Literal["gaussian", "laplace", "student_t", "lognormal"]

# Lower bound of the parameter, and its name, of those that have one.
_PARAMETERS = {"student_t": (2.0, "degrees of freedom > 2"), "lognormal": (0.0, "sigma > 0")}


def wrong_parameter(distribution: Distribution, parameter: float | None) -> str:
    """What the parameter of a distribution must be, where it is not; else empty."""
    low, valid = _PARAMETERS.get(distribution, (math.nan, "null"))
    if math.isnan(low):
        return valid if parameter is not None else ""
    return valid if parameter is None or not parameter > low else ""


def unit_variates(
    key: jax.Array, shape: tuple[int, ...], distribution: Distribution, parameter: float = 0.0
) -> jax.Array:
    """Independent draws with mean zero and variance one.

    Elementwise work on normal or uniform variates, no rejection. In 32-bit mode tails end where their probability
    falls below the spacing of uniform variates, about 1e-7.

    Args:
        key: of any generator.
        shape: of the answer.
        distribution: see the module.
        parameter: degrees of freedom (> 2) of ``student_t``, sigma (> 0) of ``lognormal``; else unused.
    """
    if distribution == "gaussian":
        variates = jax.random.normal(key, shape)
    elif distribution == "laplace":
        variates = jax.random.laplace(key, shape)
    elif distribution == "student_t":
        variates = _student_t(key, shape, parameter)
    elif distribution == "lognormal":
        variates = jnp.exp(parameter * jax.random.normal(key, shape))
    else:
        assert_never(distribution)
    mean, deviation = _mean_and_deviation(distribution, parameter)
    return (variates - mean) / deviation


def data_set(num_rows: int, dim: int, distribution: Distribution, parameter: float = 0.0) -> np.ndarray:
    """The public code's rows of such entries, centred: (num_rows, dim) from numpy's ``default_rng(0)``."""
    rng, shape = np.random.default_rng(0), (num_rows, dim)
    if distribution == "gaussian":
        rows = rng.standard_normal(shape)
    elif distribution == "laplace":
        rows = rng.laplace(size=shape)
    elif distribution == "student_t":
        rows = rng.standard_t(parameter, size=shape)
    elif distribution == "lognormal":
        rows = rng.lognormal(sigma=parameter, size=shape)
    else:
        assert_never(distribution)
    return (rows - rows.mean(axis=0)) / _mean_and_deviation(distribution, parameter)[1]


def _mean_and_deviation(distribution: Distribution, parameter: float) -> tuple[float, float]:
    if distribution == "gaussian":
        return 0.0, 1.0
    if distribution == "laplace":
        return 0.0, np.sqrt(2)
    if distribution == "student_t":
        return 0.0, np.sqrt(parameter / (parameter - 2))
    if distribution == "lognormal":
        variance = parameter**2
        return np.exp(variance / 2), np.sqrt(np.expm1(variance) * np.exp(variance))
    assert_never(distribution)


def _student_t(key: jax.Array, shape: tuple[int, ...], degrees: float) -> jax.Array:
    """Stretches a pair of normal variates to the radius of Student's t (Bailey 1994, equation 2): no rejection."""
    # Two keys: XLA does not vectorise the generator through slices of one larger draw, which is five times slower.
    x, y = (jax.random.normal(k, shape) for k in jax.random.split(key))
    square = x**2 + y**2 + 1e-30  # never 0 / 0
    return x * jnp.sqrt(degrees * jnp.expm1(square / degrees) / square)

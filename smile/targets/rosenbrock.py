"""Rosenbrock's banana: dim/2 independent pairs, x ~ N(1, 1), y | x ~ N(x^2, 0.1). Position: all x, then all y."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import Moments, Target
from smile.options import even, option, require
from smile.targets.options import BenchmarkTarget

__all__ = ["Rosenbrock", "rosenbrock"]

_DIM = even(2)

_SPREAD = 0.1  # variance of y given x


def rosenbrock(*, dim: int = 10) -> Target:
    """The Rosenbrock density in ``dim`` (even) dimensions; chains start at x = 1, y = 2.

    Raises:
        ValueError: where ``dim`` is odd or below 2.
    """
    require("dim", dim, _DIM)
    half = dim // 2

    def logdensity(position: jax.Array, batch: object) -> jax.Array:
        x, y = position[:half], position[half:]
        return -0.5 * jnp.sum((x - 1) ** 2 + (x**2 - y) ** 2 / _SPREAD, axis=0)

    def sample(key: jax.Array, n: int) -> jax.Array:
        xi = jax.random.normal(key, (n, dim))
        x = 1 + xi[:, :half]
        return jnp.concatenate([x, x**2 + np.sqrt(_SPREAD) * xi[:, half:]], axis=1)

    def repeat(x: float, y: float) -> np.ndarray:
        return np.repeat([x, y], half)

    # E y^2 = E x^4 + s = 10 + s; Var y^2 = E x^8 + 6 s E x^4 + 3 s^2 - (10 + s)^2 with E x^8 = 764.
    mean_y = 10 + _SPREAD
    variance_y = 764 + 60 * _SPREAD + 3 * _SPREAD**2 - mean_y**2
    moments = {"exact": Moments(repeat(2.0, mean_y), repeat(6.0, variance_y))}
    # Monte-Carlo constants of the public code (docs/deviations.md, A4).
    if dim == 10:
        moments["reference"] = Moments(repeat(2.0, 10.10017429), repeat(6.00036273, 668.69693635))
    return Target(
        name="rosenbrock",
        dim=dim,
        init=lambda key: jnp.asarray(repeat(1.0, 2.0), jnp.zeros(()).dtype),
        logdensity=logdensity,
        sample=sample,
        moments=moments,
        handles_chains=True,
        is_finite=True,
        published=tuple(range(dim)),
        noise_length=1.414,
    )


@dataclass(frozen=True, kw_only=True)
class Rosenbrock(BenchmarkTarget):
    """``target=rosenbrock``."""

    dim: int = option(_DIM)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_moments(dim=10)

    def _target(self) -> Target:
        """Rosenbrock's banana."""
        return rosenbrock(dim=self.dim)

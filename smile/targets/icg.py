"""Ill-conditioned Gaussian: mean zero, covariance Q diag(s^2) Q^T with scales s spread over ``condition_number``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import Frame, Moments, Target
from smile.options import SEED, either, integer, number, option, require
from smile.targets.options import BenchmarkTarget

__all__ = ["ICG", "covariance_factor", "icg", "rotation_matrix", "scales"]

_OTHER_ROTATION = 43  # of the public code's injected noise
_DIM, _CONDITION_NUMBER = integer(2), number(at_least=1)

# The public code's constants: E[x_i^2] of the default target, printed to four decimals.
_REFERENCE = np.array([4.3956, 41.4008, 0.5971, 15.0558, 6.3140, 4.1495, 22.0538, 45.1106, 14.0962, 2.9201])


def scales(dim: int, condition_number: float) -> np.ndarray:
    """Standard deviations along the principal axes, log-spaced around one, (dim,)."""
    half = 0.5 * np.log10(condition_number)
    return np.logspace(-half, half, dim)


def rotation_matrix(seed: int | None, dim: int) -> np.ndarray:
    """Orthogonal factor of a standard normal matrix of numpy's ``default_rng(seed)``; None: the identity."""
    if seed is None:
        return np.eye(dim)
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


def covariance_factor(dim: int, condition_number: float, rotation: int | None) -> np.ndarray:
    """A with A A^T = Q diag(scales^2) Q^T, (dim, dim)."""
    return rotation_matrix(rotation, dim) * scales(dim, condition_number)


def icg(*, dim: int = 10, condition_number: float = 100.0, rotation: int | None = 1) -> Target:
    """The ill-conditioned Gaussian; chains start at zero.

    Args:
        dim: dimension, at least 2.
        condition_number: ratio of the largest to the smallest standard deviation, at least 1.
        rotation: seed of the rotation; None keeps the principal axes on the coordinate axes.

    Raises:
        ValueError: where an argument is out of range.
    """
    require("dim", dim, _DIM)
    require("condition_number", condition_number, _CONDITION_NUMBER)
    factor = covariance_factor(dim, condition_number, rotation)
    whitening = rotation_matrix(rotation, dim) / scales(dim, condition_number)
    second = np.sum(factor**2, axis=1)
    moments = {"exact": Moments(second, 2 * second**2)}
    if (dim, condition_number, rotation) == (10, 100.0, 1):
        moments["reference"] = Moments(_REFERENCE, 2 * _REFERENCE**2)
    quadratic = _half_quadratic_form(whitening @ whitening.T)

    def sample(key: jax.Array, n: int) -> jax.Array:
        xi = jax.random.normal(key, (n, dim))
        return jnp.matmul(xi, jnp.asarray(factor.T, xi.dtype), precision="highest")

    return Target(
        name="icg",
        dim=dim,
        init=lambda key: jnp.zeros(dim),
        logdensity=lambda position, batch: -quadratic(position),
        sample=sample,
        moments=moments,
        handles_chains=True,
        is_finite=True,
        published=tuple(range(dim)),
        frame=Frame(rotation, condition_number, _OTHER_ROTATION + (rotation == _OTHER_ROTATION)),
        noise_length=6.5,
    )


def _half_quadratic_form(precision: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """x^T P x / 2 over the first axis, whose derivative reuses P x: autodiff would multiply by P twice."""

    def product(x: jax.Array) -> jax.Array:
        return jnp.tensordot(jnp.asarray(precision, x.dtype), x, 1, precision="highest")

    @jax.custom_jvp
    def form(x: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(x * product(x), axis=0)

    @form.defjvp
    def derivative(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
        (x,), (dx,) = primals, tangents
        px = product(x)
        return 0.5 * jnp.sum(x * px, axis=0), jnp.sum(px * dx, axis=0)

    return form


@dataclass(frozen=True, kw_only=True)
class ICG(BenchmarkTarget):
    """``target=icg``."""

    dim: int = option(_DIM)
    condition_number: float = option(_CONDITION_NUMBER)
    rotation: int | None = option(either({"none": None, None: None}, SEED))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_moments(dim=10, condition_number=100, rotation=1)

    def _target(self) -> Target:
        """The ill-conditioned Gaussian."""
        return icg(dim=self.dim, condition_number=self.condition_number, rotation=self.rotation)

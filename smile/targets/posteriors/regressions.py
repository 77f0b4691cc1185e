"""Regressions on the tables that come with scikit-learn."""

from __future__ import annotations

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from smile.extras import need
from smile.targets.posteriors.rows import RowModel

__all__ = ["logistic", "poisson", "softmax", "standard_normal", "standardised", "student_t", "table"]

_NU = 4.0  # degrees of freedom of the robust regression


def logistic() -> RowModel:
    """Malignant or benign from 30 standardised features and an intercept (breast cancer, N = 569, d = 31)."""
    x, y = table("breast_cancer")

    def log_likelihood(beta: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return -jax.nn.softplus((1 - 2 * y) * (x @ beta))

    return RowModel((_with_intercept(x), y), x.shape[1] + 1, standard_normal, log_likelihood)


def softmax() -> RowModel:
    """The digit from 64 pixels and an intercept, one coefficient for each class (N = 1797, d = 650)."""
    need("sklearn", "target=digits_softmax")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = np.concatenate([images / 16, np.ones((len(images), 1))], axis=1)
    one_hot = np.eye(10)[labels]

    def log_likelihood(position: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = x @ position.reshape(x.shape[1], 10)
        return jnp.sum(logits * y, axis=1) - jax.nn.logsumexp(logits, axis=1)

    return RowModel((x, one_hot), 10 * x.shape[1], standard_normal, log_likelihood)


def poisson() -> RowModel:
    """Counts, the progression of diabetes in units of ten, with a log link (N = 442, d = 11).

    The counts vary four times as much as Poisson's: the noise of batches is more than the Fisher information says.
    """
    x, y = table("diabetes")

    def log_likelihood(beta: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        eta = x @ beta
        return y * eta - jnp.exp(eta)

    return RowModel((_with_intercept(x), np.round(y / 10)), x.shape[1] + 1, standard_normal, log_likelihood)


def student_t() -> RowModel:
    """Progression of diabetes with residuals of four degrees of freedom and an unknown scale (N = 442, d = 12)."""
    x, y = table("diabetes")

    def log_likelihood(position: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        beta, log_scale = position[:-1], position[-1]
        z = (y - x @ beta) * jnp.exp(-log_scale)
        return -0.5 * (_NU + 1) * jnp.log1p(z**2 / _NU) - log_scale

    return RowModel((_with_intercept(x), standardised(y)), x.shape[1] + 2, standard_normal, log_likelihood)


def standard_normal(position: jax.Array) -> jax.Array:
    """Log density of independent standard normals."""
    return -0.5 * jnp.sum(position**2) - 0.5 * math.log(2 * math.pi) * position.size


@cache
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features and the raw target of a data set of scikit-learn."""
    need("sklearn", f"a posterior of the {name} data")
    from sklearn import datasets  # here: it takes a second

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return standardised(x), y.astype(np.float64)


def standardised(x: np.ndarray) -> np.ndarray:
    """Mean zero and standard deviation one, column by column."""
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _with_intercept(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)

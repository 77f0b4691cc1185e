"""Gradients of ``model.dtype=bfloat16`` with chains of float32, on a linear regression whose posterior is known.

SGLD is linear on it: its stationary law is known at any step size, and what differs is what half precision does.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from smile import random
from smile.base import Target
from smile.kernels import sgld
from smile.models import from_flax
from smile.sampling import sample, trailing_chains
from smile.targets import Prior, bnn
from smile.targets.bnn import Likelihood
from smile.tuners import constant, tuned

ROWS, CHAINS, STEPS = 64, 100, 5000
MEAN = np.array([1.2, -2.3, 0.7])  # bfloat16 has spacings of 1/128, 1/64 and 1/256 around these
X = np.random.default_rng(0).normal(size=(ROWS, 3))


class Linear(nn.Module):
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(1, use_bias=False, dtype=self.dtype)(x).astype(jnp.float32)


def errors_of(dtype: jnp.dtype, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of the chains less those of the recursion, in standard errors; and variances, relative.

    Args:
        dtype: of the network.
        noise: standard deviation of y, known; the prior is N(0, 1), the posterior N(MEAN, 1 / (1 + X^T X / noise^2)).
    """
    precision = np.eye(3) + X.T @ X / noise**2
    y = X @ (MEAN + noise**2 * np.linalg.solve(X.T @ X, MEAN))
    gaussian = Likelihood(
        1,
        False,
        lambda outputs, log_sd: outputs[:, 0],
        lambda mean, y: -0.5 * ((y - mean) / noise) ** 2 - math.log(noise),
    )
    data = jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.float32)
    posterior = bnn(from_flax(Linear(dtype)), gaussian, Prior(), data, ROWS)
    target = Target(
        "regression",
        3,
        lambda key: jnp.asarray(MEAN, jnp.float32),
        lambda position, batch: posterior.logdensity(position, data),
        lambda key, chains: (),
    )
    step = 0.3 / np.linalg.eigvalsh(precision)[-1]
    target = trailing_chains(target)
    samples = sample(
        target,
        tuned(sgld(target.logdensity), constant()),
        np.full(CHAINS, step),
        key=random.key(0),
        num_steps=STEPS,
        thinning=5,
        burn_in=STEPS // 5,
    )
    draws = samples.draws.astype(np.float64) - MEAN
    second = np.einsum("cti,ctj->cij", draws, draws) / draws.shape[1]
    expected = solve_discrete_lyapunov(np.eye(3) - step * precision, 2 * step * np.eye(3))
    scores = [
        (found.mean(0) - truth) / (found.std(0, ddof=1) / math.sqrt(CHAINS))
        for found, truth in ((draws.mean(1), 0.0), (second, expected))
    ]
    return *scores, np.diag(second.mean(0)) / np.diag(expected)


def test_a_posterior_wider_than_the_spacing_of_its_weights_is_left_alone():
    """Standard deviations of 1/8, 8 to 32 spacings: within 4.5 standard errors, which are half a percent."""
    mean, covariance, variances = errors_of(jnp.bfloat16, noise=1.0)
    assert np.abs(mean).max() < 4.5 and np.abs(covariance).max() < 4.5
    np.testing.assert_allclose(variances, 1, atol=0.04)


def test_a_posterior_narrower_than_the_spacing_is_not():
    """Of standard deviations of 1/800: float32 has its law, gradients of bfloat16 do not see where a chain is."""
    mean, covariance, _ = errors_of(jnp.float32, noise=0.01)
    assert np.abs(mean).max() < 4.5 and np.abs(covariance).max() < 4.5
    mean, covariance, variances = errors_of(jnp.bfloat16, noise=0.01)
    assert np.abs(mean).max() > 20 and variances.max() > 1.5

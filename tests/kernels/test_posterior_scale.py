"""The posterior's scale from mini-batches of a Bayesian linear regression, whose posterior is known exactly.

The design is orthogonal, so that the diagonal of the Fisher information is all of it; one coordinate has no data.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.base import Subsampling, Target
from smile.kernels import posterior_scale, smile
from smile.sampling import sample, trailing_chains
from smile.tuners import constant, tuned

NUM_ROWS, BATCH, NOISE_SD, PRIOR_SD = 4000, 40, 0.5, 0.2
COLUMN_SCALE = np.array([0.03, 0.1, 0.3, 1.0, 3.0, 0.0])  # root mean squares; the last one carries no data
DIM = len(COLUMN_SCALE)


def regression() -> tuple[np.ndarray, np.ndarray]:
    """Rows and outcomes; columns of the design are orthogonal."""
    rng = np.random.default_rng(3)
    columns = np.linalg.qr(rng.normal(size=(NUM_ROWS, DIM)))[0] * np.sqrt(NUM_ROWS) * COLUMN_SCALE
    return columns, columns @ rng.normal(size=DIM) * PRIOR_SD + rng.normal(size=NUM_ROWS) * NOISE_SD


X, Y = regression()
PRECISION = NUM_ROWS * COLUMN_SCALE**2 / NOISE_SD**2 + PRIOR_SD**-2.0
POSTERIOR_SD = PRECISION**-0.5
POSTERIOR_MEAN = X.T @ Y / NOISE_SD**2 / PRECISION
SUBSAMPLING = Subsampling(NUM_ROWS, BATCH, PRIOR_SD)


def target() -> Target:
    """Starts in an exact draw and sees batches of rows."""
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)
    mean, sd = jnp.asarray(POSTERIOR_MEAN, jnp.float32), jnp.asarray(POSTERIOR_SD, jnp.float32)

    def logdensity(theta, rows):
        residual = (y[rows] - x[rows] @ theta) / NOISE_SD
        return -0.5 * NUM_ROWS / BATCH * jnp.sum(residual**2) - 0.5 * jnp.sum((theta / PRIOR_SD) ** 2)

    return trailing_chains(
        Target(
            "regression",
            DIM,
            lambda key: mean + sd * jax.random.normal(key, (DIM,)),
            logdensity,
            lambda key, chains: jax.random.randint(key, (*chains, BATCH), 0, NUM_ROWS),
            subsampling=SUBSAMPLING,
        )
    )


def test_the_scale_is_the_posterior_sd_times_the_root_of_the_dimension():
    """Averaged over chains, whose estimates of 100 gradients each scatter by a twentieth."""
    chains, problem, preconditioner = 400, target(), posterior_scale(SUBSAMPLING)
    kernel = smile(problem.logdensity, preconditioner=preconditioner)
    keys = jax.random.split(random.key(0), 400)
    positions = jax.vmap(problem.init, out_axes=-1)(jax.random.split(random.key(1), chains))

    def one_step(state, key):
        key_batch, key_step = jax.random.split(key)
        batch = problem.draw_batch(key_batch, (chains,))
        state, _ = kernel.step(key_step, state, batch, jnp.full(chains, 0.03))
        return state, (state.position, preconditioner.scale(state.preconditioner, 1))

    start = kernel.init(positions, random.key(2), problem.draw_batch(random.key(3), (chains,)))
    _, (path, scale) = jax.lax.scan(one_step, start, keys)
    log_sd = np.log(np.asarray(scale[-1], np.float64) / np.sqrt(DIM))
    error = log_sd.std(axis=1, ddof=1) / np.sqrt(chains)
    # A twentieth of scatter makes the mean of the logarithm a quarter of a percent too large.
    assert (np.abs(log_sd.mean(axis=1) - np.log(POSTERIOR_SD)) < 4.5 * error + 0.01).all()
    assert error.max() < 0.01  # of what is between the narrowest and the widest, a factor of 70

    # Nothing moves before 100 gradients have been seen; then a step is this many posterior deviations long in all.
    steps = np.diff(np.asarray(path, np.float64), axis=0) / POSTERIOR_SD[:, None]
    assert (steps[:98] == 0).all()
    length = np.sqrt((steps[100:] ** 2).sum(axis=1))
    np.testing.assert_allclose(np.median(length), 0.03 * np.sqrt(DIM), rtol=0.05)


def moments(step_size: float, length: float | None) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Mean and covariance in units of the exact posterior, each with its standard error."""
    chains, problem = 100, target()
    kernel = smile(
        problem.logdensity, preconditioner=posterior_scale(SUBSAMPLING), momentum_decoherence_length=length
    )
    samples = sample(
        problem,
        tuned(kernel, constant()),
        np.full(chains, step_size),
        key=random.key(4),
        num_steps=50_000,
        thinning=20,
        burn_in=2000,
    )
    z = (samples.draws.astype(np.float64) - POSTERIOR_MEAN) / POSTERIOR_SD
    second = np.einsum("cti,ctj->cij", z, z) / z.shape[1]
    return tuple((x.mean(axis=0), x.std(axis=0, ddof=1) / np.sqrt(chains)) for x in (z.mean(axis=1), second))


def test_the_posterior_comes_out_at_a_small_step():
    """With a refresh, next to which the noise of the batches does not matter; no one of 42 in a thousand fails."""
    (mean, mean_error), (second, second_error) = moments(0.003, length=0.3)
    assert mean_error.max() < 0.03 and second_error.max() < 0.03
    assert (np.abs(mean) < 4.5 * mean_error).all()
    assert (np.abs(second - np.eye(DIM)) < 4.5 * second_error + 0.02).all()


def test_without_a_refresh_only_what_the_data_say_is_warm():
    """The batches are the only noise: a coordinate that has none cools down to its mode, the others take its energy."""
    _, (second, _) = moments(0.03, length=None)
    variance = np.diag(second)
    assert variance[-1] < 1e-6 and 0.6 < variance[0] < 0.9
    assert (variance[1:5] > 1.2).all() and (variance < 1.7).all()


def test_a_tree_of_prior_deviations_and_what_is_refused():
    position = {"a": jnp.zeros((2, 3)), "b": jnp.zeros((4, 3))}
    whole = posterior_scale(Subsampling(100, 10, {"a": jnp.array([1.0, 2.0]), "b": 0.5}))
    state = whole.init(position, 1)._replace(num_updates=jnp.full(3, 100))
    scale = whole.scale(state, 1)
    np.testing.assert_allclose(scale["a"][:, 0], np.sqrt(6) * np.array([1, 2]), rtol=1e-6)
    np.testing.assert_allclose(scale["b"], np.sqrt(6) * 0.5, rtol=1e-6)
    for batch in (0, 100, 101):
        with pytest.raises(ValueError, match=f"batch_size={batch}: .* below the num_rows=100"):
            posterior_scale(Subsampling(100, batch))

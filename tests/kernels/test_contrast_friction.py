"""Contrast friction: its contrasts, its law on Gaussians under noise of any covariance, its weights and its cost.

Thresholds are those of test_stationary.py, 4.5 standard errors.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_stationary import COVARIANCE, DIM, MEAN, ROTATION, assert_agrees, gaussian

from smile import random
from smile.base import Build, Subsampling
from smile.execute.problem import stacked
from smile.kernels import contrast_friction
from smile.kernels.contrasts import contrasts, cooled
from smile.options import ConfigError
from smile.preflight import compose
from smile.sampling import sample
from smile.sampling.weights import equally_weighted
from smile.tuners import constant, tuned

U = 0.05
NOISES = {
    "isotropic": 6.0 * np.eye(DIM),
    "correlated": ROTATION[:, ::-1] @ np.diag([2.0, 6.0, 12.0]),
}


def moments(target, chains=200, num_steps=30_000, **options):
    target = stacked(target, options.get("parts", 3))
    algorithm = tuned(contrast_friction(target.logdensity, **options), constant())
    samples = sample(
        target, algorithm, np.full(chains, U), key=random.key(3), num_steps=num_steps, thinning=10,
        burn_in=num_steps // 5,
    )  # fmt: skip
    draws = samples.draws.astype(np.float64) - MEAN
    second = np.einsum("cti,ctj->cij", draws, draws) / draws.shape[1]
    found = [(x.mean(0), x.std(0, ddof=1) / np.sqrt(chains)) for x in (draws.mean(1), second)]
    return found, samples


@pytest.mark.parametrize("parts", [3, 5])
def test_contrasts_are_orthogonal_to_the_mean_and_as_long(parts):
    """Of independent gradients with one covariance, each then has an M-th of it, and they share nothing."""
    coefficients = np.array([contrasts(column) for column in np.eye(parts, dtype=np.float32)]).T
    np.testing.assert_allclose(coefficients @ coefficients.T, np.eye(parts) / parts, atol=1e-7)
    np.testing.assert_allclose(contrasts([2.0] * parts), [2] + [0] * (parts - 1), atol=1e-6)


def test_friction_takes_from_the_temperature_what_the_contrasts_have():
    """A A^T exactly, of contrasts that are not orthogonal, in a tree; where they are too strong, nothing is left."""
    found = np.float32([[0.5, 0.1, 0.0, 0.2, 0.3], [0.4, 0.2, 0.1, 0.1, 0.3], [0.0, 0.3, -0.5, 0.1, 0.2]])

    def as_tree(vector):
        return {"a": vector[:2], "b": vector[2:].reshape(3, 1)}

    def columns(directions, share):
        contrasts = [as_tree(jnp.asarray(d)) for d in directions]
        images = [cooled(as_tree(jnp.asarray(e)), contrasts, share, 0) for e in np.eye(5, dtype=np.float32)]
        return np.array([np.concatenate([x["a"], x["b"][:, 0]]) for x in images]).T

    a = columns(found, 0.8)
    np.testing.assert_allclose(a @ a.T, np.eye(5) - 0.8 * found.T @ found, atol=1e-6)
    strong = columns(found[:1], 100.0)
    np.testing.assert_allclose(strong @ found[0], 0, atol=1e-6)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_target_is_left_invariant_whatever_the_covariance_of_the_noise(noise):
    (mean, covariance), samples = moments(gaussian(noise))
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, COVARIANCE, relative=0.01)
    # weighted sums say the same as equally weighted draws
    assert_agrees((samples.mean.mean(0) - MEAN, mean[1]), np.zeros(DIM))


@pytest.mark.parametrize("most_noise", [0.3, None])
def test_more_parts_and_masses_leave_it_invariant_too(most_noise):
    """Under noise that is neither isotropic nor independent between coordinates."""
    (mean, covariance), _ = moments(
        gaussian(NOISES["correlated"]), num_steps=15_000, parts=6, mass="noise", most_noise=most_noise
    )
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, COVARIANCE, relative=0.01)


def growing(x):
    """How much noisier gradients are than where the first coordinate is small."""
    return 1 + 2 * jax.nn.sigmoid(3 * (x[0] - MEAN[0]))


def test_noise_that_changes_with_the_position_does_not_bias_weighted_averages():
    base = gaussian(NOISES["correlated"])

    def logdensity(x, batch):
        return base.logdensity(x, jnp.zeros_like(x)) + jax.lax.stop_gradient(growing(x)) * jnp.sum(
            x * batch, axis=0
        )

    (mean, covariance), _ = moments(base.replace(logdensity=logdensity), num_steps=60_000)
    assert_agrees(mean, np.zeros(DIM), relative=0.01)
    assert_agrees(covariance, COVARIANCE, relative=0.02)


def test_draws_of_equal_weight_have_the_weighted_moments():
    rng = np.random.default_rng(0)
    draws, weights = rng.standard_normal((3, 4000, 2)), rng.uniform(0.2, 2, (3, 4000))
    weights[:, ::7] = 0
    chosen = equally_weighted(draws, weights)
    expected = (weights[..., None] * draws).sum(1) / weights.sum(1)[:, None]
    assert np.abs(chosen.mean(1) - expected).max() < 4.5 / 4000**0.5 * 0.5
    assert not np.isin(chosen, draws[:, ::7]).any()
    np.testing.assert_array_equal(equally_weighted(draws, np.ones((3, 4000))), draws)
    assert np.isnan(equally_weighted(draws, np.zeros((3, 4000)))).all()


def test_the_chain_stands_still_and_counts_nothing_while_the_noise_is_measured():
    target = stacked(gaussian(NOISES["isotropic"]), 3)
    kernel = contrast_friction(target.logdensity, measured_steps=5)
    x, chains = jnp.tile(jnp.asarray(MEAN, jnp.float32)[:, None], (1, 4000)), (4000,)
    state = kernel.init(x, random.key(0), target.draw_batch(random.key(1), chains))
    for i in range(5):
        np.testing.assert_array_equal(state.position, x)
        np.testing.assert_array_equal(kernel.weight(state), 0)
        batch = target.draw_batch(random.key(2 + i), chains)
        state, info = kernel.step(random.key(9), state, batch, jnp.full(chains, U))
    assert (kernel.weight(state) > 0).all() and info.gradient_evaluations == 3
    # three gradients of variance 36: a third of it in each coordinate of the mean, and so in the contrasts
    error = 4.5 * np.sqrt(2 * DIM / 10) * 12 / np.sqrt(4000)
    assert abs(float(state.noise.mean()) - 12 * DIM) < error


def test_a_chain_that_moves_measures_until_masses_are_frozen():
    target = stacked(gaussian(NOISES["isotropic"]), 3)
    kernel = contrast_friction(target.logdensity, mass="noise", measured_steps=2, freeze_after=4)
    x, chains = jnp.tile(jnp.asarray(MEAN, jnp.float32)[:, None], (1, 4)), (4,)
    state, step = (
        kernel.init(x, random.key(0), target.draw_batch(random.key(1), chains)),
        jax.jit(kernel.step),
    )
    moves, learns = [], []
    for i in range(6):
        new, _ = step(random.key(9), state, target.draw_batch(random.key(2 + i), chains), jnp.full(chains, U))
        moves.append(bool((new.position != state.position).all()))
        learns.append(bool((new.noise != state.noise).all()))
        state = new
    assert moves == [False, False, True, True, True, True]
    assert learns == [True, True, True, True, False, False]


@pytest.mark.parametrize(("rows", "valid"), [(2, "a batch of 2 rows"), (0, "a batch of 0 rows")])
def test_a_batch_that_cannot_be_divided_is_refused(rows, valid):
    kernel = contrast_friction(lambda x, batch: jnp.sum(x) * jnp.sum(batch))
    batch = jnp.ones(rows) if rows else jnp.float32(1)
    with pytest.raises(ValueError, match=valid):
        kernel.init(jnp.ones(3), random.key(0), batch)


def test_it_is_refused_where_there_is_no_noise_or_no_weight():
    with pytest.raises(
        ConfigError, match=r"^noise: got 'none'; valid: any other with sampler=contrast_friction"
    ):
        compose(["sampler=contrast_friction", "noise=none"])
    with pytest.raises(ConfigError, match=r"^target\.batch_size|^noise"):
        compose(["sampler=contrast_friction", "target=breast_cancer", "target.batch_size=full"])
    network = ["sampler=contrast_friction", "target=bnn"]
    assert compose(network).step_size == (0.1,)
    with pytest.raises(ConfigError, match=r"^sampler: got 'contrast_friction'.*sampler\.most_noise=null"):
        compose([*network, "sampler.most_noise=0.3"])
    with pytest.raises(ConfigError, match=r"^target\.batch_size: got null.*lives on noise"):
        compose([*network, "target.batch_size=null"])
    with pytest.raises(ConfigError, match=r"^sampler\.measured_steps: got 100.*burn_in=50"):
        compose([*network, "burn_in=50"])
    with pytest.raises(ConfigError, match=r"^target\.batch_size: got 6.*sampler\.parts=10"):
        compose(network).sampler.build(Build(8, subsampling=Subsampling(100, 6)))
    with pytest.raises(ConfigError, match=r"^sampler\.measured_steps: got 100.*below num_steps=100"):
        compose(["sampler=contrast_friction", "target=icg", "num_steps=100"])

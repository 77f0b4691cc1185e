"""Stationary mean and covariance of every kernel on Gaussians, with exact and with noisy gradients.

All chains are independent, so the standard error of any average over a chain is the spread between chains, whatever
the autocorrelation. SGLD and SGHMC are linear on a Gaussian: their stationary covariance is known at any step size,
including what the discretisation and the gradient noise do to it.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq

from smile import random
from smile.base import Target
from smile.kernels import adasghmc, ccadl, gradient_noise, psgld, sghmc, sgld, sgnht, smile
from smile.sampling import sample
from smile.targets.icg import rotation_matrix
from smile.tuners import Tuner, constant, energy_variance, tuned

DIM = 3
MEAN = np.array([1.0, -2.0, 0.5])
ROTATION = rotation_matrix(5, DIM)
COVARIANCE = ROTATION @ np.diag([0.5, 1.0, 2.0]) @ ROTATION.T
ANISOTROPIC = np.diag([0.2, 1.0, 5.0])  # scales of the gradient noise


def gaussian(noise_factor: np.ndarray | None = None, covariance: np.ndarray = COVARIANCE) -> Target:
    """N(MEAN, covariance) whose gradient has noise of covariance ``noise_factor noise_factor^T``."""
    precision = jnp.asarray(np.linalg.inv(covariance))

    def logdensity(x, batch):
        y = x - MEAN.reshape(-1, *(1,) * (x.ndim - 1))
        return -0.5 * jnp.sum(y * jnp.tensordot(precision, y, 1), axis=0) + (
            0 if noise_factor is None else jnp.sum(x * batch, axis=0)
        )

    def draw_batch(key, chains):
        if noise_factor is None:
            return ()
        return jnp.tensordot(jnp.asarray(noise_factor), jax.random.normal(key, (DIM, *chains)), 1)

    return Target("gaussian", DIM, lambda key: jnp.asarray(MEAN), logdensity, draw_batch, handles_chains=True)


def moments(target, kernel, step_size, num_steps, *, chains=200, seed=0, tuner: Tuner | None = None):
    """Mean and covariance about MEAN over all chains, each with its standard error."""
    samples = sample(
        target,
        tuned(kernel(target.logdensity), tuner or constant()),
        np.full(chains, step_size),
        key=random.key(seed),
        num_steps=num_steps,
        thinning=5,
        burn_in=num_steps // 5,
    )
    draws = samples.draws.astype(np.float64) - MEAN
    assert draws.shape[1] > 500
    second = np.einsum("cti,ctj->cij", draws, draws) / draws.shape[1]
    return [(x.mean(0), x.std(0, ddof=1) / np.sqrt(chains)) for x in (draws.mean(1), second)]


def assert_agrees(estimate, truth, relative=0.0):
    """Within 4.5 standard errors; ``relative`` allows for the error of a finite step size."""
    mean, error = estimate
    np.testing.assert_array_less(np.abs(mean - truth), 4.5 * error + relative * np.abs(truth).max())


NOISES = {"exact": None, "isotropic": 2.0 * np.eye(DIM), "anisotropic": ROTATION @ ANISOTROPIC}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_sgld_has_the_law_of_its_recursion(noise):
    step = 0.05
    mean, covariance = moments(gaussian(noise), sgld, step, 10_000)
    injected = 2 * step * np.eye(DIM) + (0 if noise is None else step**2 * noise @ noise.T)
    expected = solve_discrete_lyapunov(np.eye(DIM) - step * np.linalg.inv(COVARIANCE), injected)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, expected)
    if noise is not None:  # what the noise does is large enough to be seen
        assert np.linalg.norm(expected - COVARIANCE) > 6 * np.linalg.norm(covariance[1])


def test_sgld_temperature():
    _, covariance = moments(gaussian(), lambda f: sgld(f, temperature=0.3), 0.02, 20_000)
    assert_agrees(covariance, 0.3 * COVARIANCE, relative=0.025)


def test_psgld_with_a_frozen_metric_has_the_law_of_its_recursion():
    """The metric is that of the first gradient, the same for all chains: known, and of first order in the step."""
    target = gaussian().replace(init=lambda key: jnp.asarray(MEAN + 1))
    precision = np.linalg.inv(COVARIANCE)
    metric = np.diag(1 / (0.5 + np.abs(precision @ np.ones(DIM))))

    def law(step):
        return solve_discrete_lyapunov(np.eye(DIM) - step * metric @ precision, 2 * step * metric)

    kernel = lambda f: psgld(f, damping=0.5, freeze_after=1)  # noqa: E731
    mean, covariance = moments(target, kernel, 0.2, 10_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, law(0.2))
    errors = [np.linalg.norm(law(step) - COVARIANCE) for step in (0.2, 0.1)]
    assert errors[0] > 6 * np.linalg.norm(covariance[1])
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.1)


def test_psgld_without_gamma_is_biased_by_a_metric_that_follows_the_position():
    """At a step size that hardly matters: the metric is shorter where the gradient is, so that tails are too wide."""
    target = gaussian(None, ALONG_AXES).replace(init=lambda key: jnp.asarray(MEAN + 1))
    wide = [moments(target, lambda f, r=r: psgld(f, rate=r), 0.01, 20_000) for r in (0.5, 0.001)]
    for mean, _ in wide:
        assert_agrees(mean, np.zeros(DIM))
    fast, slow = (ratios(covariance) for _, covariance in wide)
    assert fast.min() > 1.1
    np.testing.assert_allclose(slow, 1, atol=0.08)


def test_psgld_divides_by_the_debiased_root_mean_square():
    kernel, key = psgld(gaussian().logdensity, rate=0.3), random.key(0)
    state, squares = kernel.init(jnp.asarray(MEAN + 1, jnp.float32), key, ()), []
    for _ in range(4):
        squares.append(np.asarray(np.linalg.inv(COVARIANCE) @ (np.asarray(state.position) - MEAN)) ** 2)
        state, _ = kernel.step(key, state, (), jnp.float32(0.05))
    weights = 0.7 ** np.arange(3, -1, -1)
    np.testing.assert_allclose(state.square, weights @ squares / weights.sum(), rtol=1e-4)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_sghmc_has_the_law_of_its_recursion(noise):
    step, friction = 0.1, 1.5
    mean, covariance = moments(gaussian(noise), lambda f: sghmc(f, friction=friction), step, 10_000)
    precision, identity = np.linalg.inv(COVARIANCE), np.eye(DIM)
    kick = np.hstack([-step * precision, (1 - friction * step) * identity])
    drift = np.hstack([identity, 0 * identity]) + step * kick
    injected = 2 * friction * step * identity + (0 if noise is None else step**2 * noise @ noise.T)
    to_state = np.vstack([step * identity, identity])
    expected = solve_discrete_lyapunov(np.vstack([drift, kick]), to_state @ injected @ to_state.T)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, expected[:DIM, :DIM])
    if noise is not None:
        assert np.linalg.norm(expected[:DIM, :DIM] - COVARIANCE) > 6 * np.linalg.norm(covariance[1])


@pytest.mark.parametrize("noise", [None, np.eye(DIM)], ids=["exact", "isotropic"])
def test_adaptive_sghmc_with_a_frozen_preconditioner_samples_the_target(noise):
    """At a step size at which the noise that it leaves out for that of the gradients, eps^2 S^2, hardly matters."""
    kernel = lambda f: adasghmc(f, freeze_after=2000)  # noqa: E731
    mean, covariance = moments(gaussian(noise), kernel, 0.02, 40_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, COVARIANCE, relative=0.02)


def guarded_smile(reset_quantile):
    """Covariance over the target's, along the diagonal, where divergent steps are undone at a fixed step size."""
    tuner = energy_variance(reset_quantile=reset_quantile, adaptation_probability=0.0)
    kernel = lambda f: smile(f, momentum_decoherence_length=20.0)  # noqa: E731
    _, covariance = moments(gaussian(10 * np.eye(DIM)), kernel, 0.05, 20_000, tuner=tuner)
    return np.diag(covariance[0]) / np.diag(COVARIANCE)


def test_rare_resets_leave_the_target_as_it_is():
    np.testing.assert_allclose(guarded_smile(0.999), 1, atol=0.05)


def test_the_published_reset_quantile_narrows_the_target():
    """A reset undoes the steps with the largest energy changes, which are no random ones: 4 to 7 % here."""
    ratio = guarded_smile(0.98)
    assert ratio.min() > 0.88 and ratio.max() < 0.99


def test_smile_on_the_full_batch_samples_the_target():
    mean, covariance = moments(gaussian(), lambda f: smile(f, momentum_decoherence_length=2.0), 0.2, 20_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, COVARIANCE, relative=0.01)


def noisy_smile(preconditioner):
    return lambda f: smile(f, momentum_decoherence_length=100.0, preconditioner=preconditioner)


PRECONDITIONERS = {"psmile": gradient_noise(), "frozen psmile": gradient_noise(freeze_after=2000)}


@pytest.mark.parametrize("preconditioner", [None, *PRECONDITIONERS.values()], ids=["smile", *PRECONDITIONERS])
def test_isotropic_noise_does_no_harm(preconditioner):
    """Noise ten times as large as the gradient: the case that the paper calls favourable."""
    mean, covariance = moments(gaussian(10 * np.eye(DIM)), noisy_smile(preconditioner), 0.05, 40_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, COVARIANCE, relative=0.02)


ALONG_AXES = np.diag([0.5, 1.0, 2.0])


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_preconditioning_removes_the_bias_of_anisotropic_noise(preconditioner):
    target = gaussian(10 * ANISOTROPIC, ALONG_AXES)
    mean, covariance = moments(target, noisy_smile(preconditioner), 0.02, 50_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, ALONG_AXES, relative=0.05)


def test_without_preconditioning_anisotropic_noise_distorts_the_target():
    """The paper's first failure: too narrow where the noise is weak, too wide where it is strong."""
    _, covariance = moments(gaussian(10 * ANISOTROPIC, ALONG_AXES), noisy_smile(None), 0.02, 50_000)
    ratio = np.diag(covariance[0]) / np.diag(ALONG_AXES)
    assert ratio[0] < 0.3 and ratio[2] > 3


def ratios(estimate):
    """Variances over the target's, along the axes."""
    return np.diag(estimate[0]) / np.diag(ALONG_AXES)


DIFFUSION, STEP = 1.5, 0.05


def assert_thermostat_is_right(kernel, noise, variance):
    """Covariance (1 - eps xi / 2) times the target's, with the friction that balances noise of this variance."""
    friction = (DIFFUSION + STEP * variance / 2) / (1 - STEP * (DIFFUSION + STEP * variance / 2) / 2)
    shrinkage = np.sqrt(1 - STEP * friction / 2)
    expected = ALONG_AXES * np.outer(shrinkage, shrinkage)
    mean, covariance = moments(gaussian(noise, ALONG_AXES), kernel, STEP, 20_000)
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, expected, relative=0.01)


@pytest.mark.parametrize("deviation", [0.0, 6.0], ids=["exact", "isotropic"])
@pytest.mark.parametrize("per_coordinate", [False, True])
def test_a_thermostat_absorbs_isotropic_noise(per_coordinate, deviation):
    """Of a size with which SGHMC of the same friction is half as wide again as the target, and more."""
    kernel = lambda f: sgnht(f, diffusion=DIFFUSION, per_coordinate=per_coordinate)  # noqa: E731
    noise = deviation * np.eye(DIM)
    assert_thermostat_is_right(kernel, noise, np.full(DIM, deviation**2))
    if deviation:
        _, covariance = moments(
            gaussian(noise, ALONG_AXES), lambda f: sghmc(f, friction=DIFFUSION), STEP, 10_000
        )
        assert ratios(covariance).min() > 1.5


UNEQUAL = np.array([1.0, 3.0, 10.0])  # standard deviations of the gradient noise


def test_one_thermostat_for_all_is_too_hot_where_the_noise_is_strong():
    """Temperatures are in the proportion of A + eps v / 2, their mean is one; but for the thermostat's fluctuations."""
    target = gaussian(np.diag(UNEQUAL), ALONG_AXES)
    mean, covariance = moments(target, lambda f: sgnht(f, diffusion=DIFFUSION), STEP, 20_000)
    frictions = DIFFUSION + STEP * UNEQUAL**2 / 2
    expected = frictions / frictions.mean() * (1 - STEP * frictions.mean() / 2)
    assert_agrees(mean, np.zeros(DIM))
    np.testing.assert_allclose(ratios(covariance), expected, rtol=0.06)
    assert expected[0] < 0.6 and expected[2] > 1.5


def test_a_thermostat_per_coordinate_absorbs_noise_along_the_axes():
    kernel = lambda f: sgnht(f, diffusion=DIFFUSION, per_coordinate=True)  # noqa: E731
    assert_thermostat_is_right(kernel, np.diag(UNEQUAL), UNEQUAL**2)


@pytest.mark.parametrize("per_coordinate", [False, True])
def test_the_thermostat_has_the_law_of_the_paper(per_coordinate):
    """xi ~ N(A + eps v / 2, 1 / d), independent of all else: d is 1 for the thermostat of one coordinate."""
    chains, step, deviation = 2000, 0.01, 10.0
    target = gaussian(deviation * np.eye(DIM), ALONG_AXES)
    kernel = sgnht(target.logdensity, diffusion=DIFFUSION, per_coordinate=per_coordinate)

    def one_step(state, key):
        key_batch, key_step = jax.random.split(key)
        batch = target.draw_batch(key_batch, (chains,))
        return kernel.step(key_step, state, batch, jnp.full(chains, step))[0], None

    positions = jnp.tile(jnp.asarray(MEAN, jnp.float32)[:, None], (1, chains))
    start = kernel.init(positions, random.key(1), target.draw_batch(random.key(0), (chains,)))
    state, _ = jax.lax.scan(one_step, start, jax.random.split(random.key(2), 3000))
    thermostat = np.asarray(state.thermostat, np.float64).reshape(-1, chains)
    variance = 1.0 if per_coordinate else 1 / DIM
    count = thermostat.size
    expected = DIFFUSION + step * deviation**2 / 2
    assert abs(thermostat.mean() - expected) < 4.5 * np.sqrt(variance / count) + 0.02 * expected
    assert abs(thermostat.var() / variance - 1) < 4.5 * np.sqrt(2 / count) + 0.02


@pytest.mark.parametrize(("noise", "is_stable"), [(0.9, True), (1.1, False)])
def test_no_friction_cools_a_step_that_heats_the_momentum_beyond_unit_temperature(noise, is_stable):
    """The largest step size of a thermostat is one over the standard deviation of the noise."""
    target = gaussian(noise / STEP * np.eye(DIM), ALONG_AXES)
    algorithm = tuned(sgnht(target.logdensity, diffusion=0.0), constant())
    samples = sample(target, algorithm, np.full(20, STEP), key=random.key(0), num_steps=20_000, thinning=10)
    assert np.isfinite(samples.second_moment).all(1).mean() == (1.0 if is_stable else 0.0)


@pytest.mark.parametrize(
    "deviation", [np.zeros(DIM), np.full(DIM, 6.0), UNEQUAL], ids=["exact", "isotropic", "unequal"]
)
def test_ccadl_absorbs_noise_along_the_axes(deviation):
    """Within what a thermostat that does not fluctuate leaves, and an estimate of the noise that counts the signal."""
    precision, noise = 1 / np.diag(ALONG_AXES), deviation**2

    def law(xi):
        friction = xi + STEP * (noise + precision) / 2
        cooling = friction * (2 - STEP * friction - STEP**2 * precision / 2)
        temperature = (2 * DIFFUSION + STEP * noise) / cooling
        return temperature, 1 - STEP * friction / 2

    temperature, shrinkage = law(brentq(lambda xi: law(xi)[0].mean() - 1, 0.1, 10))
    assert np.abs(temperature - 1).max() < 0.1
    mean, covariance = moments(
        gaussian(np.diag(deviation), ALONG_AXES), lambda f: ccadl(f, diffusion=DIFFUSION), STEP, 20_000
    )
    assert_agrees(mean, np.zeros(DIM))
    assert_agrees(covariance, ALONG_AXES * np.diag(temperature * shrinkage), relative=0.015)


@pytest.mark.parametrize("kernel", [partial(sgnht, per_coordinate=True), ccadl], ids=["sgnht", "ccadl"])
def test_what_works_coordinate_by_coordinate_cannot_absorb_correlated_noise(kernel):
    """With the friction that balances its variances, the noise's covariances are left in the momentum: a sixth less
    than if that friction did not fluctuate with the momentum.
    """
    noise = 36 * (0.2 * np.eye(DIM) + 0.8)
    target = gaussian(np.linalg.cholesky(noise), np.eye(DIM))
    _, (covariance, _) = moments(target, lambda f: kernel(f, diffusion=DIFFUSION), STEP, 10_000)
    left = STEP * noise / 2 / (DIFFUSION + STEP * 36 / 2)
    np.testing.assert_allclose(covariance[~np.eye(DIM, dtype=bool)], left[0, 1], rtol=0.25)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.1)


def test_sghmc_with_a_redrawn_momentum_is_a_random_walk():
    """As in the public code (docs/deviations.md, A1): after n steps a variance of n step_size^2 for any gradient."""
    step, num_steps = 0.05, 1000
    samples = sample(
        gaussian(),
        tuned(sghmc(gaussian().logdensity, momentum="redrawn"), constant()),
        np.full(2000, step),
        key=random.key(0),
        num_steps=num_steps,
        thinning=num_steps,
    )
    end = samples.draws[:, -1].astype(np.float64) - MEAN
    expected = num_steps * step**2
    np.testing.assert_array_less(np.abs(end.mean(0)), 4.5 * np.sqrt(expected / 2000))
    np.testing.assert_allclose(end.var(0) / expected, 1, atol=4.5 * np.sqrt(2 / 2000))

"""The predicted spread against recursions that are solved exactly, and against chains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from smile.base import BatchNoise, Langevin, Subsampling
from smile.execute.analytic import predict
from smile.execute.problem import make_target
from smile.metrics import predicted_sd_ratios
from smile.preflight import compose

ROWS = Subsampling(160, 16)
STIFFNESS = np.array([1.0, 4.0, 25.0])
STRENGTH = np.array([30.0, 5.0, 90.0])


def noise_of(batches=None, strength=STRENGTH):
    return BatchNoise(np.diag(STIFFNESS), np.diag(strength), ROWS, batches)


def linear(stiffness, strength, langevin):
    """Stationary sd ratio of x <- x + eta v, v <- (1 - eta nu) v - eta a x + noise, by a Lyapunov equation."""
    eta, nu = langevin.interval, langevin.friction
    kick = np.array([-eta * stiffness, 1 - eta * nu])
    drift = np.array([1.0, 0.0]) + eta * kick
    variance = 2 * eta * nu + eta**2 * strength
    loaded = np.array([eta, 1.0])
    return np.sqrt(
        solve_discrete_lyapunov(np.array([drift, kick]), variance * np.outer(loaded, loaded))[0, 0]
        * stiffness
    )


def test_friction_that_knows_nothing_heats_by_the_variance_of_the_noise():
    langevin = Langevin(1e-3, 0.1, "nothing")
    expected = [linear(a, s, langevin) for a, s in zip(STIFFNESS, STRENGTH, strict=True)]
    np.testing.assert_allclose(predicted_sd_ratios(noise_of(), langevin), expected, rtol=2e-3)
    assert expected[2] > 1.15


def test_one_friction_for_all_is_shared_out_and_matched_friction_changes_nothing():
    langevin = Langevin(1e-3, 0.0, "mean")
    ratios = predicted_sd_ratios(noise_of(), langevin)
    np.testing.assert_allclose(ratios**2, STRENGTH / STRENGTH.mean(), rtol=1e-9)
    isotropic = noise_of(strength=np.full(3, 7.0))
    np.testing.assert_allclose(predicted_sd_ratios(isotropic, langevin), 1)
    np.testing.assert_allclose(predicted_sd_ratios(noise_of(), langevin._replace(cools="all")), 1)


def test_scaled_coordinates_are_those_of_the_sampler():
    scale = np.array([2.0, 0.5, 1.0])
    ratios = predicted_sd_ratios(noise_of(), Langevin(1e-3, 0.0, "mean", scale=scale))
    np.testing.assert_allclose(ratios**2, STRENGTH * scale**2 / (STRENGTH * scale**2).mean(), rtol=1e-9)


@pytest.mark.parametrize("has_inertia", [True, False])
def test_noise_that_an_epoch_takes_back_heats_as_simulated(has_inertia):
    """A linear chain whose noise sums to zero over every ten steps, of 4,000 chains: within 4.5 standard errors."""
    rng, chains, batches, steps = np.random.default_rng(0), 4000, 10, 3000
    stiffness, strength = 4.0, 400.0
    langevin = Langevin(0.02, 0.5 if has_inertia else 0.0, "nothing", has_inertia)
    eta, nu = langevin.interval, langevin.friction
    x, v = rng.standard_normal((2, chains)) / np.array([[2.0], [1.0]])
    squares = []
    for step in range(steps):
        if step % batches == 0:
            epoch = rng.standard_normal((batches, chains))
            epoch = (epoch - epoch.mean(0)) * np.sqrt(strength * batches / (batches - 1))
        gradient, xi = -stiffness * x + epoch[step % batches], rng.standard_normal(chains)
        if has_inertia:
            v = v + eta * (gradient - nu * v) + np.sqrt(2 * eta * nu) * xi
            x = x + eta * v
        else:
            x = x + eta * gradient + np.sqrt(2 * eta) * xi
        if step > steps // 2:
            squares.append(x**2)
    by_chain = np.mean(squares, axis=0) * stiffness
    expected = predicted_sd_ratios(
        BatchNoise(np.diag([stiffness]), np.diag([strength]), ROWS, batches), langevin
    )[0]
    white = predicted_sd_ratios(BatchNoise(np.diag([stiffness]), np.diag([strength]), ROWS, None), langevin)[
        0
    ]
    discretisation = eta * stiffness if not has_inertia else eta * nu + eta**2 * stiffness
    error = 4.5 * by_chain.std() / np.sqrt(chains) + discretisation * expected**2
    assert abs(by_chain.mean() - expected**2) < error
    assert abs(white**2 - expected**2) > 3 * error


def test_the_posterior_says_its_noise_and_every_sampler_its_equation():
    found = {}
    for sampler in ("smile", "psmile", "sgld", "psgld", "sghmc", "sgnht", "contrast_friction", "ccadl"):
        config = compose(["target=breast_cancer", f"sampler={sampler}", "step_size=0.1"])
        found[sampler] = predict(config, make_target(config), np.array([0.1, 0.1]))
    assert found.pop("ccadl") == {}
    ratios = {name: values["sd_ratio_predicted"] for name, values in found.items()}
    assert ratios["smile"].shape == (2,) and ratios["smile"][0] < 0.8
    assert ratios["sgld"][0] > 1 and ratios["sghmc"][0] > 1
    assert 0.9 < ratios["contrast_friction"][0] < 1

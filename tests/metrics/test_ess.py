"""Effective sample size of the second moments, at 4 standard errors (false alarms: 6e-5) and fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from smile.metrics import second_moment_ess


def of_chains(chains):
    return second_moment_ess(chains, (chains**2).mean(axis=1))


def autoregression(rho, *, replications, draws, dim, seed=0):
    rng = np.random.default_rng(seed)
    noise = np.sqrt(1 - rho**2) * rng.standard_normal((replications, draws, dim))
    chain = np.empty_like(noise)
    chain[:, 0] = rng.standard_normal((replications, dim))
    for t in range(1, draws):
        chain[:, t] = rho * chain[:, t - 1] + noise[:, t]
    return chain


@pytest.mark.parametrize("replications", [2, 7, 28])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99])
def test_an_autoregression_counts_by_its_autocorrelation(rho, replications):
    """Squares have autocorrelation rho^(2k): ESS = n (1 - rho^2) / (1 + rho^2); n for independent draws."""
    draws, dim = 4000, 100
    # 1 / ESS is an unbiased variance estimate, with R - 1 degrees of freedom in each of the independent coordinates.
    inverse = 1 / of_chains(autoregression(rho, replications=replications, draws=draws, dim=dim))
    assert inverse.shape == (dim,)
    expected = (1 + rho**2) / (1 - rho**2) / draws
    assert abs(inverse.mean() / expected - 1) < 4 * np.sqrt(2 / ((replications - 1) * dim)) + 0.02


@pytest.mark.parametrize(("replications", "low", "high"), [(7, 0.415, 4.85), (28, 0.625, 1.853)])
def test_its_error_is_as_stated(replications, low, high):
    """Nineteen in twenty within the bounds of the docstring, of 2000 coordinates."""
    draws, dim = 200, 2000
    ratio = of_chains(autoregression(0.0, replications=replications, draws=draws, dim=dim)) / draws
    assert abs(((low < ratio) & (ratio < high)).mean() - 0.95) < 4 * np.sqrt(0.05 * 0.95 / dim) + 0.005


@pytest.mark.parametrize("replications", [2, 7, 28])
def test_chains_that_stand_still_are_worth_one_draw(replications):
    starts = np.random.default_rng(0).standard_normal((replications, 1, 5))
    np.testing.assert_allclose(
        of_chains(np.repeat(starts, 50, axis=1)), (replications - 1) / replications, rtol=1e-9
    )
    np.testing.assert_array_equal(of_chains(np.ones((replications, 50, 5))), 1)


def test_chains_that_hardly_move_from_one_point_are_worth_about_one_draw():
    """A random walk from the mode, far from covering the target: its mean varies 2/3 as much as its draws."""
    steps = 1e-4 * np.random.default_rng(0).standard_normal((28, 1000, 200))
    ess = of_chains(1 + steps.cumsum(axis=1))
    assert 1 < np.median(ess) < 2


def test_it_needs_two_chains_and_finite_numbers():
    assert np.isnan(of_chains(np.ones((1, 10, 2)))).all()
    chains = autoregression(0.0, replications=4, draws=10, dim=3)
    chains[0, 3, 0], chains[1, 2, 1] = np.nan, 1e200
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.isnan(of_chains(chains)), [True, True, False])

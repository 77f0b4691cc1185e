"""R-hat and effective sample size where the answer is known, at fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smile.metrics.diagnostics import rhat_and_ess


def normals(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def test_independent_draws_count_in_full():
    diagnostics = rhat_and_ess(normals(4, 500, 10))
    assert 0.99 < diagnostics["rhat_median"] <= diagnostics["rhat_max"] < 1.02
    assert 1500 < diagnostics["ess_min"] <= diagnostics["ess_median"] < 2500


def test_an_autoregressive_chain_counts_by_its_autocorrelation():
    """With correlation rho the effective sample size is n (1 - rho) / (1 + rho)."""
    rho, noise = 0.8, normals(4, 5000, 5)
    chains = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        chains[:, t] = rho * chains[:, t - 1] + noise[:, t]
    np.testing.assert_allclose(
        rhat_and_ess(chains)["ess_median"], chains[..., 0].size * (1 - rho) / (1 + rho), rtol=0.15
    )


def test_chains_that_disagree_at_one_point():
    predictions = normals(4, 200, 10)
    predictions[0, :, 3] += 5
    diagnostics = rhat_and_ess(predictions)
    assert diagnostics["rhat_max"] > 1.5
    assert diagnostics["rhat_median"] < 1.05
    assert diagnostics["ess_min"] < 20


@pytest.mark.parametrize("shape", [(1, 100, 3), (4, 3, 3), (4, 1, 3)])
def test_too_few_chains_or_draws(shape):
    assert all(math.isnan(value) for value in rhat_and_ess(normals(*shape)).values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite(bad):
    predictions = normals(2, 10, 3)
    predictions[0, 0, 0] = bad
    assert all(math.isnan(value) for value in rhat_and_ess(predictions).values())


def test_chains_that_do_not_move_are_not_independent_draws():
    predictions = normals(2, 10, 3)
    predictions[..., 1] = 1
    assert all(math.isnan(value) for value in rhat_and_ess(predictions).values())
    predictions[..., 1] = [[0], [1]]
    assert all(math.isnan(value) for value in rhat_and_ess(predictions).values())

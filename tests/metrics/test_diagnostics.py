"""R-hat and effective sample size where the answer is known, at fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from hypothesis import given, settings
from hypothesis import strategies as st

from smile.metrics.diagnostics import rank_diagnostics, rhat_and_ess


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


def autoregression(rho, *shape, seed=0):
    chains = np.random.default_rng(seed).standard_normal(shape)
    for t in range(1, shape[1]):
        chains[:, t] = rho * chains[:, t - 1] + np.sqrt(1 - rho**2) * chains[:, t]
    return chains


KINDS = {
    "as they are": lambda x: x,
    "with ties": lambda x: np.round(x, 1),
    "of few values": np.round,
    "float32": lambda x: x.astype(np.float32),
    "of heavy tails": lambda x: x * np.exp(np.abs(x)),
}


@given(
    st.integers(2, 9), st.integers(4, 70), st.sampled_from([-0.9, -0.5, 0.0, 0.5, 0.9, 0.99]),
    st.sampled_from(sorted(KINDS)), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_they_are_those_of_arviz_stats(chains, draws, rho, kind, seed):
    x = KINDS[kind](autoregression(rho, chains, draws, 3, seed=seed))
    x = x[
        ...,
        (np.ptp(x[:, : draws // 2], axis=1) > 0).all(0) & (np.ptp(x[:, -(draws // 2) :], axis=1) > 0).all(0),
    ]
    rhat, ess = rank_diagnostics(x)
    points = np.moveaxis(x, 2, 0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        expected = [(array_stats.rhat(p), array_stats.ess(p)) for p in points]
    np.testing.assert_allclose(np.transpose([rhat, ess]), np.reshape(expected, (-1, 2)), rtol=1e-9)


@pytest.mark.parametrize("chains", [2, 7, 28])
def test_a_chain_that_stands_still_is_seen(chains):
    """However many others move, and wherever it stands."""
    x = normals(chains, 100, 4)
    x[0, :, 0], x[0, :, 1] = 0.0, 1.0
    x[..., 2] = x[:, :1, 2]
    rhat, ess = rank_diagnostics(x)
    assert np.isinf(rhat[:3]).all() and rhat[3] < 1.03
    assert ess[2] < 1.5 * chains and ess[3] > 40 * chains


def test_chains_that_stand_at_the_same_point():
    """For arviz-stats these are independent draws with an R-hat of NaN."""
    rhat, ess = rank_diagnostics(np.ones((4, 100, 1)))
    assert np.isinf(rhat).all() and ess == 1


def test_chains_that_hardly_move_do_not_agree():
    x = normals(7, 1, 3) + 1e-6 * normals(7, 500, 3).cumsum(axis=1)
    rhat, ess = rank_diagnostics(x)
    assert rhat.min() > 4 and ess.max() < 10


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_coordinate_that_is_not_finite_leaves_the_others_alone(bad):
    x = normals(4, 101, 3)
    expected = rank_diagnostics(x)
    x[2, 50, 1] = bad  # the draw that belongs to no half
    for one, other in zip(rank_diagnostics(x), expected, strict=True):
        assert np.isnan(one[1]) and (one[[0, 2]] == other[[0, 2]]).all()
    assert np.isnan(rank_diagnostics(x[..., 1:2])).all()


@pytest.mark.parametrize("shape", [(1, 100, 3), (4, 3, 3)])
def test_too_few_chains_or_draws_of_a_coordinate(shape):
    assert np.isnan(rank_diagnostics(normals(*shape))).all()

"""Metrics against closed formulas, POT and SciPy, at 4 standard errors (false alarms: 6e-5) and fixed seeds."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from scipy.stats import wasserstein_distance_nd

from smile.base import Moments
from smile.metrics import reference, second_moment_bias, wasserstein_bias


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_second_moment_bias_by_hand():
    moments = Moments(np.array([1.0, 4.0]), np.array([2.0, 8.0]))
    bias = second_moment_bias(np.array([[1.0, 4.0], [3.0, 0.0], [np.nan, 4.0]]), moments)
    np.testing.assert_array_equal(bias, [[0, 0], [2, 2], [np.nan, 0]])


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 7), (7, 3), (4, 12), (10, 4), (1, 6), (6, 1000)])
def test_wasserstein_is_that_of_pot(n, m):
    draws, exact = 1 + 2 * normals(1, n, 3), normals(m, 3, seed=1)
    prepared = reference(exact, num_slices=8)
    coordinates, sliced = wasserstein_bias(prepared, draws)
    a, b = draws[0] / exact.std(0), exact / exact.std(0)
    np.testing.assert_allclose(coordinates[0], np.sqrt(ot.wasserstein_1d(a, b, p=2)), rtol=1e-9)
    theirs = ot.sliced_wasserstein_distance(a, b, projections=prepared.directions, p=2)
    np.testing.assert_allclose(sliced[0], theirs, rtol=1e-9)


def test_wasserstein_by_linear_programming():
    """The optimal transport plan of POT, which knows nothing of quantiles, and SciPy's own program for W1."""
    draws, exact = normals(6, 1), normals(4, 1, seed=1)
    scaled = exact / exact.std(0)
    cost = (draws / exact.std(0) - scaled.T) ** 2
    coordinates, _ = wasserstein_bias(reference(exact), draws[None])
    np.testing.assert_allclose(coordinates[0, 0] ** 2, ot.emd2([], [], cost), rtol=1e-9)
    assert coordinates[0, 0] * exact.std() >= wasserstein_distance_nd(draws, exact) - 1e-12


def test_wasserstein_of_a_shifted_gaussian_is_the_shift():
    scale, shift = np.array([0.1, 1.0, 10.0]), np.array([0.5, -1.0, 2.0])  # in standard deviations
    exact = (scale * normals(100_000, 3)).astype(np.float32)
    draws = (scale * (normals(1, 20_000, 3, seed=1) + shift)).astype(np.float32)
    coordinates, sliced = wasserstein_bias(reference(exact), draws)
    # W2^2 = shift^2 + O(1 / n); the mean of n draws has a standard error of n^(-1/2).
    np.testing.assert_allclose(coordinates[0], np.abs(shift), atol=4 / np.sqrt(20_000))
    directions = reference(exact).directions
    np.testing.assert_allclose(
        sliced[0], np.sqrt(np.mean((shift @ directions) ** 2)), atol=4 / np.sqrt(20_000)
    )


def test_directions_are_fixed_unit_vectors():
    first, second = (reference(normals(100, 10, seed=s)).directions for s in (0, 1))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1)


def test_a_chain_that_is_not_finite_has_no_distance():
    draws = normals(4, 50, 2)
    draws[1, 3, 0], draws[2, 0, 1], draws[3] = np.nan, np.inf, 1e30
    coordinates, sliced = wasserstein_bias(reference(normals(500, 2, seed=1)), draws.astype(np.float32))
    assert np.isfinite(coordinates[[0, 3]]).all() and np.isfinite(sliced[[0, 3]]).all()
    assert np.isnan(coordinates[1:3]).all() and np.isnan(sliced[1:3]).all()

"""Errors in units of the posterior, on chains whose errors are known."""

from __future__ import annotations

import numpy as np
from scipy import stats

from smile.metrics import posterior_errors


def test_a_shifted_and_scaled_chain_has_the_errors_that_it_was_given():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((40_000, 3))
    shift, scale = np.array([0.1, 0.2, -0.3]), np.array([0.5, 1.0, 2.0])
    draws = shift + scale * rng.standard_normal((2, 20_000, 3))
    found = posterior_errors(draws.mean(1), (draws**2).mean(1), draws, reference)
    error = 4.5 * 2 / np.sqrt(20_000)
    np.testing.assert_allclose(found["mean_error_rms"], np.sqrt(np.mean(shift**2)), atol=error)
    np.testing.assert_allclose(found["mean_error_max"], 0.3, atol=error)
    for name, value in (("median", 1.0), ("min", 0.5), ("max", 2.0)):
        np.testing.assert_allclose(found[f"sd_ratio_{name}"], value, atol=error)
    ends = shift + scale * stats.norm.ppf([[0.05], [0.95]])
    mass = np.diff(stats.norm.cdf(ends), axis=0).mean()
    np.testing.assert_allclose(found["interval_coverage_90"], mass, atol=0.01)
    assert mass < 0.89


def test_a_chain_that_left_the_numbers_is_nan_and_leaves_the_others_alone():
    draws = np.random.default_rng(0).standard_normal((2, 100, 3))
    draws[1, 50, 0] = np.nan
    found = posterior_errors(draws.mean(1), (draws**2).mean(1), draws, draws[0])
    for name, values in found.items():
        assert np.isfinite(values[0]) and np.isnan(values[1]), name

"""Wasserstein-2 distance from chains to the exact target, in units of the target's standard deviations.

In one dimension the optimal coupling joins equal quantiles. The quantile function of n sorted draws a_i is constant on
each interval ((i - 1) / n, i / n); with the mean q_i over this interval of the quantile function of m exact draws,

    W2^2 = 1/n sum_i (a_i - q_i)^2 + (mean of squared exact draws - 1/n sum_i q_i^2)

is exact for any n and m, and a chain costs no more than its sort.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Reference", "reference", "wasserstein_bias"]


class Reference(NamedTuple):
    """Exact draws, prepared once.

    Attributes:
        scale: standard deviations of the marginals, (dim,).
        directions: random unit vectors, (dim, slices).
        quantiles: sorted coordinates of the scaled draws, then their sorted projections, (dim + slices, m).
    """

    scale: np.ndarray
    directions: np.ndarray
    quantiles: np.ndarray


def reference(exact_draws: np.ndarray, num_slices: int = 64, seed: int = 0) -> Reference:
    """Prepares exact draws (m, dim); ``seed`` fixes the directions of the slices."""
    directions = np.random.default_rng(seed).standard_normal((exact_draws.shape[1], num_slices))
    directions = (directions / np.linalg.norm(directions, axis=0)).astype(exact_draws.dtype)
    scale = exact_draws.std(axis=0, dtype=np.float64).astype(exact_draws.dtype)
    return Reference(scale, directions, _sorted_columns(exact_draws, scale, directions))


def wasserstein_bias(reference: Reference, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-coordinate and sliced W2 of every chain.

    Args:
        reference: exact draws.
        draws: positions, (chains, n, dim); where one of a chain is not finite, the answer is NaN.

    Returns:
        Per-coordinate W2, (chains, dim), and the root mean square over slices of the W2 of projections, (chains,),
        both in standard deviations of the target. With n draws even exact ones have W2 > 0, about n^(-1/2).
    """
    means, remainder = _interval_means(reference.quantiles, draws.shape[1])
    squares = np.full((len(draws), len(means)), np.nan)
    for chain, out in zip(draws, squares, strict=True):
        if np.isfinite(chain).all():
            columns = _sorted_columns(chain, reference.scale, reference.directions)
            out[:] = np.mean((columns - means) ** 2, axis=1) + remainder
    dim = len(reference.scale)
    return np.sqrt(squares[:, :dim]), np.sqrt(squares[:, dim:].mean(axis=1))


def _sorted_columns(draws: np.ndarray, scale: np.ndarray, directions: np.ndarray) -> np.ndarray:
    scaled = draws / scale
    return np.sort(np.concatenate([scaled, scaled @ directions], axis=1).T, axis=1)


def _interval_means(quantiles: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """q_i, (k, n), and the term in brackets, (k,), for sorted rows (k, m)."""
    m = quantiles.shape[1]
    knots, edges = np.arange(m + 1) / m, np.arange(n + 1) / n
    means = np.empty((len(quantiles), n))
    remainder = np.empty(len(quantiles))
    for k, row in enumerate(quantiles.astype(np.float64, copy=False)):
        integral = np.interp(edges, knots, np.concatenate([[0.0], np.cumsum(row)]) / m)
        means[k] = n * np.diff(integral)
        remainder[k] = max(np.mean(row**2) - np.mean(means[k] ** 2), 0.0)  # >= 0 but for rounding
    return means, remainder

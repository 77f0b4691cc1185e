"""Draws that do not count equally."""

from __future__ import annotations

import numpy as np

__all__ = ["equally_weighted"]


def equally_weighted(draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As many draws in the same order, taken where the cumulative weight passes equal fractions of its sum.

    Averages over them are weighted averages but for rounding of every weight to a whole number of copies, so that what
    takes draws to count equally, quantiles, distances and effective sample sizes, may have them.

    Args:
        draws: (chains, n, dim).
        weights: (chains, n), not negative; a chain whose weights are not finite, or all zero, becomes NaN.
    """
    count = draws.shape[1]
    chosen = np.full_like(draws, np.nan)
    fractions = (np.arange(count) + 0.5) / count
    for chain, (own, weight) in enumerate(zip(draws, weights.astype(np.float64), strict=True)):
        total = weight.sum()
        if np.isfinite(total) and total > 0:
            index = np.searchsorted(np.cumsum(weight), fractions * total, side="right")
            chosen[chain] = own[np.minimum(index, count - 1)]
    return chosen

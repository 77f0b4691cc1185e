"""Do the chains agree, and how many independent draws are they worth? Asked of predictions, not of parameters."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["rhat_and_ess"]

_FEWEST_CHAINS, _FEWEST_DRAWS = 2, 4


def rhat_and_ess(predictions: np.ndarray) -> dict[str, float]:
    """Rank-normalised split R-hat and bulk effective sample size (Vehtari et al. 2021) of every point, summarised.

    The parameters of a network have symmetries that its predictions do not have, so chains are compared by what they
    predict. Every point takes some milliseconds: a hundred points say as much as a whole test set.

    Args:
        predictions: one number for every point, in the order of the draws, (chains, draws, points).

    Returns:
        ``rhat_max``, ``rhat_median``, ``ess_min`` and ``ess_median`` over points; the effective sample size is that of
        all chains together. All are NaN with fewer than 2 chains or 4 draws, or where a prediction is not finite or
        never changes in any chain, which the estimators mistake for independent draws.
    """
    from arviz_stats.base.array import (
        array_stats,
    )  # takes a second to import, and analytic targets do without

    chains, draws, _ = predictions.shape
    points = np.moveaxis(np.asarray(predictions, np.float64), 2, 0)
    usable = chains >= _FEWEST_CHAINS and draws >= _FEWEST_DRAWS and np.isfinite(points).all()
    if not usable or (np.ptp(points, axis=2) == 0).all(axis=1).any():
        return dict.fromkeys(("rhat_max", "rhat_median", "ess_min", "ess_median"), math.nan)
    rhat, ess = array_stats.rhat(points), array_stats.ess(points)
    return {
        "rhat_max": float(rhat.max()),
        "rhat_median": float(np.median(rhat)),
        "ess_min": float(ess.min()),
        "ess_median": float(np.median(ess)),
    }

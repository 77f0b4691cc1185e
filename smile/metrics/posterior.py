"""How far chains are from a posterior of which draws are known: centres, spreads and intervals.

Everything is in units of the posterior: coordinates have mean zero and standard deviation one under it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["posterior_errors"]

_LEVEL = 0.9


def posterior_errors(
    mean: np.ndarray, second_moment: np.ndarray, draws: np.ndarray, reference: np.ndarray
) -> dict[str, np.ndarray]:
    """What each chain says of the posterior, all by one chain alone.

    A chain that has hardly moved has a wrong mean and too small a standard deviation, whatever its gradients: R-hat
    and effective sample size tell that apart from bias.

    Args:
        mean: over each chain, (chains, k).
        second_moment: mean of squares over each chain, (chains, k).
        draws: of each chain, (chains, n, k).
        reference: draws of the posterior, (m, k).

    Returns:
        By name, one value per chain, NaN where a chain is not finite: ``mean_error_rms`` and ``mean_error_max`` over
        coordinates, in posterior standard deviations; ``sd_ratio_median``, ``_min`` and ``_max``, the chain's standard
        deviation over the posterior's; ``interval_coverage_90``, the posterior mass of the chain's central 90 %
        intervals, mean over coordinates.
    """
    with np.errstate(invalid="ignore"):
        ratio = np.sqrt(np.maximum(second_moment - mean**2, 0.0))
    covered = np.full(len(draws), np.nan)
    for chain in np.flatnonzero(np.isfinite(draws).all(axis=(1, 2))):
        low, high = np.quantile(draws[chain], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
        covered[chain] = np.mean((low <= reference) & (reference <= high))
    return {
        "mean_error_rms": np.sqrt(np.mean(mean**2, axis=1)),
        "mean_error_max": np.abs(mean).max(axis=1),
        "sd_ratio_median": np.median(ratio, axis=1),
        "sd_ratio_min": ratio.min(axis=1),
        "sd_ratio_max": ratio.max(axis=1),
        "interval_coverage_90": covered,
    }

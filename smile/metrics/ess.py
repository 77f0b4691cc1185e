"""Effective sample size of the second moments by batch means."""

from __future__ import annotations

import numpy as np

__all__ = ["effective_sample_size"]


def effective_sample_size(batch_means: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Var[x_i^2] over the variance of the chain's mean of x_i^2, estimated from batch means (Flegal & Jones 2010).

    Args:
        batch_means: means of x_i^2 over equal stretches of the chain, (batches, ..., dim); 2 batches at least,
            otherwise the answer is NaN.
        variance: Var[x_i^2], (..., dim), of the chain itself: with that of the target a chain that does not move looks
            perfect.

    Returns:
        Shape (..., dim). Biased upwards where the chain is slower than a batch is long.
    """
    if len(batch_means) < 2:
        return np.full(batch_means.shape[1:], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return variance / (batch_means.var(axis=0, ddof=1) / len(batch_means))

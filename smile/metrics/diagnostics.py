"""Do the chains agree, and how many independent draws are they worth? (Vehtari et al. 2021, arXiv 1903.08008)

With z the normal score of a draw's rank among all draws and chains split into halves of n draws:

    R-hat     sqrt((B / W + n - 1) / n), B / n the variance of the halves' means of z, W the mean of their variances;
              the larger one of that for the draws and that for their distances from the median
    bulk ESS  draws over tau = 1 + 2 sum of autocorrelations of z, cut and made monotone as Geyer's sequence

These are the numbers of arviz-stats in a quarter of its time.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from scipy.special import ndtri

__all__ = ["rank_diagnostics", "rhat_and_ess"]

_FEWEST_CHAINS, _FEWEST_DRAWS = 2, 4


def rank_diagnostics(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank-normalised split R-hat and bulk effective sample size of every coordinate.

    Args:
        draws: of chains that sample the same distribution, in order, (chains, draws, dim).

    Returns:
        R-hat and the effective sample size of all chains together, each (dim,). Both are NaN where a draw is not
        finite, and with fewer than 2 chains or 4 draws. R-hat is infinite where a chain never moves, and the sample
        size is one where all draws are equal, which the estimators mistake for independent draws.
    """
    rhat, ess = np.full((2, draws.shape[2]), np.nan)
    if draws.shape[0] < _FEWEST_CHAINS or draws.shape[1] < _FEWEST_DRAWS:
        return rhat, ess
    values = np.moveaxis(draws, 2, 0)
    finite = np.isfinite(values).all(axis=(1, 2))
    values = values[finite]
    rhat[finite], ess[finite] = _rhat_and_ess(values)
    stands_still = (values.min(axis=2) == values.max(axis=2)).any(axis=1)
    rhat[finite] = np.where(stands_still, np.inf, rhat[finite])
    ess[finite] = np.where(values.min(axis=(1, 2)) == values.max(axis=(1, 2)), 1.0, ess[finite])
    return rhat, ess


def rhat_and_ess(predictions: np.ndarray) -> dict[str, float]:
    """Summaries of R-hat and bulk effective sample size over the points that a network predicts.

    The parameters of a network have symmetries that its predictions do not have, so chains are compared by what they
    predict.

    Args:
        predictions: one number for every point, in the order of the draws, (chains, draws, points).

    Returns:
        ``rhat_max``, ``rhat_q95`` (the 95 % quantile), ``rhat_median``, ``ess_min`` and ``ess_median`` over points; the
        effective sample size is that of all chains together. All are NaN with fewer than 2 chains or 4 draws, or where
        a prediction is not finite or never changes in any chain, which the estimators mistake for independent draws.
    """
    chains, draws, _ = predictions.shape
    points = np.moveaxis(np.asarray(predictions, np.float64), 2, 0)
    usable = chains >= _FEWEST_CHAINS and draws >= _FEWEST_DRAWS and np.isfinite(points).all()
    if not usable or (np.ptp(points, axis=2) == 0).all(axis=1).any():
        names = ("rhat_max", "rhat_q95", "rhat_median", "ess_min", "ess_median")
        return dict.fromkeys(names, math.nan)
    rhat, ess = _rhat_and_ess(points)
    return {
        "rhat_max": float(rhat.max()),
        "rhat_q95": float(np.quantile(rhat, 0.95)),
        "rhat_median": float(np.median(rhat)),
        "ess_min": float(ess.min()),
        "ess_median": float(np.median(ess)),
    }


def _rhat_and_ess(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of finite values (dim, chains, draws), each (dim,); NaN where all values of a coordinate are equal."""
    half = values.shape[2] // 2
    halves = np.concatenate([values[..., :half], values[..., -half:]], axis=1).astype(np.float64)
    flat = halves.reshape(len(halves), math.prod(halves.shape[1:]))
    score_of_rank = _score_of_rank(flat.shape[1])
    bulk, folded = np.empty_like(flat), np.empty_like(flat)
    for row, bulk_row, folded_row in zip(flat, bulk, folded, strict=True):
        order = np.argsort(row)
        ascending = row[order]
        bulk_row[order] = _scores(ascending, score_of_rank)
        middle = len(row) // 2
        distance = np.abs(ascending - (ascending[middle - 1] + ascending[middle]) / 2)
        by_distance = np.argsort(distance, kind="stable")  # which is fast on what falls and then rises
        folded_row[order[by_distance]] = _scores(distance[by_distance], score_of_rank)
    # Of two values only, all have the same distance, whose R-hat is NaN.
    rhat = np.fmax(_rhat(bulk.reshape(halves.shape)), _rhat(folded.reshape(halves.shape)))
    return rhat, _ess(bulk.reshape(halves.shape))


def _score_of_rank(count: int) -> np.ndarray:
    """Normal scores of the ranks 1, 1.5, 2, ... (Blom 1958)."""
    return ndtri((np.arange(2, 2 * count + 1) / 2 - 3 / 8) / (count + 1 / 4))


def _scores(ascending: np.ndarray, score_of_rank: np.ndarray) -> np.ndarray:
    """Normal scores of sorted values; equal values have their mean rank."""
    first = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    count = np.diff(first, append=len(ascending))
    return np.repeat(score_of_rank[2 * first + count - 1], count)


def _rhat(scores: np.ndarray) -> np.ndarray:
    """Of (dim, halves, n), (dim,)."""
    n = scores.shape[2]
    between = n * scores.mean(axis=2).var(axis=1, ddof=1)
    within = scores.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((between / within + n - 1) / n)


def _ess(scores: np.ndarray) -> np.ndarray:
    """Of (dim, halves, n), (dim,)."""
    _, halves, n = scores.shape
    means = scores.mean(axis=2, keepdims=True)
    spectrum = scipy.fft.rfft(scores - means, scipy.fft.next_fast_len(2 * n), axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance = scipy.fft.irfft(power, scipy.fft.next_fast_len(2 * n), axis=1)[:, :n] / n
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1] + means[..., 0].var(axis=1, ddof=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        autocorrelation = 1 - (within - covariance) / total
    autocorrelation[:, 0] = 1
    return np.array([halves * n / _tau(rho, halves * n) for rho in autocorrelation])


def _tau(rho: np.ndarray, num_draws: int) -> float:
    """Autocorrelation time by Geyer's initial monotone sequence of the sums of lags 2k and 2k + 1."""
    if np.isnan(rho).any():
        return math.nan
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(axis=1)
    longest = (len(rho) - 3) // 2  # the pair at which the sequence ends where it has not ended before
    ended = np.flatnonzero(pairs[: longest + 1] <= 0)
    last = int(ended[0]) if len(ended) else longest
    even = rho[2 * last] if pairs[last] >= 0 else max(rho[2 * last], 0.0)
    tau = -1 + 2 * np.minimum.accumulate(pairs[:last]).sum() + even
    return max(float(tau), 1 / math.log10(num_draws))

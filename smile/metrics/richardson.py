"""Richardson extrapolation over two step sizes (for weak errors of stochastic dynamics: Talay & Tubaro 1990).

Where a summary of chains of step size h is off by C h^p + o(h^p), chains of h and of h/2 know C:

    e = (2^p m(h/2) - m(h)) / (2^p - 1),   Var e = (4^p Var m(h/2) + Var m(h)) / (2^p - 1)^2

At equal numbers of chains the standard error is 5^(1/2) = 2.2 (p = 1) or 17^(1/2) / 3 = 1.4 (p = 2) times that of one
step size: it pays where the bias is larger than that. A bias that does not vanish with h stays: that of a
preconditioner that follows the position, of chains that have not mixed, of noise that outweighs momentum refreshment.

The order p is the caller's to know. It is 1 for SGLD, pSGLD (frozen), SGHMC, SGNHT and CCAdL, and for SMILE with noisy
gradients as long as momentum refreshment outweighs the noise; 2, that of the integrator, for SMILE and MCLMC on exact
gradients. Contrast friction's step size is u, the square of an interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Extrapolated", "extrapolate"]


class Extrapolated(NamedTuple):
    """What the step size zero would give, (...), and the Monte-Carlo standard error of it, (...)."""

    estimate: np.ndarray
    error: np.ndarray


def extrapolate(coarse: ArrayLike, fine: ArrayLike, *, order: int) -> Extrapolated:
    """One estimate from chains of the step sizes h and h/2, independent of each other.

    Args:
        coarse: the summary of every chain of h, (chains, ...): means, second moments, probabilities; of standard
            deviations extrapolate the moments.
        fine: of every chain of h/2, (other chains, ...).
        order: p >= 1, of the bias in h.

    Raises:
        ValueError: where there are fewer than two chains of a step size, shapes differ, or the order is none.
    """
    one, half = np.asarray(coarse, np.float64), np.asarray(fine, np.float64)
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order={order!r}: give a whole number >= 1")
    if min(one.ndim, half.ndim) < 1 or min(len(one), len(half)) < 2 or one.shape[1:] != half.shape[1:]:
        given = f"summaries of shapes {one.shape} and {half.shape}"
        raise ValueError(f"{given}: give (chains, ...), at least two chains each and otherwise of one shape")
    factor = 2.0**order
    variances = [x.var(0, ddof=1) / len(x) for x in (one, half)]
    estimate = (factor * half.mean(0) - one.mean(0)) / (factor - 1)
    return Extrapolated(estimate, np.sqrt(factor**2 * variances[1] + variances[0]) / (factor - 1))

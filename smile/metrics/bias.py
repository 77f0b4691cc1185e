"""Normalised second-moment bias, the paper's measure of a wrong stationary distribution."""

from __future__ import annotations

import numpy as np

from smile.base import Moments

__all__ = ["second_moment_bias"]


def second_moment_bias(second_moment: np.ndarray, moments: Moments) -> np.ndarray:
    """(mean_t x_i^2 - E[x_i^2])^2 / Var[x_i^2] for every coordinate (Hoffman & Sountsov 2022).

    Args:
        second_moment: average of x_i^2 over a chain, (..., dim).
        moments: ground truth.

    Returns:
        Shape (..., dim). Its mean over coordinates is the paper's bias.
    """
    return (second_moment - moments.second) ** 2 / moments.variance

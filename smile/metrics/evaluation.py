"""Metrics of a Bayesian model average, from the averages that ``smile.metrics.predictive`` accumulates."""

from __future__ import annotations

import math

import jax
import numpy as np

from smile.metrics import classification
from smile.metrics.classification import Reliability
from smile.metrics.predictive import Classification, Regression

__all__ = ["coverage_curve", "evaluate", "evaluate_text", "evaluate_unfamiliar", "reliability"]

_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def evaluate(
    state: Regression | Classification, y: np.ndarray | jax.Array, *, y_scale: float = 1.0
) -> dict[str, float]:
    """All metrics of the mixture over all chains of the state, in float64.

    Regression, on the scale of ``y``:

    - ``lppd``, ``rmse`` of the mixture's mean, ``predictive_sd`` (mean over rows of the mixture's standard deviation)
      and ``member_nll``, minus the average log density of the members, which is not ``-lppd`` (E3);
    - ``lppd_original``, ``rmse_original``: the same for ``y_scale * y``;
    - ``coverage_50``, ``_80``, ``_90``, ``_95``: fraction of rows in the central interval of the mixture;
      ``calibration_error``: root mean square of observed minus nominal coverage over the levels .1, .2, ... .9, .95
      (E5).

    Classification, where the prediction is the class of largest mean probability, the first among equals (E4):

    - ``lppd``, ``accuracy``, ``brier`` (sum over classes of squares, 0 to 2);
    - ``f1``: average over the classes in ``y``;
    - ``ece``: expected calibration error with 15 bins (Guo et al. 2017, Eq. 3);
    - ``auroc``: class 1 of two, or average of one-against-rest over the classes in ``y``; NaN where it has one class;
    - ``aurc``: mean over i of the error among the i most confident rows (Geifman & El-Yaniv 2017); rows that tie
      share their errors equally, so their order is of no account.

    Args:
        state: averages with one draw at least.
        y: targets or integer labels, (rows,).
        y_scale: standard deviation of the targets before they were standardised, above zero.

    Raises:
        ValueError: where there is no draw, or ``y`` or ``y_scale`` is not as above.
    """
    y = np.asarray(y)
    _check(state, y)
    if isinstance(state, Classification):
        return classification.metrics(_log_average(state.log_probability), y)
    if not y_scale > 0:
        raise ValueError(f"y_scale is a standard deviation above zero, not {y_scale}")
    return _evaluate_regression(state, y, y_scale)


def evaluate_text(state: Classification, y: np.ndarray | jax.Array) -> dict[str, float]:
    """Metrics of the mixture's next characters: rows are tokens, classes the vocabulary.

    ``lppd`` in nats per token; ``perplexity`` = exp(-lppd), of the averaged probabilities, and ``bits_per_character``;
    ``accuracy`` of the most probable token and ``ece`` as in ``evaluate``.

    Raises:
        ValueError: as ``evaluate``.
    """
    y = np.asarray(y)
    _check(state, y)
    return classification.text_metrics(_log_average(state.log_probability), y)


def evaluate_unfamiliar(known: Classification, unfamiliar: Classification) -> dict[str, float]:
    """How well the largest probability of the mixture tells rows of the data from rows of another kind.

    ``unfamiliar_auroc``, with the data as the positive class (Hendrycks & Gimpel 2017), and ``unfamiliar_confidence``,
    the mean largest probability on the other rows.

    Raises:
        ValueError: where there is no draw.
    """
    for state in (known, unfamiliar):
        _check_draws(state)
    confidence = [np.exp(_log_average(s.log_probability)).max(axis=1) for s in (known, unfamiliar)]
    return classification.unfamiliar_metrics(*confidence)


def coverage_curve(state: Regression) -> tuple[np.ndarray, np.ndarray]:
    """Nominal and observed coverage of the mixture's central intervals, both (10,).

    A row is in the central interval of level q where its probability integral transform, the mixture's distribution
    function at y, is within q / 2 of 1/2. The targets are those the state was updated with.

    Raises:
        ValueError: where there is no draw.
    """
    _check_draws(state)
    levels = np.array(_LEVELS)
    distance = np.abs(np.asarray(state.cdf, np.float64).mean(axis=0) - 0.5)
    observed = np.mean(distance <= levels[:, None] / 2, axis=1)
    return levels, np.where(np.isnan(distance).any(), np.nan, observed)


def reliability(state: Classification, y: np.ndarray | jax.Array) -> Reliability:
    """The reliability diagram of the mixture (Guo et al. 2017); bins are open on the left, closed on the right.

    Args:
        state: averages with one draw at least.
        y: integer labels, (rows,).

    Raises:
        ValueError: where there is no draw or ``y`` is not as above.
    """
    y = np.asarray(y)
    _check(state, y)
    return classification.reliability(np.exp(_log_average(state.log_probability)), y)


def _check_draws(state: Regression | Classification) -> None:
    if int(state.num_draws) == 0:
        raise ValueError("no draw to evaluate: the state was never updated")


def _check(state: Regression | Classification, y: np.ndarray) -> None:
    _check_draws(state)
    rows = state[1].shape[1]
    if y.shape != (rows,):
        raise ValueError(f"y has shape {y.shape}, the state has {rows} rows")
    if isinstance(state, Classification):
        classes = state.log_probability.shape[2]
        if not np.issubdtype(y.dtype, np.integer) or not ((y >= 0) & (y < classes)).all():
            raise ValueError(f"labels are integers from 0 to {classes - 1}")


def _log_average(log_values: jax.Array) -> np.ndarray:
    """Log of the average over chains, in float64."""
    values = np.asarray(log_values, np.float64)
    with np.errstate(invalid="ignore"):  # a chain that is not finite
        return np.logaddexp.reduce(values, axis=0) - math.log(len(values))


def _evaluate_regression(state: Regression, y: np.ndarray, y_scale: float) -> dict[str, float]:
    mean = np.asarray(state.mean, np.float64)
    variance = np.asarray(state.variance, np.float64).mean(axis=0) + mean.var(axis=0)
    density = float(_log_average(state.log_density).mean())
    rmse = float(np.sqrt(np.mean((mean.mean(axis=0) - y) ** 2)))
    nominal, observed = coverage_curve(state)
    coverage = dict(zip(_LEVELS, observed.tolist(), strict=True))
    return {
        "lppd": density,
        "lppd_original": density - math.log(y_scale),
        "rmse": rmse,
        "rmse_original": rmse * y_scale,
        "member_nll": -float(np.asarray(state.mean_log_density, np.float64).mean()),
        "predictive_sd": float(np.sqrt(variance).mean()),
        **{f"coverage_{100 * level:.0f}": coverage[level] for level in (0.5, 0.8, 0.9, 0.95)},
        "calibration_error": float(np.sqrt(np.mean((observed - nominal) ** 2))),
    }

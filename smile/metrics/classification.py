"""Metrics of class probabilities, (rows, classes) float64, in numpy: what is left to do once a mixture is averaged."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = ["Reliability", "metrics", "reliability", "text_metrics", "unfamiliar_metrics"]

_BINS = 15
_METRICS = ("lppd", "accuracy", "f1", "brier", "ece", "auroc", "aurc")


class Reliability(NamedTuple):
    """The reliability diagram: 15 equal-width bins of the largest class probability.

    Attributes:
        confidence: mean largest probability, (bins,), NaN in an empty bin.
        accuracy: fraction of correct rows, (bins,), NaN in an empty bin.
        num_rows: rows in the bin, (bins,). All are empty where a probability is not finite.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    num_rows: np.ndarray


def metrics(log_probability: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """What ``smile.metrics.predictive.evaluate`` documents; all NaN where a probability is not finite."""
    if np.isnan(log_probability).any():
        return dict.fromkeys(_METRICS, math.nan)
    probability = np.exp(log_probability)
    predicted = probability.argmax(axis=1)
    values = (
        log_probability[np.arange(len(y)), y].mean(),
        np.mean(predicted == y),
        _macro_f1(predicted, y),
        np.mean(np.sum((probability - np.eye(probability.shape[1])[y]) ** 2, axis=1)),
        _ece(reliability(probability, y)),
        _auroc(probability, y),
        _aurc(probability.max(axis=1), predicted != y),
    )
    return dict(zip(_METRICS, map(float, values), strict=True))


def text_metrics(log_probability: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """What ``smile.metrics.predictive.evaluate_text`` documents; all NaN where a probability is not finite."""
    lppd = log_probability[np.arange(len(y)), y].mean()
    if np.isnan(log_probability).any():
        return dict.fromkeys(("lppd", "perplexity", "bits_per_character", "accuracy", "ece"), math.nan)
    probability = np.exp(log_probability)
    values = {
        "lppd": lppd,
        "perplexity": np.exp(-lppd),
        "bits_per_character": -lppd / math.log(2),
        "accuracy": np.mean(probability.argmax(axis=1) == y),
        "ece": _ece(reliability(probability, y)),
    }
    return {name: float(value) for name, value in values.items()}


def unfamiliar_metrics(known: np.ndarray, unfamiliar: np.ndarray) -> dict[str, float]:
    """What ``smile.metrics.predictive.evaluate_unfamiliar`` documents, from largest probabilities."""
    confidence = np.concatenate([known, unfamiliar])
    if np.isnan(confidence).any():
        return {"unfamiliar_auroc": math.nan, "unfamiliar_confidence": math.nan}
    is_known = np.repeat([True, False], [len(known), len(unfamiliar)])
    return {
        "unfamiliar_auroc": _auroc_of(confidence, is_known),
        "unfamiliar_confidence": float(unfamiliar.mean()),
    }


def reliability(probability: np.ndarray, y: np.ndarray) -> Reliability:
    """What ``smile.metrics.predictive.reliability`` documents."""
    confidence = probability.max(axis=1)
    edges = np.arange(1, _BINS) / _BINS
    index = np.digitize(confidence, edges, right=True)
    if np.isnan(confidence).any():
        return Reliability(np.full(_BINS, np.nan), np.full(_BINS, np.nan), np.zeros(_BINS, int))
    count = np.bincount(index, minlength=_BINS)
    correct = np.bincount(index, probability.argmax(axis=1) == y, minlength=_BINS)
    total = np.bincount(index, confidence, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(total / count, correct / count, count)


def _ece(bins: Reliability) -> float:
    there = bins.num_rows > 0
    return float(np.average(np.abs(bins.accuracy - bins.confidence)[there], weights=bins.num_rows[there]))


def _auroc(probability: np.ndarray, y: np.ndarray) -> float:
    classes = [1] if probability.shape[1] == 2 else np.unique(y)
    if len(np.unique(y)) == 1:
        return math.nan
    return float(np.mean([_auroc_of(probability[:, k], y == k) for k in classes]))


def _auroc_of(score: np.ndarray, is_positive: np.ndarray) -> float:
    """The chance that a positive row has a higher score than another, ties half: Mann and Whitney's U by ranks."""
    _, tie = np.unique(score, return_inverse=True)
    size = np.bincount(tie)
    rank = (np.cumsum(size) - (size - 1) / 2)[tie]  # ties share their mean
    positive = int(is_positive.sum())
    above = rank[is_positive].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(score) - positive)))


def _macro_f1(predicted: np.ndarray, y: np.ndarray) -> float:
    """The mean over the classes of ``y`` of 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
    scores = []
    for k in np.unique(y):
        said, true = predicted == k, y == k
        scores.append(2 * np.sum(said & true) / (said.sum() + true.sum()))
    return float(np.mean(scores))


def _aurc(confidence: np.ndarray, error: np.ndarray) -> float:
    _, tie = np.unique(-confidence, return_inverse=True)
    size = np.bincount(tie)
    shared = np.repeat(np.bincount(tie, error) / size, size)
    return float(np.mean(np.cumsum(shared) / np.arange(1, len(error) + 1)))

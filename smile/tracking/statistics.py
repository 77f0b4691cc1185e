"""Means over replications per step size, with one rule: a chain that diverged rules its step size out."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from smile.quantities import METRICS, Metric

__all__ = ["best_step_size", "criterion", "summarise"]


_DECISIVE = (METRICS["bias"], METRICS["lppd"])  # what decides on validation data is never what is reported


def criterion(metrics: Iterable[str]) -> Metric | None:
    """The metric that says what a run with these metrics has reached; its ``chosen_by`` decides among step sizes."""
    known = set(metrics)
    return next((metric for metric in _DECISIVE if metric.chosen_by in known), None)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over the replications of one run.

    Args:
        rows: long-format metrics of one run. Where the sampler adapts a step size per replication, they are pooled
            under their mean.

    Returns:
        Indexed by (metric, step_size): ``mean``, ``error`` (sample standard deviation over the square root of the
        number of replications, NaN for one), ``replications`` and ``non_finite``, the number of replications without
        a finite value. The mean is NaN where ``non_finite`` is positive.
    """
    if (rows.groupby("replication")["step_size"].nunique() == 1).all():
        rows = rows.assign(step_size=rows["step_size"].mean())
    finite = rows["value"].abs() < float("inf")
    groups = rows.assign(value=rows["value"].where(finite), non_finite=~finite).groupby(
        ["metric", "step_size"], dropna=False
    )
    value = groups["value"]
    summary = pd.DataFrame(
        {
            "mean": value.mean(),
            "error": value.sem(ddof=1),
            "replications": value.size(),
            "non_finite": groups["non_finite"].sum(),
        }
    )
    summary.loc[summary["non_finite"] > 0, ["mean", "error"]] = float("nan")
    return summary


def best_step_size(summary: pd.DataFrame, highest: bool = False) -> float | None:
    """The step size with the lowest mean, or None where chains diverged at every step size.

    Args:
        summary: one metric's rows of ``summarise``, indexed by step size.
        highest: take the highest mean instead.
    """
    means = summary["mean"].dropna()
    return None if means.empty else float(means.idxmax() if highest else means.idxmin())

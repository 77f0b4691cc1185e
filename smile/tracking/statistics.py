"""Means over replications per step size, with one rule: a chain that diverged rules its step size out."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from smile.quantities import METRICS, VALIDATION, Metric

__all__ = [
    "FEWEST_EFFECTIVE_DRAWS",
    "MOST_PREDICTIVE_SD",
    "MOST_RHAT",
    "Reached",
    "best_step_size",
    "has_mixed",
    "reached",
    "summarise",
]

# What decides on validation data is never what is reported.
_DECISIVE = (METRICS["bias_published"], METRICS["bias"], METRICS["lppd"])

MOST_RHAT, FEWEST_EFFECTIVE_DRAWS = 1.05, 100  # chains beyond have not mixed
MOST_PREDICTIVE_SD = 3.0  # of y's own, which the mean of y in every row would have


class Reached(NamedTuple):
    """What a run has reached.

    Attributes:
        metric: that says it; its ``chosen_by`` has decided among step sizes.
        step_size: the best one; None where no step size is eligible.
    """

    metric: Metric
    step_size: float | None


def reached(summary: pd.DataFrame, by: Metric | None = None) -> Reached | None:
    """What a run has reached, or None where it knows no measure of it.

    Chains of a target that is known as a function must not have had a single divergent step: what they left out would
    look like a narrow posterior. Networks choose by what they predict.

    Args:
        summary: of ``summarise``.
        by: the measure; None: the first of bias and LPPD that it has.
    """
    known = set(summary.index.get_level_values("metric"))
    candidates = _DECISIVE if by is None else (by,)
    metric = next((metric for metric in candidates if metric.chosen_by in known), None)
    if metric is None:
        return None
    decides = summary.loc[metric.chosen_by]
    if not metric.chosen_by.startswith(VALIDATION) and "num_divergent" in known:
        decides = decides[summary.loc["num_divergent", "mean"].reindex(decides.index) == 0]
    return Reached(metric, best_step_size(decides, metric.highest))


def has_mixed(summary: pd.DataFrame, step_size: float) -> bool:
    """Whether R-hat and effective sample size of a step size are fine, as far as they are known."""
    known = set(summary.index.get_level_values("metric"))
    if "rhat_max" in known:
        row = summary.loc[("rhat_max", step_size)]
        if row["infinite"] or row["mean"] > MOST_RHAT:
            return False
    return not ("ess_min" in known and summary.loc[("ess_min", step_size), "mean"] < FEWEST_EFFECTIVE_DRAWS)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over the replications of one run.

    Args:
        rows: long-format metrics of one run. Where the sampler adapts a step size per replication, they are pooled
            under their mean.

    Returns:
        Indexed by (metric, step_size): ``mean``, ``error`` (sample standard deviation over the square root of the
        number of replications, NaN for one), ``replications``, ``non_finite``, the number of replications without a
        finite value, and ``infinite``, that of those which are +inf, as R-hat is where chains stand still. The mean is
        NaN where ``non_finite`` is positive.
    """
    if (rows.groupby("replication")["step_size"].nunique() == 1).all():
        rows = rows.assign(step_size=rows["step_size"].mean())
    finite = rows["value"].abs() < float("inf")
    infinite = rows["value"] == float("inf")
    groups = rows.assign(value=rows["value"].where(finite), non_finite=~finite, infinite=infinite).groupby(
        ["metric", "step_size"], dropna=False
    )
    value = groups["value"]
    summary = pd.DataFrame(
        {
            "mean": value.mean(),
            "error": value.sem(ddof=1),
            "replications": value.size(),
            "non_finite": groups["non_finite"].sum(),
            "infinite": groups["infinite"].sum(),
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

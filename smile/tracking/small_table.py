"""The small table of a run, as text: what the console prints and a report shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from smile.quantities import METRICS
from smile.tracking.statistics import (
    FEWEST_EFFECTIVE_DRAWS,
    MOST_PREDICTIVE_SD,
    MOST_RHAT,
    has_mixed,
    reached,
    summarise,
)

__all__ = ["NOT_MIXED", "Row", "SmallTable", "best_line", "shown", "small_table"]

_COLUMNS = {metric.name: metric.heading for metric in METRICS.values() if metric.heading}
# One number for all chains of a step size, without an error, and NaN where there are too few draws.
_OF_ALL_REPLICATIONS = ("ess_moments_min", "ess_per_gradient", "rhat_max", "rhat_median", "ess_min")
_OF_TROUBLE = ("num_strayed", "num_divergent")
NOT_MIXED = (
    f"† not mixed: R-hat above {MOST_RHAT} or fewer than {FEWEST_EFFECTIVE_DRAWS} effective draws in all; "
    "raise num_steps, or take another step size or sampler"
)


class Row(NamedTuple):
    """One step size.

    Attributes:
        step_size: as text.
        cells: one for each heading.
        is_best: whether it is the chosen one.
        has_mixed: whether its chains have, as far as that is known.
    """

    step_size: str
    cells: list[str]
    is_best: bool
    has_mixed: bool


class SmallTable(NamedTuple):
    """Mean ± standard error per step size.

    Attributes:
        headings: of the cells; the step size comes before them.
        rows: one for each step size, in their order.
        legend: what the mark of step sizes at which chains have not mixed means; empty where there are none.
        advice: what to do where something is wrong with the best step size, or with the choice.
    """

    headings: list[str]
    rows: list[Row]
    legend: str
    advice: list[str]


def best_line(rows: pd.DataFrame) -> str:
    """The best that a run reached and where, and the time it took, in one line.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    seconds = f"{rows['wall_seconds'].max():.0f} s"
    found = reached(summary)
    if found is None:
        return seconds
    metric, best = found
    if best is None:
        return f"diverged at every step size, {seconds}"
    mixed = "" if has_mixed(summary, best) else ", not mixed"
    value = shown(metric.name, summary.loc[(metric.name, best)])
    return f"{metric.heading} {value} at step size {best:.1e}{mixed}, {seconds}"


def small_table(rows: pd.DataFrame) -> SmallTable:
    """What a run has measured, without what says nothing.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    known = set(summary.index.get_level_values("metric"))
    metrics = [metric for metric in _COLUMNS if metric in known and not _says_nothing(summary, metric)]
    found = reached(summary)
    best = found.step_size if found else None
    table = [
        Row(
            f"{step_size:.2e}",
            [shown(metric, summary.loc[(metric, step_size)]) for metric in metrics],
            step_size == best,
            has_mixed(summary, step_size),
        )
        for step_size in sorted(summary.index.get_level_values("step_size").unique())
    ]
    return SmallTable(
        [_COLUMNS[metric] for metric in metrics],
        table,
        "" if all(row.has_mixed for row in table) else NOT_MIXED,
        [] if best is None else _advice(summary, best),
    )


def shown(metric: str, row: pd.Series) -> str:
    """A mean and its error as text; ``row`` is one of ``summarise``."""
    if row["infinite"] == row["replications"]:
        return "∞"
    if metric in _OF_ALL_REPLICATIONS:
        return "—" if pd.isna(row["mean"]) else f"{row['mean']:.3g}"
    if row["non_finite"]:
        return f"diverged in {row['non_finite']:.0f} of {row['replications']:.0f}"
    return f"{row['mean']:.3g} ± {row['error']:.2g}" if row["replications"] > 1 else f"{row['mean']:.3g}"


def _advice(summary: pd.DataFrame, best: float) -> list[str]:
    """What to do about the best step size, where something is wrong with it or with the choice."""
    known = set(summary.index.get_level_values("metric"))
    sizes = sorted(summary.index.get_level_values("step_size").unique())
    lines = []
    if len(sizes) > 2 and best in (sizes[0], sizes[-1]):
        end, direction = ("smallest", "smaller") if best == sizes[0] else ("largest", "larger")
        lines.append(f"the best step size is the {end} of the grid: try {direction} ones as well")
    if "num_strayed" in known and (strayed := summary.loc[("num_strayed", best), "mean"]):
        lines.append(
            f"{strayed:g} chains predict far worse than the networks in which they started (error 1.5 times as large): "
            "take a smaller step size, or look at them in history.parquet"
        )
    if (
        "predictive_sd" in known
        and (wide := summary.loc[("predictive_sd", best), "mean"]) > MOST_PREDICTIVE_SD
    ):
        lines.append(
            f"predictions have {wide:.3g} times the standard deviation of the targets themselves: take "
            "target.likelihood=homoscedastic, a narrower prior or a smaller step size"
        )
    if "lppd_gain" in known and summary.loc[("lppd_gain", best), "mean"] < 0:
        lines.append(
            "the model average is worse than the deep ensemble in which it started: the step size or the number of "
            "steps does not suit this network"
        )
    return lines


def _says_nothing(summary: pd.DataFrame, metric: str) -> bool:
    """Trouble that was none, step sizes that no tuner has changed, the bias of all coordinates by its other name."""
    means = summary.loc[metric, "mean"]
    if metric in _OF_TROUBLE:
        return bool((means == 0).all())
    if metric == "final_step_size":
        return bool(np.allclose(means, means.index, rtol=1e-5))
    return metric == "bias_published" and means.equals(summary.loc["bias", "mean"])

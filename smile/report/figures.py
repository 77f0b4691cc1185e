"""The figures of a run, drawn from its Parquet files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smile.quantities import Metric
from smile.tracking.statistics import MOST_RHAT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["against_step_size", "running_lppd"]

_SAMPLER, _ENSEMBLE = "#0072B2", "#D55E00"  # of Okabe & Ito's palette, as in the figures of tables
_MOST_NATS = 2.0


def against_step_size(rows: pd.DataFrame, metrics: Sequence[Metric], best: float | None) -> Figure:
    """Metrics against the step size: every replication a dot, their means a line.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
        metrics: a panel for each.
        best: step size to mark; None marks none.
    """
    drawn, axes = _panels(len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        values = rows[rows["metric"] == metric.name]
        values = values[np.isfinite(values["value"])]
        axis.plot(values["step_size"], values["value"], ".", color=_SAMPLER, alpha=0.35, markersize=4)
        means = values.groupby("step_size")["value"].mean()
        axis.plot(means.index, means, color=_SAMPLER, marker="o", markersize=3.5, linewidth=1.2)
        if best is not None:
            axis.axvline(best, color="0.5", linestyle=":", linewidth=1.2)
        if metric.name == "rhat_max":
            axis.axhline(MOST_RHAT, color=_ENSEMBLE, linestyle=(0, (5, 2)), linewidth=1)
        is_positive = len(values) > 0 and bool((values["value"] > 0).all())
        axis.set(xscale="log", yscale="log" if is_positive and not metric.highest else "linear")
        axis.set(xlabel="step size")
        axis.set_title(textwrap.fill(metric.label, 48), fontsize=9)
    return drawn


def running_lppd(history: pd.DataFrame, step_size: float, ensemble: float | None) -> Figure | None:
    """How the predictions of one step size's chains became what they are; None where no value is finite.

    Args:
        history: ``history.parquet`` of a run on a network.
        step_size: which.
        ensemble: LPPD of the deep ensemble, where it is known.
    """
    rows = history[(history["split"] == "test") & np.isclose(history["step_size"], step_size, rtol=1e-6)]
    rows = rows[np.isfinite(rows["lppd"])]
    if rows.empty:
        return None
    drawn, (axis,) = _panels(1)
    for number, (_, chain) in enumerate(rows[rows["chain"] >= 0].groupby("chain")):
        axis.plot(
            chain["gradient_evaluations"], chain["lppd"], color=_SAMPLER, alpha=0.35, linewidth=0.9,
            label="a chain alone" if number == 0 else None,
        )  # fmt: skip
    average = rows[rows["chain"] == -1]
    axis.plot(
        average["gradient_evaluations"], average["lppd"], color=_SAMPLER, linewidth=2.2, label="all chains"
    )
    if ensemble is not None and np.isfinite(ensemble):
        axis.axhline(ensemble, color=_ENSEMBLE, linestyle=(0, (5, 2)), linewidth=1.4, label="deep ensemble")
    top = max(rows["lppd"].max(), ensemble if ensemble is not None else -np.inf)
    low = min(rows["lppd"].min(), ensemble if ensemble is not None else np.inf)
    if low < top - _MOST_NATS:
        axis.set_ylim(top - _MOST_NATS, top + 0.05 * _MOST_NATS)
    axis.set(xlabel="gradient evaluations per chain", ylabel="LPPD on test data (nats per row)")
    axis.legend(frameon=False, fontsize=8)
    return drawn


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    # pyplot would look for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.6 * number + (1.4 if number == 1 else 0), 3.4), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(1, number, squeeze=False)[0]
    for axis in axes:
        axis.grid(color="0.92", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return drawn, axes

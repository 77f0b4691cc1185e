"""One run in one figure: how its predictive density grows with the work done, and whether it is calibrated."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from smile.extras import need
from smile.tracking.files import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Calibration", "Curve", "RunFigure", "draw_run_figure", "save_run_figure"]

# A chain that has diverged must not flatten all others: one half of all values fills the upper half of the axis, which
# is longer where the deep ensemble asks for it, but never longer than 5 nats.
_MOST_NATS = 5.0
_LEGEND_ROW_INCHES = 0.135
_SAMPLER, _ENSEMBLE = "#0072B2", "#D55E00"  # of Okabe & Ito's palette, as in the figures of tables
_CALIBRATION_AXES = {
    "reliability": ("confidence", "accuracy"),
    "coverage": ("nominal coverage", "observed coverage"),
}


class Curve(NamedTuple):
    """The running LPPD of the chains of one step size.

    Attributes:
        step_size: the step size.
        gradient_evaluations: work of every chain so far, (points,), above zero.
        lppd: log predictive density of the mixture over chains and draws so far, (points,), nats per row; gaps where
            it is not finite.
    """

    step_size: float
    gradient_evaluations: np.ndarray
    lppd: np.ndarray


class Calibration(NamedTuple):
    """A reliability diagram or a coverage curve.

    Attributes:
        expected: confidence or nominal coverage, (points,).
        observed: accuracy or observed coverage, (points,); NaN is left out.
    """

    expected: np.ndarray
    observed: np.ndarray


class RunFigure(NamedTuple):
    """What is drawn.

    Attributes:
        title: what was run.
        calibration: what the right panel shows.
        curves: one for each step size, one at least.
        best_step_size: that of the curve to stress.
        ensemble_lppd: the deep ensemble's, nats per row.
        sampler: calibration of the chains of the best step size.
        ensemble: calibration of the deep ensemble.
    """

    title: str
    calibration: Literal["reliability", "coverage"]
    curves: Sequence[Curve]
    best_step_size: float
    ensemble_lppd: float
    sampler: Calibration
    ensemble: Calibration


def save_run_figure(stem: str | Path, run: RunFigure) -> None:
    """Writes ``<stem>.png`` and ``<stem>.pdf``, each whole or not at all.

    The axis of the LPPD ends 5 nats below the best value at the latest, and says so where a curve leaves it.
    """
    figure = draw_run_figure(run)
    for kind in ("png", "pdf"):
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=200)
        write_bytes_atomic(f"{stem}.{kind}", content.getvalue())


def draw_run_figure(run: RunFigure) -> Figure:
    """The figure itself."""
    need("matplotlib", "a figure")
    # pyplot would look for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = max(3.7, 1 + _LEGEND_ROW_INCHES * (len(run.curves) + 2))
    figure = Figure(figsize=(9.6, height), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for axis in (left, right):
        axis.grid(color="0.92", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    _draw_lppd(left, run)
    _draw_calibration(right, run)
    figure.suptitle(run.title, fontsize=11, fontweight="bold")
    return figure


def _draw_lppd(axis: Axes, run: RunFigure) -> None:
    from matplotlib import colormaps

    curves = sorted(run.curves, key=lambda curve: curve.step_size)
    # light for small steps, dark for large ones, without the yellow end, which is hard to see
    colors = colormaps["viridis_r"](np.linspace(0.12, 1, len(curves)))
    floor = _floor(run)
    for curve, color in zip(curves, colors, strict=True):
        best = curve.step_size == run.best_step_size
        notes = [
            "best" if best and len(curves) > 1 else "",
            "not finite" if not np.isfinite(curve.lppd[-1]) else "",
            "below the axis" if curve.lppd[-1] < floor else "",
        ]
        axis.plot(
            curve.gradient_evaluations, curve.lppd, color=color, linewidth=2.4 if best else 1.2,
            zorder=3 if best else 2, label=", ".join([f"{curve.step_size:.3g}", *filter(None, notes)]),
        )  # fmt: skip
    below = ", below the axis" if run.ensemble_lppd < floor else ""
    dashes = (0, (5, 2))
    label = f"deep ensemble{below}"
    axis.axhline(run.ensemble_lppd, color=_ENSEMBLE, linestyle=dashes, linewidth=1.5, label=label)
    axis.set(xlabel="gradient evaluations per chain", ylabel="LPPD on test data (nats per row)")
    work = np.concatenate([curve.gradient_evaluations for curve in curves])
    margin = 0.03 * (work.max() - work.min()) or 1.0
    axis.set_xlim(
        work.min() - margin, work.max() + margin
    )  # the axis cannot find it where no value is finite
    axis.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)
    if floor > -np.inf:
        axis.set_ylim(bottom=floor, top=_highest(run) + 0.05 * (_highest(run) - floor))
        axis.set_ylabel("LPPD on test data (nats per row)\n(curves continue below the axis)", linespacing=1.4)
    axis.legend(
        title="step size", title_fontsize=8, fontsize=7.5, labelspacing=0.25, handlelength=1.6,
        loc="upper left", bbox_to_anchor=(1, 1.03), alignment="left", frameon=False,
    )  # fmt: skip


def _values(run: RunFigure) -> np.ndarray:
    values = np.concatenate([curve.lppd for curve in run.curves])
    return values[np.isfinite(values)]


def _highest(run: RunFigure) -> float:
    return float(np.max(_values(run), initial=run.ensemble_lppd))


def _floor(run: RunFigure) -> float:
    """Where to cut the axis: -inf if all fits."""
    values, highest = _values(run), _highest(run)
    if not len(values):
        return -np.inf
    reach = min(2 * (highest - np.median(values)), _MOST_NATS)
    below = 1.2 * (highest - run.ensemble_lppd)
    floor = highest - (max(reach, below) if below <= _MOST_NATS else reach)
    return floor if min(values.min(), run.ensemble_lppd) < floor else -np.inf


def _draw_calibration(axis: Axes, run: RunFigure) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=1)
    for calibration, color, marker, label in (
        (run.ensemble, _ENSEMBLE, "s", "deep ensemble"),
        (run.sampler, _SAMPLER, "o", "sampler"),
    ):
        there = np.isfinite(calibration.observed)
        axis.plot(
            calibration.expected[there], calibration.observed[there], color=color, marker=marker,
            markersize=4, linewidth=1.3, label=label, clip_on=False,
        )  # fmt: skip
    xlabel, ylabel = _CALIBRATION_AXES[run.calibration]
    ticks = np.linspace(0, 1, 6)
    axis.set(
        xlim=(0, 1), ylim=(0, 1), xticks=ticks, yticks=ticks, aspect="equal", xlabel=xlabel, ylabel=ylabel
    )
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(-0.05, 1),
        ncols=2,
        frameon=False,
        fontsize=7.5,
        handlelength=1.6,
        columnspacing=1,
    )

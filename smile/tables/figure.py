"""The metric against the step size: one panel for each row of the table, one line for each of its columns.

Where the table says which of its keys make panels, the others make lines: the first by colour, the second by dashes.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from smile.extras import need
from smile.tables.cells import Cell, Cells, Grids
from smile.tables.grid import Grid
from smile.tables.spec import MOST_DASHES, TableSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "styles"]

_LEGEND_ENTRY_INCHES = 1.6
_CHARACTERS_PER_INCH = 13
_NARROWEST = 2.0  # panels, so that the legend finds room
_MOST_DECADES = 6.0  # on a logarithmic axis
_MOST_UNITS = 1.0  # on a linear one, nats
_MOST_MEDIANS = 3.0  # and so many times as far below the best as the median

# Okabe & Ito's palette, which stays apart for colour-blind readers, and markers, which stay apart in grey print; one
# more of these, so that what shares a colour differs in its marker.
_COLORS = ("#D55E00", "#009E73", "#E69F00", "#0072B2", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_Dashes = Literal["-"] | tuple[float, tuple[int, ...]]
_DASHES: tuple[_Dashes, ...] = ("-", (0, (1, 1)), (0, (4, 1, 1, 1)))
_BASELINES: tuple[Literal[":", "-."], ...] = (":", "-.")
assert len(_DASHES) == MOST_DASHES


class _Style(NamedTuple):
    color: str
    marker: str
    dashes: _Dashes = "-"


def draw(grids: Grids, spec: TableSpec, cells: Cells, metric: str, caption: str = "") -> Figure:
    """Draws the figure of one metric.

    Args:
        grids: the values of every configuration.
        spec: the table; the last key of its panels runs across, the others down.
        cells: the table's cells by all replications, for the marks at the best step sizes, the published values and the
            baseline.
        metric: a key of ``spec.metrics``.
        caption: what the figure says of its runs.
    """
    need("matplotlib", "a figure")
    # pyplot would look for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(itertools.product(*(spec.labels[key] for key in spec.panels)))
    across = len(spec.labels[spec.panels[-1]])
    down = len(panels) // across
    figure = Figure(
        figsize=(2.9 * max(across, _NARROWEST) + 0.6, 2.3 * down + 1.1 + (0.5 if caption else 0)),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, sharex=True, sharey="row", squeeze=False)
    looks = styles(spec)
    for axis, panel in zip(axes.flat, panels, strict=True):
        baselines: dict[str, set[float]] = {name: set() for name in spec.baselines}
        for values, style in looks.items():
            place = dict(zip((*spec.panels, *spec.lines), (*panel, *values), strict=True))
            row, column = tuple(place[key] for key in spec.rows), place[spec.columns]
            grid = grids.get((row, column))
            if grid is not None and metric in grid.values:
                _draw_line(axis, grid, metric, cells.get((row, column)), style)
            for name, means in baselines.items():
                means |= {cells[row, name].mean} if (row, name) in cells else set()
        for means, dashes in zip(baselines.values(), itertools.cycle(_BASELINES), strict=False):
            for mean in means:
                axis.axhline(mean, color="0.35", linestyle=dashes, linewidth=1.3)
        axis.set(xscale="log", yscale="linear" if spec.metrics[metric].highest else "log")
        axis.grid(color="0.92", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    for axis, panel in zip(axes[:, 0], panels[::across], strict=True):
        labels = [spec.labels[key][value] for key, value in zip(spec.panels[:-1], panel, strict=False)]
        axis.set_ylabel(
            "\n".join(textwrap.fill(label, 22) for label in labels), fontweight="bold", fontsize=9
        )
    for axis, label in zip(axes[0], spec.labels[spec.panels[-1]].values(), strict=True):
        axis.set_title(label, fontsize=10, fontweight="bold")
    for row_of_axes in axes:
        _limit(row_of_axes, spec.metrics[metric].highest)
    width = int(figure.get_figwidth() * _CHARACTERS_PER_INCH)
    figure.supxlabel(
        "\n".join(["step size", *textwrap.wrap(caption, width)]), fontsize=10 if not caption else 9
    )
    figure.supylabel(textwrap.fill(spec.metrics[metric].label, 24 * down), fontsize=10)
    _draw_legend(figure, spec)
    return figure


def _limit(axes: Sequence[Axes], highest: bool) -> None:
    """What is far worse than the best must not flatten all the rest; the axes of a row share their limits."""
    if not highest:
        bottom, top = axes[0].get_ylim()
        axes[0].set_ylim(bottom, min(top, bottom * 10**_MOST_DECADES))
        return
    values = np.concatenate([np.asarray(line.get_ydata(), float) for axis in axes for line in axis.lines])
    values = values[np.isfinite(values)]
    if values.size:
        top = values.max()
        reach = min(_MOST_UNITS, _MOST_MEDIANS * (top - np.median(values)))
        bottom = max(values.min(), top - reach)
        margin = 0.06 * (top - bottom) or 0.1
        axes[0].set_ylim(bottom - margin, top + margin)


def styles(spec: TableSpec) -> dict[tuple[str, ...], _Style]:
    """By the values of the keys of ``spec.lines``: one, or two."""
    colored, *dashed = (spec.labels[key] for key in spec.lines)
    markers = zip(itertools.cycle(_COLORS), itertools.cycle(_MARKERS), strict=False)
    found: dict[tuple[str, ...], _Style] = {
        (value,): _Style(*pair) for value, pair in zip(colored, markers, strict=False)
    }
    for values in dashed:
        found = {
            (*first, value): style._replace(dashes=dashes)
            for first, style in found.items()
            for value, dashes in zip(values, _DASHES, strict=False)
        }
    return found


def _draw_line(axis: Axes, grid: Grid, metric: str, cell: Cell | None, style: _Style) -> None:
    color, marker, dashes = style
    every = np.ones(grid.replication.shape, bool)
    mean, error = grid.means(metric, every[None].astype(float))[0], grid.errors(metric, every)
    low = mean - error
    if axis.get_yscale() == "log":
        low = np.where(low > 0, low, mean / 3)
    axis.fill_between(grid.step_size, low, mean + error, color=color, alpha=0.2, linewidth=0)
    axis.plot(grid.step_size, mean, color=color, marker=marker, linestyle=dashes, markersize=3, linewidth=1.2)
    if cell is None:
        return
    if math.isfinite(cell.mean):
        axis.plot(
            cell.step_size, cell.mean, color=color, marker=marker, markersize=7.5, markeredgecolor="black"
        )
    if math.isfinite(cell.published):
        axis.axhline(cell.published, color=color, linestyle=(0, (5, 2)), linewidth=1.0, alpha=0.8, zorder=1)
        # on the right edge, half outside the panel
        axis.plot(
            1, cell.published, transform=axis.get_yaxis_transform(), color=color, marker=marker, markersize=5,
            markerfacecolor="white", clip_on=False,
        )  # fmt: skip


def _draw_legend(figure: Figure, spec: TableSpec) -> None:
    from matplotlib.lines import Line2D

    looks = styles(spec)
    colored, *dashed = (spec.labels[key] for key in spec.lines)
    look = {values[0]: (style.color, style.marker) for values, style in looks.items()}
    handles = [
        Line2D([], [], color=look[value][0], marker=look[value][1], markersize=4, label=label)
        for value, label in colored.items()
    ]
    for labels in dashed:
        handles += [
            Line2D([], [], color="0.4", linestyle=dashes, label=label)
            for label, dashes in zip(labels.values(), _DASHES, strict=False)
        ]
    handles.append(
        Line2D([], [], linestyle="", marker="o", markersize=7.5, color="0.6", mec="black", label="best")
    )
    if spec.published:
        dashes = (0, (5, 2))
        handles.append(
            Line2D([], [], color="0.4", linestyle=dashes, marker="o", mfc="white", label="published")
        )
    handles += [
        Line2D([], [], color="0.35", linestyle=dashes, label=baseline.label)
        for baseline, dashes in zip(spec.baselines.values(), itertools.cycle(_BASELINES), strict=False)
    ]
    columns = min(len(handles), int(figure.get_figwidth() / _LEGEND_ENTRY_INCHES))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=3,
    )

"""The metric at the chosen step size against a key of the rows, the batch size for instance: one panel a target."""

from __future__ import annotations

import itertools
import math
import textwrap
from typing import TYPE_CHECKING

from smile.extras import need
from smile.tables.cells import Cells
from smile.tables.figure import styles
from smile.tables.spec import TableSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_trend"]

_MOST_ACROSS = 4
_SPREAD = 0.35  # of the lines of a panel, in units of the distance between two places


def draw_trend(spec: TableSpec, cells: Cells, metric: str, caption: str = "") -> Figure:
    """Draws the figure of one metric.

    Args:
        spec: the table, whose ``against`` says what runs across a panel.
        cells: of one selection.
        metric: a key of ``spec.metrics``; its ideal value is marked.
        caption: what the figure says of its runs.
    """
    need("matplotlib", "a figure")
    # pyplot would look for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = list(itertools.product(*(spec.labels[key] for key in spec.panels)))
    across = min(_MOST_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(2.9 * max(across, 2) + 0.6, 2.4 * down + 1.1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    places = list(spec.labels[spec.against])
    looks = styles(spec)
    for axis, panel in itertools.zip_longest(axes.flat, panels):
        if panel is None:
            axis.set_visible(False)
            continue
        ideal = spec.metrics[metric].ideal
        if ideal is not None:
            axis.axhline(ideal, color="0.35", linestyle=":", linewidth=1.2)
        for number, (values, style) in enumerate(looks.items()):
            shift = _SPREAD * (number / max(1, len(looks) - 1) - 0.5)
            found = []
            for x, place in enumerate(places):
                where = dict(zip((*spec.panels, *spec.lines), (*panel, *values), strict=True))
                where[spec.against] = place
                cell = cells.get((tuple(where[key] for key in spec.rows), where[spec.columns]))
                if cell is not None and math.isfinite(cell.mean):
                    error = 0.0 if math.isnan(cell.error) else cell.error
                    found.append((x + shift, cell.mean, error, cell.is_doubtful))
            if found:
                x_values, means, errors, doubtful = zip(*found, strict=True)
                axis.errorbar(
                    x_values, means, errors, color=style.color, linestyle=style.dashes, linewidth=1.1
                )
                for x_value, mean, is_doubtful in zip(x_values, means, doubtful, strict=True):
                    face = "white" if is_doubtful else style.color
                    axis.plot(x_value, mean, marker=style.marker, color=style.color, mfc=face, markersize=5)
        title = ", ".join(spec.labels[key][value] for key, value in zip(spec.panels, panel, strict=True))
        axis.set_title(title, fontsize=9, fontweight="bold")
        axis.set_xticks(range(len(places)), list(spec.labels[spec.against].values()), fontsize=8)
        axis.grid(color="0.92", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supylabel(textwrap.fill(spec.metrics[metric].label, 24 * down), fontsize=9)
    if caption:
        figure.supxlabel(caption, fontsize=9)
    labels = [
        ", ".join(spec.labels[key][value] for key, value in zip(spec.lines, values, strict=True))
        for values in looks
    ]
    handles = [
        Line2D([], [], color=style.color, marker=style.marker, linestyle=style.dashes, label=label)
        for style, label in zip(looks.values(), labels, strict=True)
    ]
    handles.append(
        Line2D([], [], color="0.5", marker="o", mfc="white", linestyle="", label="chains not mixed")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure

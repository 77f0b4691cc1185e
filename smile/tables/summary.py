"""A table in a few sentences."""

from __future__ import annotations

import math

from smile.tables.cells import BASELINE, Cells
from smile.tables.spec import TableSpec

__all__ = ["summary_lines"]


def summary_lines(spec: TableSpec, cells: Cells) -> list[str]:
    """How complete a table is, how close to print, and what its marks count."""
    own = {key: cell for key, cell in cells.items() if key[1] != BASELINE}
    total = len(spec.row_values()) * len(spec.labels[spec.columns])
    lines = [f"{len(own)} of {total} cells."]
    printed = [cell for cell in own.values() if not math.isnan(cell.published)]
    if printed:
        near = sum(0.5 <= cell.ratio <= 2 for cell in printed)
        lines.append(f"{near} of {len(printed)} cells lie within a factor 2 of print.")
    edges = sum(bool(cell.edge) for cell in own.values())
    diverged = sum(cell.ineligible for cell in own.values())
    step_sizes = sum(cell.step_sizes for cell in own.values())
    lines.append(f"{edges} best step sizes lie on an edge of their grid.")
    lines.append(f"{diverged} of {step_sizes} step sizes were not eligible because a chain diverged.")
    return lines

"""A table in a few sentences."""

from __future__ import annotations

import math

from smile.tables.cells import Cells
from smile.tables.spec import TableSpec
from smile.tables.verdicts import counted, judge

__all__ = ["claim_lines", "summary_lines"]


def summary_lines(spec: TableSpec, cells: Cells) -> list[str]:
    """How complete a table is, how close to print, and what its marks count."""
    own = {key: cell for key, cell in cells.items() if key[1] not in spec.baselines}
    total = len(spec.row_values()) * len(spec.labels[spec.columns])
    lines = [f"{len(own)} of {total} cells."]
    near = {key: 0.5 <= cell.ratio <= 2 for key, cell in own.items() if not math.isnan(cell.published)}
    lines += _counted(spec, near, "lie within a factor 2 of print")
    agreeing = {key: cell.agrees for key, cell in own.items() if cell.agrees is not None}
    lines += _counted(spec, agreeing, "agree with print by their interval")
    edges = sum(bool(cell.edge) for cell in own.values())
    diverged = sum(cell.ineligible for cell in own.values())
    step_sizes = sum(cell.step_sizes for cell in own.values())
    lines.append(f"{edges} best step sizes lie on an edge of their grid.")
    lines.append(f"{diverged} of {step_sizes} step sizes were not eligible because a chain diverged.")
    known = [cell for cell in own.values() if not (math.isnan(cell.rhat_max) and math.isnan(cell.ess_min))]
    if known:
        doubtful = sum(cell.is_doubtful for cell in known)
        lines.append(f"{doubtful} of {len(known)} cells are marked †: their chains have not mixed.")
    return lines


def claim_lines(spec: TableSpec, cells: Cells, metric: str) -> list[str]:
    """In how many cells each claim holds, by one metric."""
    highest = spec.metrics[metric].highest
    return [f"{claim.text}: {counted(judge(spec, claim, cells, highest))}." for claim in spec.claims]


def _counted(spec: TableSpec, holds: dict[tuple[tuple[str, ...], str], bool], what: str) -> list[str]:
    """Of how many cells something holds, and of how many of each column."""
    if not holds:
        return []
    columns = {
        label: [found for (_, column), found in holds.items() if column == value]
        for value, label in spec.labels[spec.columns].items()
    }
    each = ", ".join(f"{label} {sum(found)} of {len(found)}" for label, found in columns.items() if found)
    return [f"{sum(holds.values())} of {len(holds)} cells {what}: {each}."]

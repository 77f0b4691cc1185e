"""What all formats of a table share: its rows, and every cell, heading and number as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from smile.quantities import Metric
from smile.tables.bootstrap import FEWEST
from smile.tables.cells import SELECTIONS, Cell, Cells
from smile.tables.spec import TableSpec
from smile.tracking.statistics import FEWEST_EFFECTIVE_DRAWS, MOST_RHAT

__all__ = [
    "LEGEND",
    "MISSING",
    "Tables",
    "best_of_row",
    "cell_lines",
    "column_names",
    "heading",
    "rows",
    "step_size",
    "value",
]

# The cells of every (metric, selection).
Tables = dict[tuple[str, str], Cells]

MISSING = "—"

LEGEND = (
    "Cell: mean ± standard error over replications at the best step size, and that step size; below it a 95 % interval "
    "of the mean, the bootstrap over replications with the choice of the step size repeated in every resample (none "
    f"with fewer than {FEWEST} replications), which agrees where it overlaps print ± 2 standard errors; then the "
    "published value and the ratio ours / published. Bold: best of the row without baselines. ↓ ↑: the best step "
    "size is the lowest or highest of the grid, so a wider one may do better. °: a chain diverged at some step sizes, "
    f"which were not eligible. †: R-hat above {MOST_RHAT} or effective sample size below {FEWEST_EFFECTIVE_DRAWS} "
    "at this step size, so that the value may be that of chains that have hardly moved. "
    "—: no run, none with this metric, or too few replications to choose and report apart."
)

_ROUNDING = 1e-12
_MOST_DECIMALS = 5
_LARGE = 1e5  # what is as large is written with an exponent
_EDGES = {"": "", "low": "↓", "high": "↑"}


def heading(spec: TableSpec, metric: str, selection: str) -> str:
    label = spec.metrics[metric].label
    return f"{label[:1].upper()}{label[1:]}; {SELECTIONS[selection]}"


def column_names(spec: TableSpec) -> list[str]:
    return [*spec.rows, *spec.all_columns.values()]


def rows(spec: TableSpec, cells: Cells) -> Iterator[tuple[list[str], list[Cell | None]]]:
    for row in spec.row_values():
        labels = [spec.labels[key][value] for key, value in zip(spec.rows, row, strict=True)]
        yield labels, [cells.get((row, column)) for column in spec.all_columns]


def best_of_row(spec: TableSpec, row: Sequence[Cell | None], metric: Metric) -> Cell | None:
    """The best cell of a row; baselines come last and do not compete."""

    def badness(cell: Cell) -> float:
        if metric.ideal is not None:
            return abs(cell.mean - metric.ideal)
        return -cell.mean if metric.highest else cell.mean

    own = row[: len(spec.labels[spec.columns])]
    finite = [cell for cell in own if cell is not None and math.isfinite(cell.mean)]
    return min(finite, key=badness, default=None)


def cell_lines(cell: Cell | None) -> list[str]:
    if cell is None:
        return [MISSING]
    marks = f"{'°' if cell.ineligible else ''}{'†' if cell.is_doubtful else ''}"
    if math.isnan(cell.mean):
        ours = f"diverged {marks}".rstrip()
    else:
        at = "" if math.isnan(cell.step_size) else f" @ {step_size(cell.step_size)}{_EDGES[cell.edge]}"
        ours = f"{value(cell)}{at}{marks}"
    lines = [ours] if math.isnan(cell.low) else [ours, _interval(cell)]
    if math.isnan(cell.published):
        return lines
    ratio = "" if math.isnan(cell.ratio) else f", {_ratio(cell.ratio)}×"
    return [*lines, f"print {_printed(cell)}{ratio}"]


def value(cell: Cell) -> str:
    return MISSING if math.isnan(cell.mean) else _number(cell.mean, cell.error)


def _number(mean: float, error: float) -> str:
    decimals = _decimals(mean, error)
    form = f".{decimals}f" if decimals <= _MOST_DECIMALS and mean < _LARGE else ".1e"
    return f"{mean:{form}}" + ("" if math.isnan(error) else f" ± {error:{form}}")


def _interval(cell: Cell) -> str:
    decimals = max(_decimals(cell.low, cell.high), _decimals(cell.mean, cell.error))
    form = f".{decimals}f" if decimals <= _MOST_DECIMALS else ".1e"
    low, high = (
        f"{bound:{form if bound < _LARGE else '.1e'}}".replace("inf", "∞") for bound in (cell.low, cell.high)
    )
    return f"[{low}, {high}]{' agrees' if cell.agrees else ''}"


def _decimals(mean: float, error: float) -> int:
    """Three as in print, more where the mean would lose its second digit or the error its first."""
    least = _ROUNDING * abs(mean)  # what equal numbers differ by, on average, is no error
    digits = [
        extra - math.floor(math.log10(x)) for x, extra in ((abs(mean), 1), (error, 0)) if least < x < math.inf
    ]
    return max(3, *digits) if digits else 3


def _printed(cell: Cell) -> str:
    """The published value with the digits that were printed."""
    decimals = max(3, len(repr(cell.published).partition(".")[2]))
    error = "" if math.isnan(cell.published_error) else f" ± {cell.published_error:.{decimals}f}"
    return f"{cell.published:.{decimals}f}{error}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if 1 <= ratio < 10 else f"{ratio:.2g}"


def step_size(size: float) -> str:
    mantissa, exponent = f"{size:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"

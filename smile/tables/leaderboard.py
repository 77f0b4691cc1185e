"""Samplers against each other on every row of a table: what the leaderboard says, before it is Markdown or HTML.

Step sizes are chosen and numbers reported on different replications (``honest`` of ``smile.tables.cells``); it is the
table's own cells that are ranked. A sampler of another package that has run the experiment is one more column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from smile.tables.build import Assembled, assemble
from smile.tables.cells import SELECTIONS, Cell, select
from smile.tables.conditions import covers
from smile.tables.layout import MISSING, step_size, value
from smile.tables.markdown import markdown_row
from smile.tables.ranks import Ranked, Standing, rank, standing
from smile.tables.spec import TableSpec
from smile.tracking.parquet import read_table

__all__ = ["LEGEND", "Leaderboard", "Sheet", "leaderboard"]

LEGEND = (
    f"Numbers: {SELECTIONS['honest']}. Places by the first of them; in brackets the central 95 % of the bootstrap over "
    "replications, the choice of the step size repeated in every resample: rough where a half has three of them. "
    "Rivals beaten: the share of the others in its rows that a sampler is ahead of, of which an order of chance gives "
    "50 %; who competes in fewer than half of the rows comes last. Seconds: of the run with its whole grid of step "
    "sizes, on a machine that may have had other work. Gradients: evaluations of a chain, of a batch or of the part of "
    "it that the sampler takes. †: R-hat above 1.05 or fewer than 100 effective draws, chains that have not mixed."
)

_FEWEST = 2  # replications in a half: of a place, a rough interval says more than none

# What stands beside the metric that ranks, where the table has it.
_BESIDE = {
    "mean_error_rms": "error of the mean",
    "sd_ratio_median": "sd ratio",
    "sd_ratio_predicted": "predicted",
    "sd_ratio_min": "smallest sd ratio",
}


class Sheet(NamedTuple):
    """One table of text, ``rows`` below ``headings``."""

    title: str
    headings: list[str]
    rows: list[list[str]]


class Leaderboard(NamedTuple):
    """A page.

    Attributes:
        title: its first line.
        facts: what the numbers come from and who is not there, in sentences.
        order: the samplers, the best first.
        sheets: one for each value of the first key of the rows, a posterior for instance.
    """

    title: str
    facts: list[str]
    order: Sheet
    sheets: list[Sheet]

    def markdown(self) -> str:
        """The page as Markdown."""
        lines = [f"# {self.title}", "", *(f"- {fact}" for fact in self.facts), ""]
        for sheet in (self.order, *self.sheets):
            lines += [f"## {sheet.title}", "", markdown_row(sheet.headings)]
            lines += [markdown_row("---" for _ in sheet.headings), *map(markdown_row, sheet.rows), ""]
        return "\n".join([*lines, LEGEND, ""])


class _Cost(NamedTuple):
    seconds: float
    gradients: int


def leaderboard(spec: TableSpec, experiment_dir: Path, scale: str) -> Leaderboard:
    """The leaderboard of a table.

    Args:
        spec: whose columns are samplers and whose runs have replications.
        experiment_dir: the folder that holds its runs.
        scale: of the runs.

    Raises:
        FileNotFoundError: where the directory holds no finished run.
        ValueError: where the table is of networks or of something else than samplers, or no run is one of it.
    """
    if spec.columns != "sampler" or "honest" not in spec.selections:
        raise ValueError(f"no leaderboard of {spec.name}: its columns are not samplers with replications")
    costs = _costs(experiment_dir)
    found = assemble(_open(spec, experiment_dir), experiment_dir, scale)
    spec = found.spec
    ranks = {row: _ranked(found, row) for row in spec.row_values()}
    first, *others = spec.rows
    sheets = [
        Sheet(
            label,
            [*others, "place", "sampler", *_headings(spec), "seconds", "gradients", "step size", "R-hat"],
            [
                line
                for row in spec.row_values()
                if row[0] == key
                for line in _lines(found, row, ranks[row], costs)
            ],
        )
        for key, label in spec.labels[first].items()
    ]
    return Leaderboard(
        f"Leaderboard: {spec.title}", [*found.facts, *found.omissions], _order(spec, ranks), sheets
    )


def _open(spec: TableSpec, experiment_dir: Path) -> TableSpec:
    """The table with a column for every sampler that has runs."""
    rows = read_table(experiment_dir, ["run_id", "sampler"])
    known = {*spec.labels["sampler"], *(found.where.get("sampler") for found in spec.baselines.values())}
    there = [] if rows is None else sorted(set(rows["sampler"].to_pylist()) - known)
    labels = spec.labels["sampler"] | {name: name for name in there}
    return replace(spec, labels=spec.labels | {"sampler": labels})


def _costs(experiment_dir: Path) -> dict[str, _Cost]:
    columns = ["run_id", "wall_seconds", "gradient_evaluations"]
    rows = read_table(experiment_dir, columns)
    if rows is None:
        return {}
    found = rows.group_by(columns).aggregate([]).to_pylist()
    return {run["run_id"]: _Cost(run["wall_seconds"], run["gradient_evaluations"]) for run in found}


def _ranked(found: Assembled, row: tuple[str, ...]) -> dict[str, Ranked]:
    metric = next(iter(found.spec.metrics.values()))
    cells = {
        column: cell
        for column in found.spec.labels["sampler"]
        if (grid := found.grids.get((row, column))) is not None
        and (cell := select(grid, "honest", metric, _FEWEST)) is not None
    }
    return rank(cells, metric)


# ---- text ----------------------------------------------------------------------------------------


def _headings(spec: TableSpec) -> list[str]:
    first = next(iter(spec.metrics.values()))
    return [first.label, *(name for metric, name in _BESIDE.items() if metric in spec.metrics)]


def _order(spec: TableSpec, ranks: Mapping[tuple[str, ...], Mapping[str, Ranked]]) -> Sheet:
    """Samplers by the share of their rivals that they beat, over all rows and by the last key of the rows."""
    *_, last = spec.rows
    parts = spec.labels[last]
    lines = []
    for column, label in spec.labels["sampler"].items():
        mine = {row: places[column] for row, places in ranks.items() if column in places}
        overall = standing(list(mine.values()))
        each = [standing([one for row, one in mine.items() if row[-1] == part]) for part in parts]
        firsts = sum(one.place == 1 for one in mine.values() if one.rivals)
        texts = [label, _share(overall), f"{firsts} of {overall.rows}", *map(_share, each)]
        lines.append((overall, texts))
    most = max(overall.rows for overall, _ in lines)
    lines.sort(key=lambda line: (2 * line[0].rows < most, -line[0].share if line[0].rows else 0.0))
    headings = ["sampler", "rivals beaten", "first", *parts.values()]
    return Sheet("Who is ahead", headings, [texts for _, texts in lines])


def _share(found: Standing) -> str:
    if not found.rows:
        return MISSING
    reach = "" if math.isnan(found.low) else f" [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{100 * found.share:.0f} %{reach}"


def _lines(
    found: Assembled, row: tuple[str, ...], places: Mapping[str, Ranked], costs: Mapping[str, _Cost]
) -> list[list[str]]:
    """The samplers of a row in their order, then those that have no cell, with the reason."""
    spec = found.spec
    here = [spec.labels[key][value] for key, value in zip(spec.rows[1:], row[1:], strict=True)]
    names = spec.labels["sampler"]
    first, *_ = spec.metrics
    beside = [name for name in _BESIDE if name in spec.metrics]
    lines = []
    for column in sorted(places, key=lambda name: places[name].place):
        cells = [found.tables[name, "honest"].get((row, column)) for name in (first, *beside)]
        cell = cells[0]
        assert cell is not None  # or it would have no place
        cost = costs[cell.run_id]
        at = MISSING if math.isnan(cell.step_size) else step_size(cell.step_size)
        texts = ["diverged" if math.isnan(cell.mean) else value(cell), *map(_value, cells[1:])]
        work = [f"{cost.seconds:.1f}", f"{cost.gradients:,}"]
        lines.append([*here, _place(places[column]), names[column], *texts, *work, at, _rhat(cell)])
    for column, label in names.items():
        if column not in places:
            reason = _reason(spec, dict(zip(spec.keys, (*row, column), strict=True)))
            lines.append([*here, MISSING, label, reason, *[MISSING] * (len(beside) + 4)])
    return lines


def _value(cell: Cell | None) -> str:
    """Without an error where there can be none, as of what theory predicts for a step size."""
    if cell is None:
        return MISSING
    return value(cell if cell.error > 0 else replace(cell, error=math.nan))


def _place(ranked: Ranked) -> str:
    low, high = ranked.interval
    return f"{ranked.place:g}" + ("" if math.isnan(low) else f" [{low:g}, {high:g}]")


def _rhat(cell: Cell) -> str:
    known = MISSING if math.isnan(cell.rhat_max) else f"{cell.rhat_max:.2f}"
    return f"{known} †" if cell.is_doubtful else known


def _reason(spec: TableSpec, place: Mapping[str, str]) -> str:
    """Why a sampler has no cell."""
    for where, reason in zip(spec.cannot.values(), spec.reasons, strict=True):
        if covers(where, place):
            return f"cannot: {reason}"
    return "no run"

"""From metric rows to cells: the best step size of every configuration, chosen in two ways, beside print."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from smile import quantities
from smile.tables.spec import TableSpec
from smile.tracking.statistics import best_step_size, summarise

__all__ = ["BASELINE", "SELECTIONS", "Cell", "Cells", "is_baseline", "newest_runs", "select", "tabulate"]

BASELINE = "baseline"

# How a step size is chosen.
SELECTIONS = {
    "all": "best step size and its mean ± standard error from all replications",
    "validation": "step size chosen on validation data, mean ± standard error over seeds on test data",
    "honest": "step size chosen on the first half of the replications, mean ± standard error from the other half",
}


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    ``mean`` is NaN where no step size was eligible, or where a chain among the reported ones diverged; ``error`` is NaN
    for a single replication; the published fields and ``ratio`` (ours over print) are NaN where nothing was printed.
    """

    mean: float
    error: float
    step_size: float
    edge: str  # "low" or "high" where the best step size is the lowest or highest of the grid, else ""
    replications: int  # behind mean and error
    step_sizes: int  # in the grid
    ineligible: int  # step sizes at which a chain diverged, among the replications used for choosing
    run_id: str
    published: float = math.nan
    published_error: float = math.nan

    @property
    def ratio(self) -> float:
        """Ours over print."""
        return self.mean / self.published if self.published > 0 else math.nan


# A table's cells by (row values, column value); the baseline's column is BASELINE. Missing cells are absent.
Cells = Mapping[tuple[tuple[str, ...], str], Cell]


def newest_runs(runs: pd.DataFrame, spec: TableSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keeps the newest run of every cell and seed.

    Args:
        runs: one row each.
        spec: the table.

    Returns:
        The newest runs, and the others with the columns of the newer one beside theirs, ending in ``_of_newer``.
    """
    baseline = is_baseline(runs, spec)
    newest, older = _newest(runs[~baseline], [*spec.keys, "seed"])
    if spec.baseline is None:
        return newest, older
    newest_baseline, older_baseline = _newest(runs[baseline], [*spec.baseline.keys, "seed"])
    return pd.concat([newest, newest_baseline]), pd.concat([older, older_baseline])


def _newest(runs: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = runs.sort_values("created")
    is_newest = ~runs.duplicated(keys, keep="last")
    newest = runs[is_newest]
    newer = newest.set_index(keys, drop=False).add_suffix("_of_newer")
    return newest, runs[~is_newest].join(newer, on=keys)


def select(
    rows: pd.DataFrame, selection: str, chosen_by: pd.DataFrame | None = None, highest: bool = False
) -> Cell | None:
    """The cell of one configuration.

    Args:
        rows: its rows of the metric to report.
        selection: a key of ``SELECTIONS``.
        chosen_by: its rows of the metric that chooses the step size; None: ``rows``.
        highest: whether the highest value of ``chosen_by`` is the best.

    Returns:
        The cell, or None where the replications do not suffice to choose and report separately.
    """
    choose, report = rows if chosen_by is None else chosen_by, rows
    if selection == "honest":
        replications = sorted(rows["replication"].unique())
        first = replications[: math.ceil(len(replications) / 2)]
        is_first = rows["replication"].isin(first)
        choose, report = rows[is_first], rows[~is_first]
        if report.empty:
            return None
    metric, run_id = rows["metric"].iloc[0], rows["run_id"].iloc[0]
    chosen, reported = summarise(choose).loc[choose["metric"].iloc[0]], summarise(report).loc[metric]
    best = best_step_size(chosen, highest)
    if best is None:
        mean = error = math.nan
    elif len(chosen) == 1:  # nothing to choose; an adapted step size differs between the halves
        best = float(reported.index[0])
        mean, error = reported.iloc[0][["mean", "error"]]
    else:
        mean, error = reported.loc[best, ["mean", "error"]]
    return Cell(
        mean=float(mean),
        error=float(error),
        step_size=math.nan if best is None else best,
        edge=_edge(best, chosen.index),
        replications=int(reported["replications"].iloc[0]),
        step_sizes=len(chosen),
        ineligible=int((chosen["non_finite"] > 0).sum()),
        run_id=str(run_id),
    )


def tabulate(frame: pd.DataFrame, spec: TableSpec, metric: str, selection: str) -> Cells:
    """All cells of one table.

    Args:
        frame: metrics with one run per configuration (``newest_runs``).
        spec: the table.
        metric: a key of ``spec.metrics``.
        selection: a key of ``SELECTIONS``.
    """
    chosen_by = spec.metrics[metric].chosen_by
    highest = quantities.metric(chosen_by).highest
    frame = frame[frame["metric"].isin([metric, chosen_by])]
    baseline = is_baseline(frame, spec)
    cells: dict[tuple[tuple[str, ...], str], Cell] = {}

    def selected(rows: pd.DataFrame) -> Cell | None:
        reported, choosing = (rows[rows["metric"] == name] for name in (metric, chosen_by))
        if reported.empty or choosing.empty:
            return None
        return select(reported, selection, choosing, highest)

    for values, rows in frame[~baseline].groupby(list(spec.keys)):
        cell = selected(rows)
        if cell is not None:
            cells[values[:-1], values[-1]] = _beside_print(
                cell, spec, dict(zip(spec.keys, values, strict=True)), metric
            )
    if spec.baseline:
        for values, rows in frame[baseline].groupby(list(spec.baseline.keys)):
            cell = selected(rows)
            if cell is None:
                continue
            where = dict(zip(spec.baseline.keys, values, strict=True))
            cell = _beside_print(cell, spec, where, metric, spec.baseline.published)
            for row in spec.row_values():
                if where.items() <= dict(zip(spec.rows, row, strict=True)).items():
                    cells[row, BASELINE] = cell
    wanted = {*spec.labels[spec.columns], BASELINE}
    return {key: cell for key, cell in cells.items() if key[0] in spec.row_values() and key[1] in wanted}


def is_baseline(frame: pd.DataFrame, spec: TableSpec) -> pd.Series:
    """Whether rows are of the runs of the reference column."""
    result = pd.Series(spec.baseline is not None, index=frame.index)
    for key, value in spec.baseline.where.items() if spec.baseline else ():
        result &= frame[key] == value
    return result


def _beside_print(
    cell: Cell, spec: TableSpec, where: dict[str, str], metric: str, printed: pd.DataFrame | None = None
) -> Cell:
    if spec.published is None or metric not in spec.published.beside:
        return cell
    values = spec.published.values if printed is None else printed
    if not set(values.index.names) <= set(where):
        return cell
    index = tuple(where[key] for key in values.index.names)
    label = index if len(index) > 1 else index[0]
    if label not in values.index:
        return cell
    value, error = values.loc[label, ["value", "error"]]
    return replace(cell, published=float(value), published_error=float(error))


def _edge(best: float | None, grid: pd.Index) -> str:
    if best is None or len(grid) < 2:
        return ""
    return {grid.min(): "low", grid.max(): "high"}.get(best, "")

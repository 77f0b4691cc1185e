"""From metric rows to cells: the best step size of every configuration, chosen in two ways, beside print."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from smile import quantities
from smile.quantities import Metric
from smile.tables.bootstrap import FEWEST, interval, resampled
from smile.tables.grid import Grid, arrange
from smile.tables.spec import TableSpec
from smile.tracking.statistics import FEWEST_EFFECTIVE_DRAWS, MOST_RHAT

__all__ = [
    "DIAGNOSTICS", "SELECTIONS", "Cell", "Cells", "Grids", "baseline_of", "collect", "newest_runs", "select",
    "tabulate",
]  # fmt: skip

# Metrics that are read beside those of the table.
DIAGNOSTICS = ("rhat_max", "ess_min")

# How a step size is chosen.
SELECTIONS = {
    "all": "best step size and its mean ± standard error from all replications",
    "validation": "step size chosen on validation data, mean ± standard error over seeds on test data",
    "honest": "step size chosen on the first half of the replications, mean ± standard error from the other half",
}


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        mean: over replications; NaN where no step size was eligible, or where a chain among the reported ones diverged.
        error: its standard error, NaN for a single replication.
        step_size: the chosen one; NaN where there is none.
        edge: ``low`` or ``high`` where it is the lowest or highest of the grid, else empty.
        replications: behind mean and error.
        step_sizes: in the grid.
        ineligible: step sizes at which a chain diverged, among the replications used for choosing.
        run_id: of the run, the first where there are several.
        low: of the bootstrap 95 % interval of the mean with its choice of a step size; NaN where there is no mean, or
            where replications are too few.
        high: of the same interval.
        rhat_max: largest R-hat at the reported step size; NaN where it was not recorded, and of networks, where it is
            that of the worst of a hundred predictions.
        ess_min: smallest effective sample size, likewise.
        published: what was printed; NaN where nothing was.
        published_error: its standard error.
        draws: resamples behind the interval, None where replications are too few.
        values: of the reported replications at the chosen step size, by their number.
    """

    mean: float
    error: float
    step_size: float
    edge: str
    replications: int
    step_sizes: int
    ineligible: int
    run_id: str
    low: float = math.nan
    high: float = math.nan
    rhat_max: float = math.nan
    ess_min: float = math.nan
    published: float = math.nan
    published_error: float = math.nan
    draws: np.ndarray | None = field(default=None, repr=False, compare=False)
    values: Mapping[int, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ratio(self) -> float:
        """Ours over print."""
        return self.mean / self.published if self.published > 0 else math.nan

    @property
    def median(self) -> float:
        """Of the reported replications; NaN where there is no mean."""
        return float(np.median([*self.values.values()])) if self.values else math.nan

    @property
    def agrees(self) -> bool | None:
        """Whether print ± 2 standard errors overlaps our interval; None where one of them is missing."""
        if math.isnan(self.published) or math.isnan(self.low):
            return None
        reach = 0.0 if math.isnan(self.published_error) else 2 * self.published_error
        return self.published - reach <= self.high and self.low <= self.published + reach

    @property
    def is_doubtful(self) -> bool:
        """Whether the chains behind the mean disagree, or are worth too few independent draws."""
        return self.rhat_max > MOST_RHAT or self.ess_min < FEWEST_EFFECTIVE_DRAWS


# Values and cells by (row values, column value or name of a baseline). What has no run is absent.
Grids = Mapping[tuple[tuple[str, ...], str], Grid]
Cells = Mapping[tuple[tuple[str, ...], str], Cell]


def newest_runs(runs: pd.DataFrame, spec: TableSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keeps the newest run of every cell and seed.

    Args:
        runs: one row each.
        spec: the table.

    Returns:
        The newest runs, and the others with the columns of the newer one beside theirs, ending in ``_of_newer``.
    """
    baseline = baseline_of(runs, spec)
    keys = {"": spec.keys} | {name: found.keys for name, found in spec.baselines.items()}
    parts = [_newest(runs[baseline == name], [*those, "seed"]) for name, those in keys.items()]
    newest, older = zip(*parts, strict=True)
    return pd.concat(newest), pd.concat(older)


def _newest(runs: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = runs.sort_values("created")
    is_newest = ~runs.duplicated(keys, keep="last")
    newest = runs[is_newest]
    newer = newest.set_index(keys, drop=False).add_suffix("_of_newer")
    return newest, runs[~is_newest].join(newer, on=keys)


def collect(frame: pd.DataFrame, spec: TableSpec) -> Grids:
    """The values of every configuration.

    Args:
        frame: metrics with one run for each configuration and seed (``newest_runs``).
        spec: the table.
    """
    baseline = baseline_of(frame, spec)
    found: dict[tuple[tuple[str, ...], str], Grid] = {}
    for values, rows in frame[baseline == ""].groupby(list(spec.keys)):
        found[values[:-1], values[-1]] = arrange(rows)
    for name, declared in spec.baselines.items():
        for values, rows in frame[baseline == name].groupby(list(declared.keys)):
            of_baseline = arrange(rows)
            where = dict(zip(declared.keys, values, strict=True))
            for row in spec.row_values():
                if where.items() <= dict(zip(spec.rows, row, strict=True)).items():
                    found[row, name] = of_baseline
    return found


def select(grid: Grid, selection: str, metric: Metric, fewest: int = FEWEST) -> Cell | None:
    """The cell of one configuration.

    Args:
        grid: its values.
        selection: a key of ``SELECTIONS``.
        metric: what is reported; its ``chosen_by`` chooses the step size.
        fewest: replications below which nothing is said of how far the mean would differ with others, at least 2.

    Returns:
        The cell, or None where the metric or what chooses was not recorded, or where the replications do not suffice to
        choose and report separately.
    """
    if not {metric.name, metric.chosen_by} <= grid.values.keys():
        return None
    choosing, reporting = _choosing_and_reporting(grid.replication, selection)
    if not reporting.any():
        return None
    chosen = grid.means(metric.chosen_by, choosing[None].astype(float))[0]
    best = _best(chosen, quantities.metric(metric.chosen_by).highest)
    low = high = math.nan
    values: dict[int, float] = {}
    draws = resampled(grid, choosing, reporting, metric, fewest)
    if best is None:
        mean = error = step_size = math.nan
    else:
        mean = grid.means(metric.name, reporting[None].astype(float))[0, best]
        error = grid.errors(metric.name, reporting)[best]
        reported = zip(grid.replication[reporting], grid.values[metric.name][best, reporting], strict=True)
        values = {int(replication): float(value) for replication, value in reported}
        step_size = grid.step_size[best] if grid.adapted is None else grid.adapted[reporting].mean()
    if draws is not None and math.isfinite(mean):
        low, high = interval(draws)
    return Cell(
        mean=float(mean),
        error=float(error),
        step_size=float(step_size),
        edge="" if best is None or len(chosen) < 2 else {0: "low", len(chosen) - 1: "high"}.get(best, ""),
        replications=int(reporting.sum()),
        step_sizes=len(chosen),
        ineligible=int((grid.diverged(metric.chosen_by, choosing) > 0).sum()),
        run_id=grid.run_ids[0],
        low=low,
        high=high,
        draws=draws,
        values=values,
        **({} if selection == "validation" else _diagnostics(grid, best, reporting)),
    )


def tabulate(grids: Grids, spec: TableSpec, metric: str, selection: str) -> Cells:
    """All cells of one table.

    Args:
        grids: the values of every configuration (``collect``).
        spec: the table.
        metric: a key of ``spec.metrics``.
        selection: a key of ``SELECTIONS``.
    """
    wanted = {*itertools.product(spec.row_values(), spec.all_columns)}
    cells = {}
    for (row, column), values in grids.items():
        cell = select(values, selection, spec.metrics[metric]) if (row, column) in wanted else None
        if cell is not None:
            cells[row, column] = _beside_print(cell, spec, row, column, metric)
    return cells


def _choosing_and_reporting(replication: np.ndarray, selection: str) -> tuple[np.ndarray, np.ndarray]:
    """Which replications choose the step size and which are reported, (replications,) each."""
    if selection != "honest":
        return np.ones(replication.shape, bool), np.ones(replication.shape, bool)
    labels = np.unique(replication)
    first = np.isin(replication, labels[: math.ceil(len(labels) / 2)])
    return first, ~first


def _diagnostics(grid: Grid, best: int | None, reporting: np.ndarray) -> dict[str, float]:
    """Means over the reported replications, which share a diagnostic that compares them."""
    found = {}
    for name in DIAGNOSTICS if best is not None else ():
        values = grid.values[name][best, reporting] if name in grid.values else np.array([])
        if np.isfinite(values).any():
            found[name] = float(values[np.isfinite(values)].mean())
    return found


def _best(means: np.ndarray, highest: bool) -> int | None:
    """The step size with the lowest mean, the first among equals; None where a chain diverged at every step size."""
    if np.isnan(means).all():
        return None
    return int(np.nanargmax(means) if highest else np.nanargmin(means))


def baseline_of(frame: pd.DataFrame, spec: TableSpec) -> pd.Series:
    """The name of the baseline that rows belong to, empty where they belong to none; the first where to several."""
    found = pd.Series("", index=frame.index, dtype=object)
    for name, baseline in spec.baselines.items():
        belongs = found == ""
        for key, value in baseline.where.items():
            belongs &= frame[key] == value
        found[belongs] = name
    return found


def _beside_print(cell: Cell, spec: TableSpec, row: tuple[str, ...], column: str, metric: str) -> Cell:
    if spec.published is None or metric not in spec.published.beside:
        return cell
    values = spec.published.values
    where = dict(zip(spec.keys, (*row, column), strict=True))
    if column in spec.baselines:
        printed = spec.baselines[column].published
        if printed is None:
            return cell
        values = printed
    index = tuple(where[key] for key in values.index.names)
    label = index if len(index) > 1 else index[0]
    if label not in values.index:
        return cell
    value, error = values.loc[label, ["value", "error"]]
    return replace(cell, published=float(value), published_error=float(error))

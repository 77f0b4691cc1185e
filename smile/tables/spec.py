"""A table as data: which columns of the metrics become rows and columns, beside which published values."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pandas as pd

from smile.quantities import VALIDATION, Metric
from smile.tables.claims import Claim
from smile.tables.conditions import Where

__all__ = ["MOST_DASHES", "Baseline", "Published", "StandIn", "TableSpec"]

MOST_DASHES = 3  # that a reader tells apart


@dataclass(frozen=True)
class Published:
    """Printed values of one metric, indexed by ``keys``, as columns ``value`` and ``error`` (NaN where not printed).

    They stand beside our metrics of the names ``beside``: one quantity may be measured in more than one way.
    """

    keys: tuple[str, ...]
    metric: str
    values: pd.DataFrame
    beside: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """A reference column: the runs ``where`` these columns have these values, one cell for each value of ``keys``."""

    label: str
    where: dict[str, str]
    keys: tuple[str, ...]
    published: pd.DataFrame | None = None


@dataclass(frozen=True)
class StandIn:
    """A metric that stands in for another one ``where`` a run has not recorded that: ``bias where target = icg``."""

    text: str
    metric: str
    where: Where


@dataclass(frozen=True)
class TableSpec:
    """One table. ``labels`` maps each row and column key to {value in the data: label}, in order of appearance.

    Rows and columns are columns of the metrics, or ``method``: sampler and tuner, ``smile energy_variance``.
    ``notes`` stand above the numbers: what a reader must know that the runs do not say; ``captions`` say it of one
    scale, and stand in the figure, too.
    """

    name: str
    title: str
    commands: tuple[str, ...]
    rows: tuple[str, ...]
    columns: str
    labels: dict[str, dict[str, str]]
    panels: tuple[str, ...]  # the keys that make the figure's panels; unless said otherwise, the rows
    metrics: dict[str, Metric]
    stand_ins: dict[str, tuple[StandIn, ...]] = field(default_factory=dict)  # by metric
    figure: str = ""  # the metric that the figure shows; empty: the first
    against: str = ""  # the key that the figure shows it against; empty: the step size
    cannot: dict[str, Where] = field(
        default_factory=dict
    )  # cells for which there is no run, by their condition
    reasons: tuple[str, ...] = ()  # of each of them
    published: Published | None = None
    baselines: dict[str, Baseline] = field(default_factory=dict)  # by name, which no column has
    claims: tuple[Claim, ...] = field(default=())
    notes: tuple[str, ...] = ()
    captions: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that together name a cell."""
        return (*self.rows, self.columns)

    @property
    def lines(self) -> tuple[str, ...]:
        """The keys that tell the lines of a panel apart."""
        return tuple(key for key in self.keys if key not in (*self.panels, self.against))

    @property
    def all_columns(self) -> dict[str, str]:
        """The labels of the columns, then of the baselines."""
        return self.labels[self.columns] | {name: found.label for name, found in self.baselines.items()}

    @property
    def selections(self) -> tuple[str, ...]:
        """How step sizes are chosen: by replications of the metric itself, or on validation data."""
        is_validated = any(metric.chosen_by.startswith(VALIDATION) for metric in self.metrics.values())
        return ("validation",) if is_validated else ("all", "honest")

    def row_values(self) -> list[tuple[str, ...]]:
        """The rows of the table in order, as values in the data."""
        return list(itertools.product(*(self.labels[key] for key in self.rows)))

    def command(self, scale: str) -> str:
        """What fills the experiment directory."""
        return " && ".join(self.commands).format(scale=scale)

"""Who is ahead of whom, and how far the order would differ with other replications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from smile.quantities import Metric
from smile.tables.bootstrap import interval
from smile.tables.cells import Cell

__all__ = ["Ranked", "Standing", "rank", "standing"]


class Ranked(NamedTuple):
    """The place of a cell among those of its row.

    Attributes:
        place: 1 is the best; equals share the mean of their places.
        rivals: how many others the row has.
        draws: the place in every resample, (NUM_RESAMPLES,); None where a cell of the row has no resamples.
    """

    place: float
    rivals: int
    draws: np.ndarray | None

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 % of the places, NaN where there are no resamples."""
        return (math.nan, math.nan) if self.draws is None else interval(self.draws)


class Standing(NamedTuple):
    """The share of its rivals that a sampler beats, over several rows.

    Attributes:
        rows: how many of them have a rival.
        share: mean over these rows, NaN where there are none.
        low: of the central 95 % of resamples, NaN where a row has none.
        high: of the same.
    """

    rows: int
    share: float
    low: float
    high: float


def rank(cells: Mapping[str, Cell], metric: Metric) -> dict[str, Ranked]:
    """The places of the cells of a row.

    A chain that diverged, of which there is no mean, makes its cell the last.

    Args:
        cells: by column.
        metric: what they are of.
    """
    sign = -1.0 if metric.highest else 1.0
    badness = pd.Series({column: sign * cell.mean for column, cell in cells.items()}, dtype=float)
    places = badness.fillna(math.inf).rank(method="average")
    known = {column: sign * cell.draws for column, cell in cells.items() if cell.draws is not None}
    draws = pd.DataFrame(known).rank(axis=1, method="average") if len(known) == len(cells) else None
    return {
        column: Ranked(
            float(places[column]), len(cells) - 1, None if draws is None else draws[column].to_numpy()
        )
        for column in cells
    }


def standing(ranked: Sequence[Ranked]) -> Standing:
    """What places in several rows, whose numbers of rivals may differ, say together."""
    contested = [one for one in ranked if one.rivals]
    if not contested:
        return Standing(0, math.nan, math.nan, math.nan)
    share = float(np.mean([1 - (one.place - 1) / one.rivals for one in contested]))
    known = [1 - (one.draws - 1) / one.rivals for one in contested if one.draws is not None]
    low, high = interval(np.mean(known, axis=0)) if len(known) == len(contested) else (math.nan, math.nan)
    return Standing(len(contested), share, low, high)

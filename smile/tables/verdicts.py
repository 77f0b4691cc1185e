"""Whether a table's claims hold at the 95 % level.

Of chains: by the bootstrap of the difference of two cells, each side resampled on its own, as their noise is. Of
networks: by Student's t interval of the differences at equal seeds, because methods share the split of the data and the
networks in which they start. It takes the differences of seeds for normal, and with three of them it is 2.5 times as
wide as three standard errors suggest.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from smile.tables.bootstrap import interval
from smile.tables.cells import Cell, Cells
from smile.tables.claims import Claim, holds
from smile.tables.conditions import covers
from smile.tables.spec import TableSpec

__all__ = ["FEWEST_SEEDS", "Difference", "Judgement", "Verdict", "counted", "judge", "paired", "verdict"]

FEWEST_SEEDS = 3  # of which two methods are compared

Verdict = Literal["holds", "does not hold", "undecided"]


class Difference(NamedTuple):
    """The left cell minus the right one, seed by seed.

    Attributes:
        mean: over seeds.
        error: its standard error.
        seeds: how many both cells have.
    """

    mean: float
    error: float
    seeds: int

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval."""
        from scipy.special import stdtrit  # here, because tables of chains do not need it

        reach = float(stdtrit(self.seeds - 1, 0.975)) * self.error
        return self.mean - reach, self.mean + reach


class Judgement(NamedTuple):
    """One claim about two cells.

    Attributes:
        place: labels of the row, and of the column where rows are compared.
        left: the cell of the left name.
        right: that of the right name.
        verdict: at the 95 % level, None where replications are too few.
        by_means: whether it holds of the two means, None where one is missing.
        in_print: whether it holds of the two published values, None where one is missing.
        difference: seed by seed, None where the cells are not of networks or share fewer than three seeds.
    """

    place: tuple[str, ...]
    left: Cell
    right: Cell
    verdict: Verdict | None
    by_means: bool | None
    in_print: bool | None
    difference: Difference | None = None


def judge(spec: TableSpec, claim: Claim, cells: Cells, highest: bool) -> list[Judgement]:
    """Every pair of cells that the claim covers and that has runs.

    Args:
        spec: the table.
        claim: one of its claims.
        cells: of one metric and selection.
        highest: whether the highest value of the metric is the best.
    """
    others = [key for key in spec.keys if key != claim.key]

    def cell(place: dict[str, str], name: str) -> Cell | None:
        values = {**place, claim.key: name}
        return cells.get((tuple(values[key] for key in spec.rows), values[spec.columns]))

    found = []
    for values in itertools.product(*(spec.labels[key] for key in others)):
        place = dict(zip(others, values, strict=True))
        left, rights = cell(place, claim.left), [cell(place, name) for name in claim.rights]
        if covers(claim.where, place) and left and all(rights):
            labels = tuple(spec.labels[key][value] for key, value in place.items())
            pairs = [_pair(spec, claim, labels, left, right, highest) for right in rights if right]
            found.append(pairs[0] if len(pairs) == 1 else _together(pairs, highest))
    return found


def _pair(
    spec: TableSpec, claim: Claim, place: tuple[str, ...], left: Cell, right: Cell, highest: bool
) -> Judgement:
    difference = paired(left, right) if "validation" in spec.selections else None
    return Judgement(
        place,
        left,
        right,
        _by_seeds(claim, difference, highest)
        if "validation" in spec.selections
        else verdict(claim, left.draws, right.draws, highest),
        holds(claim, left.mean, right.mean, highest),
        holds(claim, left.published, right.published, highest),
        difference,
    )


def _together(pairs: Sequence[Judgement], highest: bool) -> Judgement:
    """Of a claim about each of several: it holds where all hold, and does not where one does not."""

    def badness(found: Judgement) -> float:
        mean = found.right.mean
        return math.inf if math.isnan(mean) else -mean if highest else mean

    found = {pair.verdict for pair in pairs}
    verdict: Verdict | None = None if None in found else "holds" if found == {"holds"} else "undecided"
    known = [pair.by_means for pair in pairs if pair.by_means is not None]
    return min(pairs, key=badness)._replace(
        verdict="does not hold" if "does not hold" in found else verdict,
        by_means=all(known) if known else None,
        in_print=None,
        difference=None,
    )


def paired(left: Cell, right: Cell) -> Difference | None:
    """The left cell minus the right one at the seeds that both have; None where these are fewer than three."""
    shared = sorted(left.values.keys() & right.values.keys())
    if len(shared) < FEWEST_SEEDS:
        return None
    differences = np.array([left.values[seed] - right.values[seed] for seed in shared])
    error = differences.std(ddof=1) / math.sqrt(len(shared))
    return Difference(float(differences.mean()), float(error), len(shared))


def _by_seeds(claim: Claim, difference: Difference | None, highest: bool) -> Verdict | None:
    if difference is None or claim.factor is not None or not math.isfinite(difference.error):
        return None
    low, high = difference.interval
    if highest and claim.sign == "beats":
        low, high = -high, -low
    return "holds" if high < 0 else "does not hold" if low > 0 else "undecided"


def verdict(
    claim: Claim, left: np.ndarray | None, right: np.ndarray | None, highest: bool = False
) -> Verdict | None:
    """What the resamples of two cells say of a claim.

    Args:
        claim: the sentence.
        left: resampled values of its left side; None where replications were too few.
        right: those of its right side.
        highest: whether the highest value is the best.

    Returns:
        Whether the 95 % interval of the difference (of the ratio, where the claim has a factor) lies within what is
        claimed or without, or is undecided; None where a side has no resamples. Two resamples that are both infinitely
        bad are equal.
    """
    if left is None or right is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        if claim.factor is None:
            difference = right - left if highest and claim.sign == "beats" else left - right
        else:
            difference = np.log(left) - np.log(right)
    low, high = interval(np.where(left == right, 0.0, difference))
    if claim.factor is None:
        return "holds" if high < 0 else "does not hold" if low > 0 else "undecided"
    reach = math.log(claim.factor)
    if -reach <= low and high <= reach:
        return "holds"
    return "does not hold" if low > reach or high < -reach else "undecided"


def counted(judgements: Sequence[Judgement]) -> str:
    """``holds in 5, does not hold in 1, undecided in 3 of 9``; of the means alone where replications are too few."""
    counts = Counter(found.verdict for found in judgements if found.verdict)
    if counts:
        return (
            f"holds in {counts['holds']}, does not hold in {counts['does not hold']}, "
            f"undecided in {counts['undecided']} of {counts.total()}"
        )
    by_means = [found.by_means for found in judgements if found.by_means is not None]
    return f"means: holds in {sum(by_means)} of {len(by_means)}" if by_means else "no pair of runs"

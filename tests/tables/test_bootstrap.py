"""Bootstrap intervals of best-of-grid values, at fixed seeds; comparisons at 4 standard errors (false alarms: 6e-5)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smile.quantities import metric
from smile.tables.bootstrap import FEWEST, NUM_RESAMPLES, interval, resampled
from smile.tables.cells import Cell, select
from smile.tables.grid import Grid

BIAS = metric("bias")


def of(values: np.ndarray, run: str = "r", name: str = "bias", **others: np.ndarray) -> Grid:
    """A grid of step sizes 1, 2, ...; values (steps, replications)."""
    every = {name: np.asarray(values, float), **others}
    steps, replications = every[name].shape
    measured = {key: np.ones(found.shape, bool) for key, found in every.items()}
    return Grid((run,), np.arange(1.0, steps + 1), None, np.arange(replications), every, measured)


def draws(grid: Grid, name: str = "bias") -> np.ndarray:
    every = np.ones(grid.replication.shape, bool)
    found = resampled(grid, every, every, metric(name))
    assert found is not None
    return found


def test_of_one_step_size_the_spread_is_the_standard_error() -> None:
    """With n instead of n - 1 of n = 4 replications in a resample it would be .87 of it."""
    values = np.random.default_rng(0).exponential(size=(1, 4))
    found = draws(of(values))
    error = values.std(ddof=1) / 2
    assert abs(found.mean() - values.mean()) < 4 * error / math.sqrt(NUM_RESAMPLES)
    assert abs(found.std() / error - 1) < 4 * math.sqrt(3 / 4 / NUM_RESAMPLES)  # for a kurtosis of at most 4


def test_the_choice_is_repeated_in_every_resample() -> None:
    """Where one step size is bad the other one is good: the better mean is never above one half."""
    first = np.tile([0.0, 1.0], 5)
    found = draws(of(np.stack([first, 1 - first])))
    assert found.max() <= 0.5
    assert draws(of(first[None])).max() > 0.7


def test_the_highest_is_chosen_where_it_is_the_best() -> None:
    """Validation data choose: their highest mean is that of the second step size, whatever the test data say."""
    validation = np.array([[1.0] * 6, [2.0] * 6])
    test = np.array([np.arange(6.0) + 100, np.arange(6.0)])
    found = draws(of(test, name="lppd", validation_lppd=validation), "lppd")
    assert found.max() <= 5.0


def test_halves_choose_and_report_apart() -> None:
    """The first half prefers the first step size always, the second half measures it."""
    values = np.array([[0.0, 0.1, 0.2, 0.3, 7.0, 8.0, 9.0, 10.0], [5.0] * 4 + [0.0] * 4])
    cell = select(of(values), "honest", BIAS)
    assert cell is not None
    assert (cell.mean, cell.step_size) == (8.5, 1.0)
    assert cell.draws is not None and set(np.round(cell.draws * 3)) <= set(range(21, 31))
    assert 7.0 <= cell.low < 8.5 < cell.high <= 10.0


def test_a_resample_without_the_diverged_replication_is_finite() -> None:
    found = draws(of(np.array([[1.0] * 5 + [np.nan]])))
    missed = (5 / 6) ** 5
    assert abs(np.isfinite(found).mean() - missed) < 4 * math.sqrt(missed * (1 - missed) / NUM_RESAMPLES)
    assert set(found) == {1.0, math.inf}
    found = draws(of(np.array([[1.0] * 5 + [np.nan]]), name="lppd", validation_lppd=np.ones((1, 6))), "lppd")
    assert set(found) == {1.0, -math.inf}


def test_an_unmeasured_step_size_is_no_divergence() -> None:
    grid = of(np.array([[5.0] * 6, [1.0] * 4 + [np.nan] * 2]))
    grid.measured["bias"][1, 4:] = False
    found = draws(grid)  # some resamples have none of the four measured ones
    assert set(found) == {1.0, 5.0} and np.mean(found == 5.0) < 0.02


def test_few_replications_say_nothing() -> None:
    cell = select(of(np.ones((2, FEWEST - 1))), "all", BIAS)
    assert cell is not None and cell.draws is None and math.isnan(cell.low)
    cell = select(of(np.ones((2, 2 * FEWEST - 1))), "honest", BIAS)
    assert cell is not None and cell.draws is None


def test_a_cell_without_a_mean_has_no_interval() -> None:
    cell = select(of(np.array([[1.0] * 5 + [np.nan]])), "all", BIAS)
    assert cell is not None and cell.draws is not None and math.isnan(cell.low)


def test_runs_fix_the_random_numbers() -> None:
    values = np.random.default_rng(1).exponential(size=(3, 10))
    np.testing.assert_array_equal(draws(of(values)), draws(of(values)))
    correlation = np.corrcoef(draws(of(values)), draws(of(values, run="other")))[0, 1]
    assert abs(correlation) < 4 / math.sqrt(NUM_RESAMPLES)


def test_coverage_of_one_step_size() -> None:
    """Of 28 normal replications the percentile interval covers the mean in about 94 %, not 95: it is no t interval."""
    rng, repeats = np.random.default_rng(2), 400
    covered = 0
    for number in range(repeats):
        low, high = interval(draws(of(rng.standard_normal((1, 28)), run=str(number))))
        covered += low <= 0 <= high
    assert abs(covered / repeats - 0.94) < 4 * math.sqrt(0.94 * 0.06 / repeats)


def test_interval_of_infinite_draws() -> None:
    assert interval(np.array([1.0] * 960 + [np.inf] * 40)) == (1.0, math.inf)
    assert interval(np.concatenate([np.arange(1000.0)])) == (25.0, 974.0)


@pytest.mark.parametrize(
    ("published", "error", "agrees"),
    [(3.0, 0.4, False), (3.0, 0.5, True), (0.2, 0.1, False), (1.5, math.nan, True), (2.1, math.nan, False)],
)
def test_agreement(published: float, error: float, agrees: bool) -> None:
    cell = Cell(
        1.5, 0.2, 0.1, "", 7, 3, 0, "r", low=1.0, high=2.0, published=published, published_error=error
    )
    assert cell.agrees is agrees
    assert Cell(1.5, 0.2, 0.1, "", 2, 3, 0, "r", published=1.5).agrees is None

"""Arrays of a configuration's values against the means that pandas computes of its rows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from small_table import run_rows

from smile.tables.grid import arrange
from smile.tracking.statistics import summarise

NAN = math.nan


@pytest.mark.parametrize(
    "runs",
    [
        [{0.1: [1.0, 2.5, 4.0], 0.2: [3.0, NAN, 1.0], 0.3: [5.0, -math.inf, NAN]}],
        [{0.1: [1.0]}],
        [{0.2: [1.0, 3.0], 0.1: [2.0, 5.0]}, {0.1: [7.0], 0.4: [1.0]}],
        [{NAN: [1.0, 2.0]}],
    ],
)
def test_means_and_errors_are_those_of_pandas(runs: list[dict[float, list[float]]]) -> None:
    frame = pd.DataFrame(
        [row for number, run in enumerate(runs) for row in run_rows(run, run_id=f"r{number}", seed=number)]
    )
    grid, expected = arrange(frame), summarise(frame).loc["bias"]
    used = np.ones(grid.replication.shape, bool)
    np.testing.assert_array_equal(grid.step_size, expected.index)
    np.testing.assert_allclose(grid.means("bias", used[None].astype(float))[0], expected["mean"], rtol=1e-14)
    np.testing.assert_allclose(grid.errors("bias", used), expected["error"], rtol=1e-12)
    np.testing.assert_array_equal(grid.diverged("bias", used), expected["non_finite"])


def test_adapted_step_sizes_are_one_column() -> None:
    rows = [row for r in range(3) for row in run_rows({0.1 * (r + 1): [float(r)]}, first=r)]
    grid = arrange(pd.DataFrame(rows))
    np.testing.assert_allclose(grid.step_size, [0.2])
    np.testing.assert_allclose(grid.adapted, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(grid.values["bias"], [[0.0, 1.0, 2.0]])


def test_weights_repeat_replications() -> None:
    grid = arrange(pd.DataFrame(run_rows({0.1: [1.0, 4.0, NAN], 0.2: [2.0, 2.0, 5.0]})))
    weights = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    np.testing.assert_allclose(grid.means("bias", weights), [[2.0, 2.0], [NAN, 4.0]])

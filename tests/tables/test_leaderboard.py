"""Places against ones worked out by hand, and the page that shows them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_table import run_rows, write_spec

from smile.quantities import metric
from smile.report import leaderboard_page
from smile.tables.cells import Cell
from smile.tables.leaderboard import leaderboard
from smile.tables.ranks import rank, standing
from smile.tables.reading import read_spec
from smile.tables.spec import TableSpec
from smile.tracking.parquet import write_metrics

SPEC = """
title: A table
commands: ["smile +experiment=small scale={scale}"]
rows: [target, noise]
columns: sampler
labels:
  target: {icg: ICG}
  noise: {isotropic: isotropic, none: none}
  sampler: {smile: SMILE-naive, psmile: pSMILE-naive, mclmc: MCLMC}
metrics: [bias: bias]
cannot: {sampler = psmile and noise = none: it has no noise to learn from}
"""


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return read_spec(write_spec(tmp_path, SPEC))


def cell(mean: float, *draws: float) -> Cell:
    return Cell(mean, 0.1, 0.1, "", 4, 1, 0, "r", draws=np.array(draws))


def test_places_with_equals_and_a_chain_that_diverged() -> None:
    cells = {
        "a": cell(2.0, 2.0, 1.0),
        "b": cell(1.0, 1.0, 3.0),
        "c": cell(2.0, 2.0, 2.0),
        "d": cell(math.nan, math.inf, math.inf),
    }
    found = rank(cells, metric("bias"))
    assert {name: one.place for name, one in found.items()} == {"a": 2.5, "b": 1, "c": 2.5, "d": 4}
    draws = {name: list(one.draws) for name, one in found.items() if one.draws is not None}
    assert draws == {"a": [2.5, 1], "b": [1, 3], "c": [2.5, 2], "d": [4, 4]}
    highest = rank({name: cells[name] for name in "ab"}, metric("lppd"))
    assert (highest["a"].place, highest["b"].place) == (1, 2)
    both = standing([found["b"], highest["b"]])  # ahead of 3 of 3, then of 0 of 1
    assert (both.rows, both.share) == (2, 0.5)


def test_without_resamples_there_is_no_interval_and_without_rivals_no_standing() -> None:
    few = Cell(1.0, 0.1, 0.1, "", 1, 1, 0, "r")
    found = rank({"a": few, "b": cell(2.0, 2.0)}, metric("bias"))
    assert (found["a"].place, found["a"].draws) == (1, None) and math.isnan(found["b"].interval[0])
    assert math.isnan(standing([found["a"]]).low) and standing([found["a"]]).share == 1
    alone = standing([rank({"a": few}, metric("bias"))["a"]])
    assert alone.rows == 0 and math.isnan(alone.share)


def test_a_board_of_those_who_ran_those_who_cannot_and_a_newcomer(spec: TableSpec, tmp_path: Path) -> None:
    directory = tmp_path / "results"
    # .1 is the best of the first half, .2 of the other, which reports
    grids = {"smile": {0.1: [1.0, 1.2, 4.0, 4.2], 0.2: [2.0, 2.0, 0.1, 0.1]}, "newcomer": {0.1: [5.0] * 4}}
    for sampler, values in grids.items():
        for noise in ("isotropic", "none") if sampler == "smile" else ("isotropic",):
            run_id = f"{sampler}-{noise}"
            rows = run_rows(values, run_id=run_id, sampler=sampler, noise=noise, metrics=["bias"])
            rows += run_rows(values, run_id=run_id, sampler=sampler, noise=noise, metrics=["rhat_max"])
            write_metrics(directory / f"runs/{run_id}/metrics.parquet", rows)
    board = leaderboard(spec, directory, "quick")
    text = board.markdown()
    assert [line[:3] for line in board.order.rows] == [
        ["SMILE-naive", "100 % [100, 100]", "1 of 1"],
        ["newcomer", "0 % [0, 0]", "0 of 1"],
        ["pSMILE-naive", "—", "0 of 0"],
        ["MCLMC", "—", "0 of 0"],
    ]
    ours = "4.100 ± 0.100 | 1.5 | 20 | 1.0e-1 | 4.10 †"
    assert f"| isotropic | 1 [1, 1] | SMILE-naive | {ours} |" in text
    assert f"| none | 1 [1, 1] | SMILE-naive | {ours} |" in text
    assert "| none | — | newcomer | no run |" in text
    assert "| none | — | pSMILE-naive | cannot: it has no noise to learn from |" in text
    assert "- Cannot be run, sampler = psmile and noise = none: it has no noise to learn from." in text
    assert "- Not run: pSMILE-naive, MCLMC." in text
    page = leaderboard_page(board)
    assert "newcomer" in page and "no run" in page and "SMILE-naive is ahead, with 100 %" in page

"""Splits by the published rule, standardised without a look at what is not for training."""

from __future__ import annotations

import numpy as np
import pytest

from smile.data import Table, split_and_standardise


def table(rows: int, features: int = 3) -> Table:
    rng = np.random.default_rng(0)
    x = rng.normal([5.0, -3.0, 0.0][:features], [2.0, 10.0, 1.0][:features], (rows, features))
    return Table("t", x, 100 + 7 * rng.normal(size=rows), "regression")


@pytest.mark.parametrize(
    ("rows", "sizes"), [(1503, (1052, 150, 301)), (768, (537, 77, 154)), (17379, (12165, 1738, 3476))]
)
def test_sizes_are_the_published_ones(rows, sizes):
    data = split_and_standardise(table(rows), seed=1)
    assert tuple(len(part.y) for part in (data.train, data.validation, data.test)) == sizes


def test_every_row_is_in_one_part_and_comes_back_by_scale():
    raw = table(100)
    data = split_and_standardise(raw, seed=3)
    y = np.concatenate([data.train.y, data.validation.y, data.test.y]) * data.y_scale + data.y_mean
    np.testing.assert_allclose(np.sort(y), np.sort(raw.y), rtol=1e-5)


def test_standardised_by_training_rows_alone():
    raw = table(200)
    data = split_and_standardise(raw, seed=0)
    np.testing.assert_allclose(data.train.x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.x.std(0), 1, rtol=1e-5)
    np.testing.assert_allclose([data.train.y.mean(), data.train.y.std()], [0, 1], atol=1e-5)
    assert abs(data.test.x.mean()) > 1e-3
    # Other test rows change nothing in what is trained on.
    rows = np.random.default_rng(0).permutation(200)[160:]
    changed = raw._replace(x=raw.x.copy(), y=raw.y.copy())
    changed.x[rows], changed.y[rows] = 1e6, 1e6
    again = split_and_standardise(changed, seed=0)
    np.testing.assert_array_equal(again.train.x, data.train.x)
    np.testing.assert_array_equal(again.train.y, data.train.y)


def test_seeds_shuffle_differently_and_a_constant_column_stays_finite():
    raw = table(50)
    raw.x[:, 1] = 4.0
    first, second = (split_and_standardise(raw, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.train.y, second.train.y)
    np.testing.assert_array_equal(first.train.x[:, 1], 0)


def test_classes_stay_numbers_from_zero():
    raw = Table("t", np.eye(30), np.arange(30) % 3, "classification", ("a", "b", "c"))
    data = split_and_standardise(raw, seed=0)
    assert data.num_classes == 3 and data.train.y.dtype == np.int32
    assert set(np.concatenate([data.train.y, data.validation.y, data.test.y])) == {0, 1, 2}
    assert (data.y_mean, data.y_scale) == (0.0, 1.0)


def test_a_part_without_rows_is_refused():
    with pytest.raises(ValueError, match="9 rows make train, validation and test sets of 8, 0, 1"):
        split_and_standardise(table(9), seed=0, train=0.89, validation=0.05)

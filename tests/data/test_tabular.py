"""Splits by the published rule, standardised without a look at what is not for training."""

from __future__ import annotations

import numpy as np
import pytest

from smile.data import DataError, Table, split_and_standardise


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


# ---- sizes of numbers ----------------------------------------------------------------------------


def with_column(values: np.ndarray) -> Table:
    """A table of as many rows whose first feature holds the values."""
    raw = table(len(values))
    return raw._replace(x=np.column_stack([values, raw.x]), columns=("a", "b", "c", "d", "y"))


def rows_of_the_test_part(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(rows)[int(rows * 0.8) :]


@pytest.mark.parametrize("value", [0.1, 1e6, -3e-200, 1e300, 1.7e308])
def test_a_column_that_varies_in_one_test_row_alone_counts_in_units_of_its_constant(value):
    """The mean of 0.1s is not 0.1, and a deviation of 1e-17 from it once gave an LPPD of -7e24."""
    values = np.full(200, value)
    row = rows_of_the_test_part(200)[3]
    values[row] /= 2
    data = split_and_standardise(with_column(values), seed=0)
    assert abs(data.train.x[:, 0]).max() < 1e-12
    np.testing.assert_allclose(data.test.x[3, 0], -0.5 * np.sign(value), rtol=1e-6)


def test_a_constant_column_of_zeros_counts_in_its_own_unit():
    values = np.zeros(200)
    values[rows_of_the_test_part(200)[3]] = 5
    assert split_and_standardise(with_column(values), seed=0).test.x[3, 0] == 5


def test_rounding_is_no_variation_but_a_small_variation_is():
    rounded = np.where(np.arange(200) % 2, 0.1 + 0.2, 0.3)
    assert abs(split_and_standardise(with_column(rounded), seed=0).train.x[:, 0]).max() < 1e-12
    clock = 1.7e9 + np.linspace(0, 1, 200)  # seconds since 1970, in one second
    data = split_and_standardise(with_column(clock), seed=0)
    np.testing.assert_allclose(data.train.x[:, 0].std(), 1, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e300, 1.7e308, 1e-300, 1e-320])
def test_columns_of_any_size_are_standardised(scale):
    shape = np.linspace(-1, 1, 200)
    expected = split_and_standardise(with_column(shape), seed=0).train.x[:, 0]
    found = split_and_standardise(with_column(shape * scale), seed=0).train.x[:, 0]
    # 1e-320 is a multiple of the smallest number by 2024 alone.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-3 if scale == 1e-320 else 0)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_targets_of_any_size_come_back(scale):
    raw = table(200)
    data = split_and_standardise(raw._replace(y=raw.y * scale), seed=0)
    again = data.test.y.astype(np.float64) * data.y_scale + data.y_mean
    np.testing.assert_allclose(again, raw.y[rows_of_the_test_part(200)] * scale, rtol=1e-5)


def test_a_value_too_far_from_the_training_rows_is_refused_by_the_name_of_its_column():
    values = np.linspace(-1, 1, 200)
    values[rows_of_the_test_part(200)[0]] = 1e300
    with pytest.raises(
        DataError, match=r"^t: column 'a' has 1e\+300, too far from the training rows for float32"
    ):
        split_and_standardise(with_column(values), seed=0)
    raw = table(200)
    raw.y[rows_of_the_test_part(200)[0]] = -1e300
    with pytest.raises(DataError, match=r"^t: the target has -1e\+300, too far"):
        split_and_standardise(raw, seed=0)
    raw.y[:], raw.x[rows_of_the_test_part(200)[0], 1] = np.arange(200), 1e300
    with pytest.raises(DataError, match=r"^t: feature 2 has 1e\+300, too far"):
        split_and_standardise(raw, seed=0)


@pytest.mark.parametrize("rounding", [0.0, 1e-16])
def test_a_target_that_is_constant_in_the_training_rows_is_refused(rounding):
    raw = table(200)
    y = 0.3 + rounding * (np.arange(200) % 2)
    y[rows_of_the_test_part(200)] = 7
    with pytest.raises(
        DataError, match=r"^t: the target is 0\.\d+ in all 140 training rows: nothing to learn"
    ):
        split_and_standardise(raw._replace(y=y), seed=0)
    classes = np.zeros(200, int)
    classes[rows_of_the_test_part(200)] = 1
    words = raw._replace(
        y=classes, task="classification", classes=("no", "yes"), columns=("a", "b", "c", "y")
    )
    with pytest.raises(DataError, match=r"^t: column 'y' is 'no' in all 140 training rows: nothing to learn"):
        split_and_standardise(words, seed=0)

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from smile.api.inputs import InputError, encode, learn_inputs
from smile.api.labels import learn_labels


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [30.0, 41.0, np.nan, 55.0, 20.0],
            "city": pd.Categorical(["Bonn", "Ulm", "Bonn", None, "Ulm"], categories=["Ulm", "Bonn", "Hof"]),
            "smokes": [True, False, True, True, False],
        }
    )


def test_numbers_are_the_same_whatever_holds_them() -> None:
    x = np.arange(12.0).reshape(4, 3)
    for given in (x, jnp.asarray(x), pd.DataFrame(x), x.tolist(), x.astype(object)):
        np.testing.assert_array_equal(learn_inputs(given, "refuse")[1], x)


def test_missing_cells_are_refused_with_count_and_place() -> None:
    with pytest.raises(
        InputError,
        match=r"2 missing cells in 2 columns: 'age' \(1, first in row 2\), 'city' \(1, first in row 3\)",
    ):
        learn_inputs(table(), "refuse")


def test_missing_cells_become_means_on_request_and_in_new_rows() -> None:
    inputs, x, keep = learn_inputs(table(), "mean")
    assert keep.all()
    np.testing.assert_allclose(x[2, 0], np.mean([30, 41, 55, 20]))
    np.testing.assert_array_equal(x[:, 1:4], [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [1, 0, 0]])
    new = pd.DataFrame({"smokes": [False], "city": ["Hof"], "age": [np.nan]})
    np.testing.assert_allclose(encode(inputs, new), [[36.5, 0, 0, 1, 0]])


def test_rows_with_missing_cells_are_dropped_on_request_but_not_in_new_rows() -> None:
    inputs, x, keep = learn_inputs(table(), "drop")
    np.testing.assert_array_equal(keep, [True, True, False, False, True])
    assert len(x) == 3
    with pytest.raises(InputError, match="only a fit with missing='mean'"):
        encode(inputs, table())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (table().assign(city="Rom"), "row 0: 'Rom' was not in the fit; valid: 'Ulm', 'Bonn', 'Hof'"),
        (table().assign(age=[None, "41", 1, 2, 3]), "row 1: '41' is no number"),
        (table().assign(age=""), "row 0: '' is no number"),
        (table().assign(age=pd.Timestamp("2020-01-01")), "row 0: .* is no number"),
        (table().drop(columns="city"), "no column 'city'"),
        (table().assign(age=[1, 2, 3, -(10**400), 5]), "row 3: a whole number beyond"),
        (np.zeros((2, 2)), "got 2 columns; valid: 3"),
        (np.zeros(3), "valid: "),
    ],
)
def test_new_rows_of_another_kind_are_refused(rows: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        encode(learn_inputs(table(), "mean")[0], rows)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1.0, np.inf, 3.0], "row 1: inf is not finite"),
        (["a", 2, "b"], "mixes numbers and words"),
        ([1, 2, 10**400], "column 'b' of X, row 2: a whole number beyond 1.8e[+]308"),
        ([1j, 2j, 3j], "complex"),
        (pd.to_datetime(["2020-01-01"] * 3), "datetime64"),
        ([None, None, None], "cell"),
    ],
)
def test_columns_that_are_none_are_refused(column: list[object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        learn_inputs(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column}), "refuse")


def test_floats_are_a_regression_and_all_else_are_classes() -> None:
    keep = np.ones(40, bool)
    assert learn_labels(np.arange(40.0), "auto", keep).task == "regression"
    objects = learn_labels(np.array([1, 2.5] * 20, object), "auto", keep)
    assert objects.task == "regression" and objects.y[:2].tolist() == [1, 2.5]
    words = learn_labels(["no", "yes"] * 20, "auto", keep)
    assert words.classes == ("no", "yes") and words.y[:2].tolist() == [0, 1]
    assert learn_labels(np.array([7, 3] * 20), "auto", keep).classes == (3, 7)
    assert learn_labels(np.array([True, False] * 20), "auto", keep).classes == (False, True)
    ordered = pd.Series(pd.Categorical(["low", "high"] * 20, categories=["low", "high", "never"]))
    assert learn_labels(ordered, "auto", keep).classes == ("low", "high")
    assert learn_labels(np.array([0.0, 1.0] * 20), "categorical", keep).classes == (0.0, 1.0)
    assert learn_labels(np.arange(40), "homoscedastic", keep).task == "regression"


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.arange(40), "too many to take them for classes unasked"),
        (np.zeros((40, 1)), r"valid: \(rows,\), such as y\[:, 0\]"),
        (np.zeros(39), "y has 39 rows and X 40"),
        (np.where(np.arange(40) == 5, np.nan, 1.0), "1 missing values, the first in row 5"),
        (["a"] * 40, "'a' in every row"),
        (["a", 1] * 20, "y holds int, str"),
        ([0.5, 10**400] * 20, "y, row 1: a whole number beyond"),
    ],
)
def test_targets_that_are_none_are_refused(y: object, said: str) -> None:
    given = np.array(y, object) if isinstance(y, list) else y
    with pytest.raises(InputError, match=said):
        learn_labels(given, "auto", np.ones(40, bool))

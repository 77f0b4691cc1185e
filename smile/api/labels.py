"""What is predicted: numbers, or classes of whatever they are called."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from smile.api.cells import TOO_LARGE, first_too_large, plain
from smile.api.inputs import InputError
from smile.data.dataset import Task

__all__ = ["Labels", "Likelihood", "learn_labels"]

Likelihood = Literal["auto", "homoscedastic", "heteroscedastic", "categorical"]

_ROWS_PER_CLASS = 20  # at least, on average, to take whole numbers for classes unasked


class Labels(NamedTuple):
    """What y is.

    Attributes:
        task: regression or classification.
        classes: the labels of the classes, in the order of the probabilities; empty for regression.
        y: (rows,) float64, or class numbers from 0, int64.
    """

    task: Task
    classes: tuple[Any, ...]
    y: np.ndarray


def learn_labels(y: Any, likelihood: Likelihood, keep: np.ndarray) -> Labels:
    """Reads y.

    Args:
        y: (rows,) of numpy, jax or pandas.
        likelihood: ``auto`` takes floats for a regression; whole numbers, words, categories, truth values for classes.
        keep: which rows are meant, (rows,) bool.

    Raises:
        InputError: in one line, what is wrong and in which row.
    """
    if likelihood not in get_args(Likelihood):
        raise InputError(f"likelihood: got {likelihood!r}; valid: {', '.join(get_args(Likelihood))}")
    if isinstance(y, pd.DataFrame):
        raise InputError(f"y: got a table of {y.shape[1]} columns; valid: one of its columns, y['name']")
    series = y if isinstance(y, pd.Series) else None
    array = np.asarray(y) if series is None else None
    if array is not None:
        if array.ndim != 1:
            hint = ", such as y[:, 0]" if array.shape[1:] == (1,) else ""
            raise InputError(f"y: got shape {array.shape}; valid: (rows,){hint}")
        series = pd.Series(array)
    assert series is not None
    if len(series) != len(keep):
        raise InputError(f"y has {len(series)} rows and X {len(keep)}")
    series = series.reset_index(drop=True)[keep]
    if (lacks := series.isna()).any():
        where = int(series.index[lacks][0])
        raise InputError(
            f"y has {lacks.sum()} missing values, the first in row {where}: leave these rows out"
        )
    if series.dtype == object:
        series = _as_floats(series)
    is_float = pd.api.types.is_float_dtype(series.dtype)
    if likelihood in ("homoscedastic", "heteroscedastic") or (likelihood == "auto" and is_float):
        return Labels("regression", (), _as_numbers(series))
    return _as_classes(series, likelihood)


def _as_floats(series: pd.Series) -> pd.Series:
    """Numbers that an array of objects holds, if one is no whole number; all else stays as it is."""
    kinds = {type(plain(cell)) for cell in series}
    if float not in kinds or not kinds <= {int, float}:
        return series
    if (place := first_too_large(series)) is not None:
        raise InputError(f"y, row {series.index[place]}: {TOO_LARGE}")
    return series.astype(np.float64)


def _as_numbers(series: pd.Series) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_complex_dtype(series.dtype):
        raise InputError(f"y holds {series.dtype}; valid: real numbers for a regression")
    values = series.to_numpy(np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"y, row {series.index[row]}: {values[row]} is not finite")
    return values


def _as_classes(series: pd.Series, likelihood: Likelihood) -> Labels:
    is_categorical = isinstance(series.dtype, pd.CategoricalDtype)
    cells = [plain(cell) for cell in series.astype(object)]
    kinds = {type(cell) for cell in cells}
    if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"y holds {names}; valid: numbers, or words, or truth values")
    present = set(cells)
    if is_categorical:
        classes = tuple(one for one in (plain(c) for c in series.cat.categories) if one in present)
    else:
        classes = tuple(sorted(present))
    if len(classes) < 2:
        raise InputError(f"y is {classes[0]!r} in every row: nothing to learn")
    if likelihood == "auto" and kinds == {int} and len(classes) > max(2, len(cells) // _ROWS_PER_CLASS):
        raise InputError(
            f"y holds {len(classes)} different whole numbers in {len(cells)} rows, too many to take them for classes "
            "unasked: y.astype(float) for a regression, or likelihood='categorical'"
        )
    number = {one: index for index, one in enumerate(classes)}
    return Labels("classification", classes, np.array([number[cell] for cell in cells], np.int64))

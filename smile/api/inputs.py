"""Tables and arrays as they come: numpy, jax and pandas to numbers, with what new rows need to become the same."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from smile.api.cells import TOO_LARGE, first_too_large, is_number, plain
from smile.data import DataError

__all__ = ["Column", "InputError", "Inputs", "Missing", "encode", "learn_inputs"]

Missing = Literal["refuse", "mean", "drop"]

_SHOWN = 3
_MOST_CATEGORIES, _ROWS_PER_CATEGORY = 20, 5


class InputError(DataError):
    """Data that cannot be used, in one line that says what, where, and what would be valid."""


class Column(NamedTuple):
    """One column of the table.

    Attributes:
        name: of the column; its number where the table has no names.
        categories: of a column of words, each of which becomes one number, 0 or 1; empty for numbers.
        fill: what a missing cell counts as, one value for every number that the column becomes.
    """

    name: str
    categories: tuple[Any, ...]
    fill: tuple[float, ...]

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return len(self.categories) or 1


class Inputs(NamedTuple):
    """What X is.

    Attributes:
        columns: of a table; empty for images.
        shape: of a row: (features,), or (height, width, channels).
        missing: what was asked for when there was something missing.
        is_named: whether columns have names, by which new rows are read.
    """

    columns: tuple[Column, ...]
    shape: tuple[int, ...]
    missing: Missing
    is_named: bool

    def column(self, number: int) -> str:
        """What messages call the number ``number`` of a row; -1: the target."""
        if number < 0:
            return "y"
        if not self.columns:
            return f"channel {number} of X"
        names = [f"column {_shown(column)} of X" for column in self.columns for _ in range(column.width)]
        return names[number]


class _Values(NamedTuple):
    """The cells of one column: numbers (float64, NaN where missing), or categories (object)."""

    name: str
    cells: np.ndarray
    is_missing: np.ndarray
    categories: tuple[Any, ...] | None


def learn_inputs(x: Any, missing: Missing) -> tuple[Inputs, np.ndarray, np.ndarray]:
    """Reads X.

    Args:
        x: (rows, columns) of numpy, jax or pandas, or images (rows, height, width, channels). Columns of words, of
            categories or of truth values become one number per category.
        missing: ``refuse``; ``mean``: a missing cell becomes the mean of its column (of words: the share of every
            category) over all rows; ``drop``: rows with a missing cell are left out.

    Returns:
        What it is, its numbers (rows, ...) in float64, and which rows are kept, (rows,) bool.

    Raises:
        InputError: in one line, what is wrong and where.
    """
    if missing not in get_args(Missing):
        raise InputError(f"missing: got {missing!r}; valid: {', '.join(get_args(Missing))}")
    array = _images(x)
    if array is not None:
        return Inputs((), array.shape[1:], missing, False), array, np.ones(len(array), bool)
    table, is_named = _table(x)
    read = [_read(table, position, is_named) for position in range(table.shape[1])]
    lacks = np.any([values.is_missing for values in read], axis=0)
    if lacks.any() and missing == "refuse":
        raise InputError(f"{_places(read)}: missing='mean' fills them in, missing='drop' leaves the rows out")
    if lacks.all():
        raise InputError("X has a missing cell in every row: missing='mean', or leave columns out")
    columns = []
    for values in read:
        if values.is_missing.all():
            raise InputError(f"column {values.name!r} of X has no cell that is not missing: leave it out")
        column = Column(values.name, values.categories or (), ())
        numbers = _numbers(column, values)[~values.is_missing]
        columns.append(column._replace(fill=tuple(float(mean) for mean in numbers.mean(axis=0))))
    inputs = Inputs(tuple(columns), (sum(c.width for c in columns),), missing, is_named)
    keep = ~lacks if missing == "drop" else np.ones(len(table), bool)
    return inputs, _filled(inputs, read)[keep], keep


def encode(inputs: Inputs, x: Any) -> np.ndarray:
    """The numbers of new rows, (rows, ...) float64.

    Raises:
        InputError: where they are not rows of the same kind: which column, row and value.
    """
    array = _images(x)
    if array is not None or not inputs.columns:
        shape = None if array is None else array.shape[1:]
        if array is None or shape != inputs.shape:
            raise InputError(f"X: got rows of shape {shape}; valid: {inputs.shape}, as those of the fit")
        return array
    table, is_named = _table(x)
    names = [column.name for column in inputs.columns]
    if inputs.is_named and is_named:
        if absent := [name for name in names if name not in table.columns]:
            raise InputError(
                f"X has no column {absent[0]!r}, which the fit had; it has {_list(table.columns)}"
            )
        table = table[names]
    elif table.shape[1] != len(names):
        raise InputError(f"X: got {table.shape[1]} columns; valid: {len(names)}, as in the fit")
    read = [_read(table, i, is_named, column) for i, column in enumerate(inputs.columns)]
    if inputs.missing != "mean" and any(values.is_missing.any() for values in read):
        raise InputError(f"{_places(read)}: only a fit with missing='mean' knows what to put there")
    return _filled(inputs, read)


# ---- from what is given to columns ---------------------------------------------------------------


def _images(x: Any) -> np.ndarray | None:
    """Arrays of images; None for tables."""
    if isinstance(x, pd.DataFrame):
        return None
    array = np.asarray(x)
    if array.ndim == 2:
        return None
    if array.ndim != 4:
        valid = "(rows, columns) or (rows, height, width, channels)"
        raise InputError(f"X: got shape {array.shape}; valid: {valid}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"X: got images of {array.dtype}; valid: numbers")
    _check_rows(array)
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"X: {array[place]} at {place} is not a finite number")
    return array


def _table(x: Any) -> tuple[pd.DataFrame, bool]:
    """A data frame whose columns have different names, and whether they are the user's."""
    is_named = isinstance(x, pd.DataFrame)
    table = x if is_named else pd.DataFrame(np.asarray(x))
    _check_rows(table)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    if table.shape[1] == 0:
        raise InputError("X: got no columns")
    if table.columns.has_duplicates:
        name = table.columns[table.columns.duplicated()][0]
        raise InputError(f"X has two columns {name!r}: which one is meant?")
    return table, is_named


def _check_rows(x: Any) -> None:
    if len(x) == 0:
        raise InputError("X: got no rows")


def _read(table: pd.DataFrame, position: int, is_named: bool, known: Column | None = None) -> _Values:
    series = table.iloc[:, position]
    name = known.name if known else str(series.name)
    is_missing = series.isna().to_numpy()
    present = series[~is_missing]
    is_words = bool(known.categories) if known else _is_words(name, series, present)
    if not is_words:
        if series.dtype.kind not in "biuf":  # of words and dates pandas makes numbers, or missing cells
            series = series.astype(object)
            is_odd = ~is_missing & [not is_number(cell) for cell in series]
            if is_odd.any():
                row = int(is_odd.argmax())
                raise InputError(f"column {name!r} of X, row {row}: {series.iloc[row]!r} is no number")
            if (place := first_too_large(series)) is not None:
                raise InputError(f"column {name!r} of X, row {place}: {TOO_LARGE}")
        cells = pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)
        if np.isinf(cells).any():
            row = int(np.flatnonzero(np.isinf(cells))[0])
            raise InputError(f"column {name!r} of X, row {row}: {cells[row]} is not finite")
        return _Values(name, cells, is_missing, None)
    cells = np.array([plain(cell) for cell in series.astype(object)], object)
    if known is not None:
        strange = ~is_missing & ~np.isin(cells.astype(str), [str(c) for c in known.categories])
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            valid = _list(known.categories)
            raise InputError(
                f"column {name!r} of X, row {row}: {cells[row]!r} was not in the fit; valid: {valid}"
            )
        return _Values(name, cells, is_missing, known.categories)
    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = [plain(one) for one in series.cat.categories]
    else:
        categories = sorted({cell for cell, lacks in zip(cells, is_missing, strict=True) if not lacks})
    if len(categories) > max(_MOST_CATEGORIES, len(series) // _ROWS_PER_CATEGORY):
        raise InputError(
            f"column {name!r} of X has {len(categories)} different words in {len(series)} rows: leave it out"
        )
    return _Values(name, cells, is_missing, tuple(categories))


def _is_words(name: str, series: pd.Series, present: pd.Series) -> bool:
    """Whether a column is one of categories; numbers that pandas holds as objects are numbers."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        if pd.api.types.is_complex_dtype(dtype):
            raise InputError(
                f"column {name!r} of X holds complex numbers; valid: real ones, words, categories"
            )
        return False
    if not (pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype)):
        raise InputError(f"column {name!r} of X holds {dtype}; valid: numbers, words, categories")
    are_numbers = [is_number(cell) for cell in present]
    if any(are_numbers) and not all(are_numbers):
        row = int(np.flatnonzero(~series.isna().to_numpy())[are_numbers.index(False)])
        raise InputError(f"column {name!r} of X mixes numbers and words: row {row} has {series.iloc[row]!r}")
    odd = next((cell for cell in present if not isinstance(cell, str | int | float | np.number | bool)), None)
    if odd is not None:
        raise InputError(
            f"column {name!r} of X holds {type(odd).__name__}; valid: numbers, words, categories"
        )
    return not any(are_numbers)


# ---- from columns to numbers ---------------------------------------------------------------------


def _numbers(column: Column, values: _Values) -> np.ndarray:
    """(rows, width); NaN, or zeros, where a cell is missing."""
    if not column.categories:
        return values.cells[:, None]
    return np.stack([values.cells.astype(str) == str(one) for one in column.categories], axis=1).astype(
        np.float64
    )


def _filled(inputs: Inputs, read: list[_Values]) -> np.ndarray:
    parts = []
    for column, values in zip(inputs.columns, read, strict=True):
        numbers = _numbers(column, values)
        parts.append(np.where(values.is_missing[:, None], np.array(column.fill), numbers))
    return np.concatenate(parts, axis=1)


def _places(read: list[_Values]) -> str:
    """How many cells are missing, and where."""
    lacking = [values for values in read if values.is_missing.any()]
    count = sum(int(values.is_missing.sum()) for values in lacking)
    places = [
        f"{values.name!r} ({values.is_missing.sum()}, first in row {int(values.is_missing.argmax())})"
        for values in lacking[:_SHOWN]
    ]
    more = ", ..." if len(lacking) > _SHOWN else ""
    return f"X has {count} missing cells in {len(lacking)} columns: {', '.join(places)}{more}"


def _shown(column: Column) -> str:
    return repr(column.name)


def _list(names: Any) -> str:
    names = [repr(name) for name in names]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")

"""Tables of numbers: split by a seed, standardised with what the training rows say."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from smile.data.dataset import Dataset, Split, Task, Units
from smile.data.files import DataError

__all__ = ["Table", "split_and_standardise", "standardised"]

# Relative to the largest value. Rounding leaves some 1e-16 of a constant; a clock that counts nanoseconds since 1970
# tells less than 2 ms apart with it.
_CONSTANT = 1e-12


class Table(NamedTuple):
    """Raw data.

    Attributes:
        name: what messages call it.
        x: features, (rows, features) float64; of images, (rows, height, width, channels).
        y: (rows,) float64, or class numbers from 0, int.
        task: what y is.
        classes: names of the classes; empty for regression.
        columns: names of the features, and then of the target; empty where they have none.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    task: Task
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def column(self, number: int) -> str:
        """What messages call a column of x, or y as the column -1."""
        if self.columns:
            return f"{self.name}: column {self.columns[number]!r}"
        return f"{self.name}: {'the target' if number < 0 else f'feature {number + 1}'}"


def split_and_standardise(table: Table, *, seed: int, train: float = 0.7, validation: float = 0.1) -> Dataset:
    """Shuffles all rows, cuts them in three, and standardises with the mean and deviation of the training rows.

    A feature that is constant in the training rows says nothing; elsewhere it counts in units of that constant.

    Args:
        table: the data.
        seed: of the shuffle.
        train: fraction of the rows; the first int(N train) of them.
        validation: fraction of the rows; up to int(N (train + validation)). The rest is the test set.

    Returns:
        The data, with the units of x, in which ``standardised`` expresses other rows.

    Raises:
        DataError: where a part has no rows, the training rows have one target only, or a value is too far from them.
    """
    rows = len(table.y)
    ends = [int(rows * train), int(rows * (train + validation))]
    parts = np.split(np.random.default_rng(seed).permutation(rows), ends)
    if not all(map(len, parts)):
        sizes = ", ".join(str(len(part)) for part in parts)
        raise DataError(
            f"{table.name}: {rows} rows make train, validation and test sets of {sizes}", option="train"
        )
    learnt = table.y[parts[0]]
    is_regression = table.task == "regression"
    units = _units(learnt) if is_regression else None
    if units.is_constant if units else learnt.min() == learnt.max():
        value = f"{learnt[0]:.17g}" if units else repr(table.classes[learnt[0]])
        raise DataError(
            f"{table.column(-1)} is {value} in all {len(learnt)} training rows: nothing to learn",
            option="target",
        )
    y = standardised(table.y, units, table.column) if units else table.y.astype(np.int32)
    units_of_x = _units(table.x[parts[0]].reshape(-1, table.x.shape[-1]))
    x = standardised(table.x, units_of_x, table.column)
    training, validating, testing = (Split(x[index], y[index]) for index in parts)
    return Dataset(
        table.name,
        table.task,
        training,
        validating,
        testing,
        num_classes=len(table.classes),
        y_mean=float(np.ldexp(units.mean, units.exponent)) if units else 0.0,
        y_scale=float(np.ldexp(units.scale, units.exponent)) if units else 1.0,
        units=units_of_x,
        columns=table.columns,
        classes=table.classes,
    )


def _units(values: np.ndarray) -> Units:
    """Of training rows. Powers of two round nothing: the bits are those of values that need no such care."""
    size = np.abs(values).max(axis=0)
    exponent = np.frexp(size)[1]
    values, size = np.ldexp(values, -exponent), np.ldexp(size, -exponent)
    is_constant = np.ptp(values, axis=0) <= _CONSTANT * size
    constant = np.where(size > 0, size, 1.0)
    return Units(
        exponent, values.mean(axis=0), np.where(is_constant, constant, values.std(axis=0)), is_constant
    )


def standardised(values: np.ndarray, units: Units, column: Callable[[int], str]) -> np.ndarray:
    """All rows in float32.

    Args:
        values: (rows, ..., columns), or the targets, (rows,).
        units: of the columns, or of the targets.
        column: what messages call a column, or the target as the column -1.

    Raises:
        DataError: where a value is none of float32 then; names its column.
    """
    with np.errstate(over="ignore"):
        found = ((np.ldexp(values, -units.exponent) - units.mean) / units.scale).astype(np.float32)
    if not np.isfinite(found).all():
        index = tuple(np.argwhere(~np.isfinite(found))[0])
        where = column(int(index[-1]) if len(index) > 1 else -1)
        raise DataError(f"{where} has {values[index]:g}, too far from the training rows for float32")
    return found

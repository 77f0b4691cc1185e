"""Tables of numbers: split by a seed, standardised with what the training rows say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Dataset", "Split", "Table", "split_and_standardise"]

Task = Literal["regression", "classification"]


class Table(NamedTuple):
    """Raw data.

    Attributes:
        name: what messages call it.
        x: features, (rows, features) float64.
        y: (rows,) float64, or class numbers from 0, int.
        task: what y is.
        classes: names of the classes; empty for regression.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    task: Task
    classes: tuple[str, ...] = ()


class Split(NamedTuple):
    """Standardised rows: x (rows, features) float32, y (rows,) float32 or class numbers int32."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A table in three parts.

    Attributes:
        name: of the table.
        task: what y is.
        train: what networks learn and chains condition on.
        validation: what step sizes are chosen and networks stopped by.
        test: what numbers are reported on.
        num_classes: 0 for regression.
        y_mean: of the training rows, in the unit of the table; 0 for classes.
        y_scale: their standard deviation; 1 for classes.
    """

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    num_classes: int
    y_mean: float
    y_scale: float


def split_and_standardise(table: Table, *, seed: int, train: float = 0.7, validation: float = 0.1) -> Dataset:
    """Shuffles all rows, cuts them in three, and standardises with the mean and deviation of the training rows.

    Args:
        table: the data.
        seed: of the shuffle.
        train: fraction of the rows; the first int(N train) of them.
        validation: fraction of the rows; up to int(N (train + validation)). The rest is the test set.

    Raises:
        ValueError: where a part has no rows.
    """
    rows = len(table.y)
    ends = [int(rows * train), int(rows * (train + validation))]
    parts = np.split(np.random.default_rng(seed).permutation(rows), ends)
    if not all(map(len, parts)):
        sizes = ", ".join(str(len(part)) for part in parts)
        raise ValueError(f"{table.name}: {rows} rows make train, validation and test sets of {sizes}")
    x_mean, x_scale = _moments(table.x[parts[0]])
    is_regression = table.task == "regression"
    y_mean, y_scale = map(float, _moments(table.y[parts[0]])) if is_regression else (0.0, 1.0)

    def standardised(index: np.ndarray) -> Split:
        x = ((table.x[index] - x_mean) / x_scale).astype(np.float32)
        y = (table.y[index] - y_mean) / y_scale if is_regression else table.y[index]
        return Split(x, y.astype(np.float32 if is_regression else np.int32))

    training, validating, testing = map(standardised, parts)
    return Dataset(table.name, table.task, training, validating, testing, len(table.classes), y_mean, y_scale)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 0); a constant column keeps its scale."""
    scale = values.std(axis=0)
    return values.mean(axis=0), np.where(scale > 0, scale, 1.0)

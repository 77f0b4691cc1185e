"""Tables of numbers: split by a seed, standardised with what the training rows say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smile.data.dataset import Dataset, Split, Task

__all__ = ["Table", "split_and_standardise"]


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
    return Dataset(
        table.name,
        table.task,
        training,
        validating,
        testing,
        num_classes=len(table.classes),
        y_mean=y_mean,
        y_scale=y_scale,
    )


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 0); a constant column keeps its scale."""
    scale = values.std(axis=0)
    return values.mean(axis=0), np.where(scale > 0, scale, 1.0)

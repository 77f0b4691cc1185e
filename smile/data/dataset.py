"""What networks learn from, whatever it was read from: three parts of rows, in memory or mapped from disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Dataset", "Split", "Task", "Units"]

Task = Literal["regression", "classification", "language"]


class Split(NamedTuple):
    """Rows of one part.

    Attributes:
        x: features (rows, features) float32, pixels (rows, height, width, channels) uint8, or tokens.
        y: (rows,) float32, class numbers (rows,) int32, or the tokens that follow those of ``x``.
    """

    x: np.ndarray
    y: np.ndarray


class Units(NamedTuple):
    """What columns are measured in, by column: the last axis of the rows that they are of.

    Attributes:
        exponent: all else is in units of 2^exponent, whose square neither overflows nor vanishes.
        mean: of the training rows.
        scale: their standard deviation (ddof 0); the size of the value where it is constant, 1 where that is 0.
        is_constant: up to rounding.
    """

    exponent: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    is_constant: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Data in three parts.

    Tokens of validation and test are windows that follow each other, (windows, context); those of ``train`` are one
    text, (tokens,), of which a batch is some windows of ``context`` tokens, wherever they start.

    Attributes:
        name: of the data.
        task: what y is.
        train: what networks learn and chains condition on.
        validation: what step sizes are chosen and networks stopped by.
        test: what numbers are reported on.
        num_classes: or tokens of the vocabulary; 0 for regression.
        y_mean: of the training rows, in the unit of the table; 0 for classes.
        y_scale: their standard deviation; 1 for classes.
        x_mean: what a network subtracts from x, a number or one per channel.
        x_scale: what it divides by then.
        context: tokens of a window; None where x are no tokens.
        vocabulary: the character of every token.
        unfamiliar: rows of another kind, which a network should be unsure about; None: there are none.
        units: of the last axis of x, in which ``standardised`` expresses new rows; None: pixels as they are, or tokens.
        columns: names of the columns of a table, and then of its target; empty where they have none.
        classes: names of the classes of a table; empty for regression.
    """

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    num_classes: int = 0
    y_mean: float = 0.0
    y_scale: float = 1.0
    x_mean: np.ndarray | float = 0.0
    x_scale: np.ndarray | float = 1.0
    context: int | None = None
    vocabulary: str = ""
    unfamiliar: Split | None = None
    units: Units | None = None
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

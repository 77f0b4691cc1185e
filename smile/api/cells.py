"""Cells of columns: what is a number, and which no float holds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["TOO_LARGE", "first_too_large", "is_number", "plain"]

TOO_LARGE = f"a whole number beyond {sys.float_info.max:.2g}, which no float holds"
_LARGEST = int(sys.float_info.max)


def is_number(cell: Any) -> bool:
    """Whether a cell is a number or a truth value."""
    return isinstance(cell, int | float | np.number | np.bool_)


def plain(cell: Any) -> Any:
    """A cell as JSON has it."""
    return cell.item() if isinstance(cell, np.generic) else cell


def first_too_large(cells: Iterable[Any]) -> int | None:
    """The place of the first ``TOO_LARGE``; None where there is none."""
    return next((i for i, cell in enumerate(cells) if isinstance(cell, int) and abs(cell) > _LARGEST), None)

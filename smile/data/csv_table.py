"""A user's own table: numeric features, and a target that holds numbers or labels.

A number is what ``float`` reads and is finite, but not ``1_000``. A missing value is an empty cell, and refused: words
such as NA, None or nan are labels like any other in the target, and no numbers in a feature. Nothing is guessed from
part of a column: ``auto`` takes a target that holds numbers or words alone.
"""

from __future__ import annotations

import difflib
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smile.data.delimited import Records, finite_number, read_records, shown, shown_names
from smile.data.files import DataError
from smile.data.tabular import Table

__all__ = ["load_csv"]

_MOST_CLASSES = 20
_FEWEST_ROWS = 10
_ROWS_PER_CLASS = 20  # at least, on average, to take a column for classes unasked
_FEWEST_ROWS_PER_CLASS = 5

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,400}")


class _Target(NamedTuple):
    """The column to predict.

    Attributes:
        path: of the file.
        name: of the column.
        cells: without space around them, none empty.
        lines: where they stand.
    """

    path: Path
    name: str
    cells: Sequence[str]
    lines: Sequence[int]

    @property
    def column(self) -> str:
        return f"{self.path}: column {shown(self.name)}"

    def wrong(self, row: int, what: str) -> DataError:
        where = f"{self.path}, line {self.lines[row]}, column {shown(self.name)}"
        return DataError(f"{where}: {shown(self.cells[row])} {what}")


def load_csv(path: Path, target: str, *, task: str = "auto", delimiter: str = "auto") -> Table:
    """Reads a table.

    Args:
        path: of a file as ``smile.data.delimited`` describes it.
        target: name of the column to predict; all others are features. Columns have no numbers: ``2`` is the one of
            that name.
        task: ``regression``, ``classification``, or ``auto``: classification where the target holds words, or at most
            20 different whole numbers. Two classes are always possible; more than one per 20 rows have to be asked for.
        delimiter: as for ``read_records``.

    Raises:
        DataError: in one line, file, line and column of what is wrong first.
    """
    records = read_records(path, delimiter)
    position = _position(records, target.strip())
    features = records.names[:position] + records.names[position + 1 :]
    x, lines = array("d"), array("q")
    cells: list[str] = []
    known: dict[str, str] = {}  # equal labels share one string
    for line, row in records.rows:
        label = row.pop(position).strip()
        if not label:
            raise DataError(
                f"{path}, line {line}, column {shown(records.names[position])}: the cell is empty"
            )
        try:
            x.extend(map(finite_number, row))
        except ValueError:
            raise _wrong_feature(path, line, features, row) from None
        cells.append(known.setdefault(label, label))
        lines.append(line)
    if len(lines) < _FEWEST_ROWS:
        raise DataError(f"{path} has {len(lines)} rows: at least {_FEWEST_ROWS} are needed")
    y, classes = _learnt(_Target(path, records.names[position], cells, lines), task)
    inputs = np.frombuffer(x, np.float64).reshape(len(lines), len(features))
    names = (*features, records.names[position])
    return Table(path.stem, inputs, y, "classification" if classes else "regression", classes, names)


def _is_number(cell: str) -> bool:
    try:
        finite_number(cell)
    except ValueError:
        return False
    return True


# ---- columns -------------------------------------------------------------------------------------


def _position(records: Records, target: str) -> int:
    path, names = records.path, records.names
    if len(names) < 2:
        raise DataError(
            f"{path} has the single column {shown(names[0])}: a target and features are needed, "
            "apart by comma, semicolon or tab"
        )
    if target not in names:
        near = difflib.get_close_matches(target, names, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError(
            f"{path} has no column {shown(target)}{hint}: valid are {shown_names(names)}", option="target"
        )
    return names.index(target)


def _wrong_feature(path: Path, line: int, features: Sequence[str], row: Sequence[str]) -> DataError:
    name, cell = next((name, cell) for name, cell in zip(features, row, strict=True) if not _is_number(cell))
    where = f"{path}, line {line}, column {shown(name)}"
    return DataError(
        f"{where}: {shown(cell)} {_no_number(cell)}" if cell.strip() else f"{where}: the cell is empty"
    )


def _no_number(cell: str) -> str:
    return "is not a finite number" + (
        " (a decimal comma?)" if _DECIMAL_COMMA.fullmatch(cell.strip()) else ""
    )


# ---- target --------------------------------------------------------------------------------------


def _learnt(target: _Target, task: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is predicted, and the names of its classes; none for regression."""
    different = tuple(dict.fromkeys(target.cells))
    words = {cell for cell in different if not _is_number(cell)}
    if len(different) < 2:
        raise DataError(f"{target.column} is {shown(different[0])} in every row", option="target")
    if task == "regression":
        return _numbers(target, words), ()
    if task == "auto":
        _check_unmixed(target, words)
        if not words and not _are_codes({float(cell) for cell in different}):
            return _numbers(target, words), ()
    return _classes(target, different, task, bool(words))


def _numbers(target: _Target, words: set[str]) -> np.ndarray:
    if words:
        row = next(row for row, cell in enumerate(target.cells) if cell in words)
        raise target.wrong(row, _no_number(target.cells[row]))
    y = np.array([float(cell) for cell in target.cells])
    if y.min() == y.max():  # the same number, spelled in several ways
        raise DataError(f"{target.column} is {y[0]} in every row", option="target")
    return y


def _check_unmixed(target: _Target, words: set[str]) -> None:
    """Raises DataError at the first of those cells that are fewer: words among numbers, or numbers among words."""
    are_words = [cell in words for cell in target.cells]
    is_odd_a_word = 2 * sum(are_words) <= len(are_words)
    if is_odd_a_word not in are_words:
        return
    row = are_words.index(is_odd_a_word)
    what = _no_number(target.cells[row]) if is_odd_a_word else "is a number"
    others = "numbers" if is_odd_a_word else "words"
    raise target.wrong(row, f"{what} among {others}: data.task=classification takes all of them for labels")


def _are_codes(values: set[float]) -> bool:
    return len(values) <= _MOST_CLASSES and all(value.is_integer() for value in values)


def _classes(
    target: _Target, different: Sequence[str], task: str, are_words: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    value: dict[str, Any] = {cell: cell if are_words else _exact(cell) for cell in different}
    # 3 and 3.0 are one class, which is called as it is first.
    spelling = {value[cell]: cell for cell in reversed(different)}
    if len(spelling) < 2:
        raise DataError(f"{target.column} is {shown(different[0])} in every row", option="target")
    rows = len(target.cells)
    found = f"{target.column} has {len(spelling)} different values in {rows} rows, too many classes"
    if task == "auto" and len(spelling) > max(2, rows // _ROWS_PER_CLASS):
        other = "classification" if are_words else "regression, or data.task=classification"
        raise DataError(f"{found} to take it for a classification unasked: data.task={other}?", option="task")
    if len(spelling) > max(_MOST_CLASSES, rows // _FEWEST_ROWS_PER_CLASS):
        raise DataError(found if are_words else f"{found}: data.task=regression?", option="task")
    code = {one: number for number, one in enumerate(sorted(spelling))}
    y = np.array([code[value[cell]] for cell in target.cells], np.int64)
    return y, tuple(spelling[one] for one in sorted(spelling))


def _exact(cell: str) -> int | float:
    """The number of a cell without rounding, so that long whole numbers stay different classes."""
    return int(cell) if _WHOLE_NUMBER.fullmatch(cell) else float(cell)

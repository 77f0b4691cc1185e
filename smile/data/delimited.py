"""Delimited text read strictly: what is not as it should be is refused with its line, and nothing is repaired.

The dialect: UTF-8, with or without a byte order mark; one header; cells apart by commas, semicolons or tabs, in double
quotes where they hold one of these, a quote (doubled) or a line end; space around a cell does not count; empty lines do
not count, either. Every row has as many cells as the header.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from smile.data.files import DataError, read_utf8

__all__ = ["DELIMITERS", "Records", "finite_number", "read_records", "shown", "shown_names"]

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

# A cell in quotes, whatever the delimiter; and a record, which ends at the first line end outside of such cells.
_QUOTED = re.compile(r'(?:^|(?<=[,;\t])) *"[^"]*(?:""[^"]*)*"')
_HEADER = re.compile(rf"(?:{_QUOTED.pattern}|[^\r\n])*")
_LONGEST_SHOWN = 40
_MOST_SHOWN = 20


class Records(NamedTuple):
    """A table as text.

    Attributes:
        path: of the file.
        names: of the columns, all different.
        rows: from the first to the last: the line where it begins, and its cells, of which only the space before them
            is gone.
    """

    path: Path
    names: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


def read_records(path: Path, delimiter: str = "auto") -> Records:
    """Opens a table.

    Args:
        path: of the file.
        delimiter: ``comma``, ``semicolon``, ``tab``, or ``auto``: the only one of them that the header has outside of
            quotes.

    Raises:
        DataError: names the file, and line and column where it applies; rows raise it when they are reached.
    """
    text = read_utf8(path)
    lines = list(
        StringIO(text, newline="")
    )  # as editors count them; str.splitlines knows more ends of a line
    if not text.strip():
        raise DataError(f"{path} is empty: a header and rows are needed")
    if delimiter == "auto":
        delimiter = _only_delimiter(path, lines)
    rows = _records(path, lines, DELIMITERS[delimiter])
    line, header = next(rows)
    names = tuple(name.strip() for name in header)
    _check_names(path, line, names)
    return Records(path, names, _whole(path, names, rows))


def finite_number(cell: str) -> float:
    """What ``float`` reads, but not ``1_000``.

    Raises:
        ValueError: where the cell is no number, or not a finite one.
    """
    value = float(cell)
    if not math.isfinite(value) or "_" in cell:
        raise ValueError(cell)
    return value


def shown(cell: str) -> str:
    """A cell as messages quote it: one line, and not all of a long one."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}...")


def shown_names(names: tuple[str, ...]) -> str:
    """Names of columns as messages list them."""
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(" ".join(name.split()) for name in names[:_MOST_SHOWN]) + more


def _records(path: Path, lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Lines where records begin, and their cells; empty lines are left out."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {before + 1}: quotes that do not fit ({error})") from None
        if cells is None:
            return
        if len(cells) > 1 or lines[before].strip():
            yield before + 1, cells
        before = reader.line_num


def _whole(
    path: Path, names: tuple[str, ...], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if len(cells) < len(names):
            raise DataError(
                f"{path}, line {line}, column {shown(names[len(cells)])}: the row has {len(cells)} cells, "
                f"the header {len(names)}"
            )
        if len(cells) > len(names):
            raise DataError(
                f"{path}, line {line}, behind column {shown(names[-1])}: the row has {len(cells)} cells, "
                f"the header {len(names)}"
            )
        yield line, cells


def _check_names(path: Path, line: int, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names, 1):
        if not name:
            hint = " (pandas writes its index so: to_csv(..., index=False))" if number == 1 else ""
            raise DataError(f"{path}, line {line}: column {number} has no name{hint}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        numbers = [str(number) for number, other in enumerate(names, 1) if other == name]
        raise DataError(f"{path}, line {line}: columns {' and '.join(numbers)} are all named {shown(name)}")


def _only_delimiter(path: Path, lines: list[str]) -> str:
    """The name of what is between the names of the header.

    Raises:
        DataError: where that could be several.
    """
    first = next(number for number, line in enumerate(lines) if line.strip())
    header = _HEADER.match("".join(lines[first:]))
    assert header is not None  # it matches no character, too
    unquoted = _QUOTED.sub("", header[0])
    found = [name for name, delimiter in DELIMITERS.items() if delimiter in unquoted]
    if len(found) > 1:
        raise DataError(
            f"{path}, line {first + 1}: {' or '.join(found)} could be between the columns of the header: "
            f"set data.delimiter={found[0]} or {found[1]}",
            option="delimiter",
        )
    return found[0] if found else "comma"

"""Tables as people write them, good or with one fault, and what must come of them; knows nothing of the reader."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
LINE_ENDS = ("\n", "\r\n", "\r")
NAMES = (
    "a", "b", "length", "Y", "größe", "naïve name", "2", "42.5", "NA", "nan", 'say "hi"', '5" pipe', "a;b", "a,b",
    "a\tb", "two\nlines", "x=y", "#", "'q'", "{z}", "日本", "long " * 30 + "name", "???", "null", "-", "col.1", "[1]",
)  # fmt: skip
WORDS = (
    "red", "blue", "NA", "None", "nan", "inf", "null", "?", "-", "True", "False", "1_000", "1e999", "0x10", "3,14",
    "two words", 'a "quoted" word', "a;b", "a,b", "zwölf", "two\nlines", "N/A", "#N/A", "infinity", "é" * 50,
)  # fmt: skip
NO_NUMBERS = (
    "?",
    "-",
    "NA",
    "None",
    "nan",
    "inf",
    "-inf",
    "3,14",
    "1_000",
    "1e999",
    "0x10",
    "1 2",
    "one",
    "1.2.3",
    "''",
)


class Good(NamedTuple):
    """What the table must give."""

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    columns: tuple[str, ...]


class Refused(NamedTuple):
    """What the one line must say."""

    words: str
    line: int | None = None
    column: str | None = None


class Case(NamedTuple):
    """A file, how it is asked for, and what must come of it."""

    content: bytes
    target: str
    task: str
    delimiter: str
    expected: Good | Refused


@dataclass
class Sheet:
    """A table before it is written: the text of cells, and how the file spells it."""

    rng: random.Random
    names: list[str]
    rows: list[list[str]]
    position: int  # of the target
    task: str
    delimiter: str
    is_named: bool  # whether data.delimiter says what is between cells
    line_end: str
    mark: bytes
    gaps: float  # how often empty lines stand between rows
    raw: dict[tuple[int, int], str] = field(
        default_factory=dict
    )  # (row, column) -> spelling; row -1 is the header
    lines: list[int] = field(default_factory=list)

    @property
    def target(self) -> str:
        return self.names[self.position]

    def write(self) -> list[bytes]:
        """The records, and in ``lines`` where they begin."""
        line, records = 1, []
        self.lines = []
        for number, cells in enumerate([self.names, *self.rows], -1):
            while self.rng.random() < self.gaps:
                gap = self.rng.choice(("", "", "   ")) + self.line_end
                records.append(gap.encode())
                line += 1
            cells = [self.raw.get((number, i), self._spelled(cell)) for i, cell in enumerate(cells)]
            text = DELIMITERS[self.delimiter].join(cells) + self.line_end
            self.lines.append(line)
            line += len(re.findall("\r\n|\r|\n", text))
            records.append(text.encode())
        if self.rng.random() < 0.3:
            records[-1] = records[-1].removesuffix(self.line_end.encode())
        return records

    def _spelled(self, cell: str) -> str:
        needs_quotes = any(character in cell for character in (DELIMITERS[self.delimiter], "\n", "\r"))
        if needs_quotes or cell.startswith('"') or self.rng.random() < 0.1:
            return self.rng.choice(("", "", "  ")) + '"' + cell.replace('"', '""') + '"'
        return self.rng.choice(("", "", "", " ")) + cell + self.rng.choice(("", "", "", "  "))


# ---- good tables ---------------------------------------------------------------------------------


def number(rng: random.Random, kind: str) -> str:
    """A spelling; the value is what ``float`` makes of it."""
    match kind:
        case "reals":
            return rng.choice((repr, "{:g}".format, "{:.3f}".format, "{:e}".format, "{:+.2f}".format))(
                rng.gauss(3, 10)
            )
        case "whole":
            return rng.choice(("{}", "{}.", "{}.0", "+{}", "0{}", "{}e0")).format(rng.randrange(100))
        case "huge":
            return repr((2 * rng.random() - 1) * 1.7e308)
        case "tiny":
            return repr(rng.uniform(1, 2) * 1e-310)
        case "years":
            return repr(2000 + rng.random())
    raise AssertionError(kind)


def feature(rng: random.Random, rows: int) -> list[str]:
    """A column of numbers."""
    kind = rng.choice(("reals", "reals", "whole", "huge", "tiny", "years", "constant", "rounded", "once"))
    match kind:
        case "constant":
            return [number(rng, rng.choice(("reals", "huge", "whole")))] * rows
        case "rounded":  # constant but for the last bit
            return [rng.choice(("0.3", repr(0.1 + 0.2))) for _ in range(rows)]
        case "once":  # the LPPD of -7e24 of a run on it
            return ["0.1"] * (rows - 1) + ["0.2"]
    return [number(rng, kind) for _ in range(rows)]


def labels(rng: random.Random, kind: str, rows: int, classes: int) -> list[str]:
    """A target; every one of the classes occurs."""
    if kind == "reals":
        return [*(f"{rng.gauss(0, 1):.6f}5" for _ in range(rows))]
    if kind == "words":
        chosen = rng.sample(WORDS, classes) if classes <= len(WORDS) else [f"w{i}" for i in range(classes)]
    else:
        chosen = list(map(str, rng.sample(range(-classes, 2 * classes), classes)))
    cells = [*chosen, *(rng.choice(chosen) for _ in range(rows - classes))]
    if kind == "whole":  # 3 and 3.0 are one class
        cells = [rng.choice((cell, cell, f"{cell}.0")) for cell in cells]
    rng.shuffle(cells)
    return cells


@st.composite
def sheets(draw: st.DrawFn) -> tuple[Sheet, str]:
    """A good table, and the kind of its target."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    rows = rng.randint(10, 60)
    width = draw(st.integers(2, 6))
    kind = draw(st.sampled_from(("reals", "whole", "words")))
    task = draw(st.sampled_from(("auto", "auto", {"words": "classification"}.get(kind, "regression"))))
    if kind == "whole":
        task = draw(st.sampled_from((task, "classification")))
    most_classes = max(2, rows // 20) if task == "auto" else max(2, min(20, rows // 3))
    columns = [feature(rng, rows) for _ in range(width - 1)]
    position = draw(st.integers(0, width - 1))
    columns.insert(position, labels(rng, kind, rows, draw(st.integers(2, most_classes))))
    delimiter = draw(st.sampled_from(sorted(DELIMITERS)))
    sheet = Sheet(
        rng,
        rng.sample(NAMES, width),
        [list(row) for row in zip(*columns, strict=True)],
        position,
        task,
        delimiter,
        draw(st.booleans()),
        draw(st.sampled_from(LINE_ENDS)),
        draw(st.sampled_from((b"", b"\xef\xbb\xbf"))),
        draw(st.sampled_from((0.0, 0.0, 0.2))),
    )
    if not sheet.is_named:  # names that hold what could be between them are in quotes
        for i, name in enumerate(sheet.names):
            if any(other in name for other in DELIMITERS.values()):
                sheet.raw[-1, i] = '"' + name.replace('"', '""') + '"'
    return sheet, kind


def good(sheet: Sheet, kind: str) -> Good:
    """What a good table must give."""
    cells = [row[sheet.position] for row in sheet.rows]
    x = [[float(cell) for i, cell in enumerate(row) if i != sheet.position] for row in sheet.rows]
    columns = (*(name for i, name in enumerate(sheet.names) if i != sheet.position), sheet.target)
    if kind == "reals" or sheet.task == "regression":
        return Good(np.array(x), np.array([float(cell) for cell in cells]), (), columns)
    values = [cell if kind == "words" else float(cell) for cell in cells]
    order = sorted(set(values))
    names = tuple(cells[values.index(value)] for value in order)
    return Good(np.array(x), np.array([order.index(value) for value in values]), names, columns)


# ---- faults --------------------------------------------------------------------------------------

Fault = Callable[[Sheet, str, random.Random], tuple[list[bytes], Refused]]
FAULTS: dict[str, Fault] = {}


def fault(of: Fault) -> Fault:
    """Enters a fault, which changes a good table, writes it, and knows what must be said."""
    FAULTS[of.__name__.replace("_", " ")] = of
    return of


def place(sheet: Sheet, rng: random.Random, is_target: bool | None = None) -> tuple[int, int]:
    """A row and a column, of the target or of a feature."""
    columns = [i for i in range(len(sheet.names)) if is_target is None or (i == sheet.position) == is_target]
    return rng.randrange(len(sheet.rows)), rng.choice(columns)


def wrong_cell(sheet: Sheet, row: int, column: int, spelling: str, words: str) -> tuple[list[bytes], Refused]:
    sheet.raw[row, column] = spelling
    records = sheet.write()
    return records, Refused(words, sheet.lines[row + 1], sheet.names[column])


@fault
def a_row_is_too_long(sheet, kind, rng):
    row = rng.randrange(len(sheet.rows))
    sheet.rows[row] += ["7"] * rng.randint(1, 3)
    return sheet.write(), Refused(
        f"the row has {len(sheet.rows[row])} cells", sheet.lines[row + 1], sheet.names[-1]
    )


@fault
def all_rows_are_too_long(sheet, kind, rng):
    for row in sheet.rows:
        row.append("7")
    return sheet.write(), Refused("cells, the header", sheet.lines[1], sheet.names[-1])


@fault
def a_row_is_too_short(sheet, kind, rng):
    row, left = rng.randrange(len(sheet.rows)), rng.randint(1, len(sheet.names) - 1)
    del sheet.rows[row][left:]
    return sheet.write(), Refused(f"the row has {left} cells", sheet.lines[row + 1], sheet.names[left])


@fault
def two_columns_have_one_name(sheet, kind, rng):
    one, other = rng.sample(range(len(sheet.names)), 2)
    sheet.names[one] = sheet.names[other]
    sheet.raw.pop((-1, one), None)
    if (-1, other) in sheet.raw:
        sheet.raw[-1, one] = sheet.raw[-1, other]
    return sheet.write(), Refused("are all named", sheet.lines[0], sheet.names[one])


@fault
def a_column_has_no_name(sheet, kind, rng):
    column = place(sheet, rng, is_target=False)[1]
    sheet.raw[-1, column] = rng.choice(("", "  ", '""'))
    return sheet.write(), Refused(f"column {column + 1} has no name", sheet.lines[0])


@fault
def a_cell_is_empty(sheet, kind, rng):
    row, column = place(sheet, rng)
    return wrong_cell(sheet, row, column, rng.choice(("", "  ", '""')), "the cell is empty")


@fault
def a_feature_is_no_number(sheet, kind, rng):
    row, column = place(sheet, rng, is_target=False)
    word = rng.choice(NO_NUMBERS)
    return wrong_cell(sheet, row, column, f'"{word}"', f"{word!r} is not a finite number")


@fault
def a_word_among_numbers(sheet, kind, rng):
    if kind == "words":
        sheet.rows = [
            [*row[: sheet.position], f"{i}.5", *row[sheet.position + 1 :]] for i, row in enumerate(sheet.rows)
        ]
    sheet.task = rng.choice(("auto", "regression"))
    row, column = place(sheet, rng, is_target=True)
    word = rng.choice(NO_NUMBERS)
    return wrong_cell(sheet, row, column, f'"{word}"', f"{word!r} is not a finite number")


@fault
def a_number_among_words(sheet, kind, rng):
    sheet.rows = [
        [*row[: sheet.position], f"w{i % 2}", *row[sheet.position + 1 :]] for i, row in enumerate(sheet.rows)
    ]
    sheet.task = "auto"
    row, column = place(sheet, rng, is_target=True)
    return wrong_cell(sheet, row, column, "7", "'7' is a number among words")


@fault
def a_target_that_never_varies(sheet, kind, rng):
    word = sheet.rows[0][sheet.position]
    for row in sheet.rows:
        row[sheet.position] = (
            word if kind == "words" else rng.choice((word, f"+{float(word)!r}".replace("+-", "-")))
        )
    return sheet.write(), Refused("in every row", None, sheet.target)


@fault
def too_many_classes(sheet, kind, rng):
    words, rows = rng.random() < 0.5, len(sheet.rows)
    sheet.task = "auto"
    count = rng.randint(max(2, rows // 20) + 1, max(2, rows // 20) + 7)
    cells = [f"w{i % count}" if words else str(i % count) for i in range(rows)]
    for row, cell in zip(sheet.rows, cells, strict=True):
        row[sheet.position] = cell
    return sheet.write(), Refused(
        f"has {count} different values in {rows} rows, too many classes", None, sheet.target
    )


@fault
def far_too_many_classes(sheet, kind, rng):
    sheet.task = "classification"
    while len(sheet.rows) < 21:
        sheet.rows.append(list(sheet.rows[0]))
    for i, row in enumerate(sheet.rows):
        row[sheet.position] = f"w{i}"
    return sheet.write(), Refused("too many classes", None, sheet.target)


@fault
def too_few_rows(sheet, kind, rng):
    del sheet.rows[rng.randrange(10) :]
    return sheet.write(), Refused(f"has {len(sheet.rows)} rows: at least 10")


@fault
def no_such_column(sheet, kind, rng):
    records = sheet.write()
    sheet.names[sheet.position] = "elsewhere"
    return records, Refused("has no column 'elsewhere'")


@fault
def no_feature(sheet, kind, rng):
    sheet.names, sheet.rows = [sheet.target], [[row[sheet.position]] for row in sheet.rows]
    sheet.position = 0
    sheet.raw = {(-1, 0): '"' + sheet.target.replace('"', '""') + '"'}
    return sheet.write(), Refused("features are needed", None, sheet.target)


@fault
def no_utf8(sheet, kind, rng):
    records = sheet.write()
    at = rng.randrange(len(records))
    line = len(re.findall(b"\r\n|\r|\n", b"".join(records[:at]))) + 1
    records[at] = rng.choice((b"\xff", b"\xe9,", b"\xfc")) + records[at]
    return records, Refused("no UTF-8 text", line)


@fault
def utf16(sheet, kind, rng):
    text, sheet.mark = b"".join(sheet.write()).decode(), b""
    return [text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be")))], Refused("no UTF-8 text")


@fault
def a_quote_that_never_ends(sheet, kind, rng):
    row, column = place(sheet, rng)
    sheet.raw[row, column] = '"7'
    return sheet.write(), Refused("", sheet.lines[row + 1])


@fault
def something_behind_a_quote(sheet, kind, rng):
    row, column = place(sheet, rng)
    sheet.raw[row, column] = rng.choice(('"7"8', '"7" ', '"a"b"'))
    return sheet.write(), Refused("quotes that do not fit", sheet.lines[row + 1])


@fault
def any_delimiter(sheet, kind, rng):
    other = rng.choice([name for name in DELIMITERS if name != sheet.delimiter])
    column = place(sheet, rng)[1]
    sheet.is_named, sheet.raw[-1, column] = False, f"p{DELIMITERS[other]}q"
    return sheet.write(), Refused("set data.delimiter=", sheet.lines[0])


@fault
def another_delimiter(sheet, kind, rng):
    """The header alone is apart by something else."""
    other = rng.choice([name for name in DELIMITERS if name != sheet.delimiter])
    sheet.names, sheet.raw, sheet.is_named = [f"n{i}" for i in range(len(sheet.names))], {}, False
    rows, sheet.rows = sheet.rows, []
    header, line = (
        b"".join(sheet.write()).replace(DELIMITERS[sheet.delimiter].encode(), DELIMITERS[other].encode()),
        0,
    )
    header = header.removesuffix(sheet.line_end.encode()) + sheet.line_end.encode()
    line = len(re.findall(b"\r\n|\r|\n", header)) + 1
    delimiter = DELIMITERS[sheet.delimiter]
    body = "".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + sheet.line_end for row in rows
    )
    sheet.mark = b""
    return [header, body.encode()], Refused("", line)


@fault
def an_empty_file(sheet, kind, rng):
    return [rng.choice((b"", b"\n", b"  \r\n\r\n"))], Refused("is empty")


@st.composite
def cases(draw: st.DrawFn, name: str = "") -> Case:
    """A good table, or one with the fault of that name."""
    sheet, kind = draw(sheets())
    if name:
        records, expected = FAULTS[name](sheet, kind, sheet.rng)
    else:
        records, expected = sheet.write(), good(sheet, kind)
    delimiter = sheet.delimiter if sheet.is_named else "auto"
    return Case(sheet.mark + b"".join(records), sheet.target, sheet.task, delimiter, expected)

"""A user's own table: what it may look like, and what is refused with file, line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smile.data import DataError, Table, load


def read(tmp_path: Path, text: str | bytes, target: str = "y", **options: str) -> Table:
    path = tmp_path / "my.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load("csv", path=str(path), target=target, **options)


def refusal(tmp_path: Path, text: str | bytes, target: str = "y", **options: str) -> str:
    with pytest.raises(DataError) as error:
        read(tmp_path, text, target, **options)
    message = str(error.value)
    assert message.startswith(str(tmp_path / "my.csv")) and len(message.splitlines()) == 1
    return message.removeprefix(str(tmp_path / "my.csv"))


def lines(*ys: object) -> str:
    return "a,b,y\n" + "".join(f"{i},{i * 0.5},{y}\n" for i, y in enumerate(ys))


REALS = tuple(i / 7 for i in range(12))


# ---- strictly read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(*REALS).replace("3,1.5,", "3,1.5,7,"), ", line 5, behind column 'y': the row has 4 cells, the header 3"),
        (lines(*REALS).replace("3,1.5,", "3,"), ", line 5, column 'y': the row has 2 cells, the header 3"),
        # pandas took the first column of such a file for its index, and shifted all others.
        ("a,b,y\n" + "1,2,3,4\n" * 12, ", line 2, behind column 'y': the row has 4 cells, the header 3"),
        ("\n\n" + lines(*REALS).replace("3,1.5", '3,"1'), ", line 7: quotes that do not fit (unexpected end of data)"),
        (lines(*REALS).replace("3,1.5", '3,"1.5"0'), ", line 5: quotes that do not fit (',' expected after '\"')"),
        ("y,a,y\n" + "1,2,3\n" * 12, ", line 1: columns 1 and 3 are all named 'y'"),
        ("a, y ,y\n" + "1,2,3\n" * 12, ", line 1: columns 2 and 3 are all named 'y'"),
        # What pandas writes of its index, which is the row of a sorted table, and no feature.
        (
            ",a,y\n" + "1,2,3\n" * 12,
            ", line 1: column 1 has no name (pandas writes its index so: to_csv(..., index=False))",
        ),
        ("a,y,\n" + "1,2,\n" * 12, ", line 1: column 3 has no name"),
        (lines(*REALS) + ",,\n", ", line 14, column 'y': the cell is empty"),
        (lines(*REALS) + '""\n', ", line 14, column 'b': the row has 1 cells, the header 3"),
        ("", " is empty: a header and rows are needed"),
        ("a,b,y\n", " has 0 rows: at least 10 are needed"),
        ("y\n" + "1.5\n" * 12, " has the single column 'y': a target and features are needed, apart by comma, "
                               "semicolon or tab"),
        ("a|y\n" + "1|2\n" * 12, " has the single column 'a|y': a target and features are needed, apart by comma, "
                                 "semicolon or tab"),
        (lines(*range(5)), " has 5 rows: at least 10 are needed"),
        ("a;b,c;y\n" + "1;2,3;4\n" * 12, ", line 1: comma or semicolon could be between the columns of the header: "
                                          "set data.delimiter=comma or semicolon"),
        (lines(*REALS).encode("utf-16"), ", line 1: byte 0 is 0xff, which is no UTF-8 text: save the file as UTF-8"),
        (lines(*REALS).encode("utf-16-le"), ", line 1: a zero byte, which is no UTF-8 text: save the file as UTF-8"),
        ("größe,y\n".encode("latin-1"), ", line 1: byte 2 is 0xf6, which is no UTF-8 text: save the file as UTF-8"),
        (b"\xef\xbb\xbfa,y\r1,2\r\n3,\xe9",
         ", line 3: byte 14 is 0xe9, which is no UTF-8 text: save the file as UTF-8"),
    ],
)  # fmt: skip
def test_what_pandas_would_repair_is_refused(tmp_path: Path, text, message):
    assert refusal(tmp_path, text) == message


def test_lines_count_as_in_an_editor(tmp_path: Path):
    rows = "".join(f'{i},"two\nlines, {i % 2}"\n\n' for i in range(60))  # three lines each
    found = read(tmp_path, f"a,y\n\n{rows}", task="classification")
    assert found.classes == ("two\nlines, 0", "two\nlines, 1")
    message = refusal(tmp_path, f"a,y\n\n{rows}".replace('50,"', 'fifty,"'))
    assert message == ", line 153, column 'a': 'fifty' is not a finite number"
    assert ", line 153," in refusal(tmp_path, f"a,y\r\r{rows}".replace("\n", "\r").replace('50,"', 'fifty,"'))
    assert ", line 153," in refusal(
        tmp_path, f"a,y\n\n{rows}".replace("\n", "\r\n").replace('50,"', 'fifty,"')
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiters_quotes_marks_and_space(tmp_path: Path, delimiter, mark):
    header = delimiter.join(("one", ' "two, or; \t""2"""', " y "))
    rows = "".join(delimiter.join((f" {i} ", f'"{i}.5"', str(i / 7))) + "\r\n" for i in range(12))
    found = read(tmp_path, f"{mark}{header}\r\n{rows}")
    assert found.columns == ("one", 'two, or; \t"2"', "y")
    np.testing.assert_array_equal(found.x, [[i, float(f"{i}.5")] for i in range(12)])
    np.testing.assert_array_equal(found.y, [i / 7 for i in range(12)])


def test_a_delimiter_that_is_named_is_taken(tmp_path: Path):
    text = "price, in EUR;y\n" + "".join(f"{i}.5;{i / 7}\n" for i in range(12))
    assert read(tmp_path, text, delimiter="semicolon").columns == ("price, in EUR", "y")
    assert "has no column 'y': valid are price, in EUR;y" in refusal(tmp_path, text, delimiter="comma")
    text = "a;y\n" + "".join(f"{i},5;{i / 7}\n" for i in range(12))
    assert refusal(tmp_path, text) == ", line 2, column 'a': '0,5' is not a finite number (a decimal comma?)"


def test_numbers_are_those_of_float(tmp_path: Path):
    rng = np.random.default_rng(0)
    cells = [
        *map(repr, (rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500)).tolist()),
        "5e-324",
        "-0.0",
        "+.5",
        "5.",
        "١",
    ]
    found = read(tmp_path, "a,y\n" + "".join(f"{cell},{i / 7}\n" for i, cell in enumerate(cells)))
    np.testing.assert_array_equal(
        found.x[:, 0].view(np.int64), np.array(list(map(float, cells))).view(np.int64)
    )


@pytest.mark.parametrize("name", ["2", "1.50", "null", "größe", "a b", "???", "x=y", "[1]"])
def test_a_column_has_any_name_but_no_number(tmp_path: Path, name):
    assert read(tmp_path, lines(*REALS).replace(",y", f",{name}"), name).columns == ("a", "b", name)
    assert refusal(tmp_path, lines(*REALS), "2") == " has no column '2': valid are a, b, y"


def test_a_column_that_is_not_there(tmp_path: Path):
    assert refusal(tmp_path, lines(*REALS).replace(",y", ",quality"), "qualty") == (
        " has no column 'qualty' (did you mean 'quality'?): valid are a, b, quality"
    )
    many = ",".join(f"c{i}" for i in range(784))
    assert refusal(tmp_path, f"{many}\n").endswith("c18, c19 and 764 more")


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere\.csv: No such file"):
        load("csv", path=str(tmp_path / "nowhere.csv"), target="y")
    with pytest.raises(DataError, match=f"{tmp_path}: Is a directory"):
        load("csv", path=str(tmp_path), target="y")
    with pytest.raises(
        DataError, match=r"https:/example\.org/a\.csv: No such file"
    ):  # which pandas would fetch
        load("csv", path="https://example.org/a.csv", target="y")


def test_the_home_folder_is_filled_in(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    read(tmp_path, lines(*REALS))
    assert len(load("csv", path="~/my.csv", target="y").y) == 12
    with pytest.raises(DataError, match=r"~nobody-at-all/my\.csv: No such file"):
        load("csv", path="~nobody-at-all/my.csv", target="y")


# ---- nothing is guessed --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["?", "-", "3,14", "NA", "nan", "inf", "1_000"])
@pytest.mark.parametrize("task", ["auto", "regression"])
def test_one_word_among_400_numbers_makes_no_classes(tmp_path: Path, word, task):
    ys = [i / 7 for i in range(400)]
    message = refusal(tmp_path, lines(*ys[:200], f'"{word}"', *ys[200:]), task=task)
    assert message.startswith(f", line 202, column 'y': {word!r} is not a finite number")
    assert "decimal comma" in message if word == "3,14" else "decimal comma" not in message
    message = refusal(tmp_path, lines(*ys).replace("20,10.0,", f'20,"{word}",'))
    assert message.startswith(f", line 22, column 'b': {word!r} is not a finite number")


def test_one_number_among_words_is_no_word(tmp_path: Path):
    text = lines(*["red", "blue"] * 50, 7, *["red", "blue"] * 50)
    assert refusal(tmp_path, text).startswith(
        ", line 102, column 'y': '7' is a number among words: data.task=classif"
    )
    assert read(tmp_path, text, task="classification").classes == ("7", "blue", "red")


def test_words_for_what_is_missing_are_labels(tmp_path: Path):
    found = read(tmp_path, lines(*["NA", "None", "nan"] * 20))
    assert found.classes == ("NA", "None", "nan") and list(found.y[:3]) == [0, 1, 2]
    assert refusal(tmp_path, lines(*["NA", "None", ""] * 20)) == ", line 4, column 'y': the cell is empty"
    assert refusal(tmp_path, lines(*["NA", "None", " "] * 20)) == ", line 4, column 'y': the cell is empty"


def test_tasks_are_recognised(tmp_path: Path):
    numbers = read(tmp_path, lines(*REALS))
    assert numbers.task == "regression" and numbers.x.shape == (12, 2) and numbers.classes == ()
    words = read(tmp_path, lines(*["red", "blue", "green"] * 20))
    assert words.task == "classification" and words.classes == ("blue", "green", "red")
    np.testing.assert_array_equal(words.y[:3], [2, 0, 1])
    assert read(tmp_path, lines(*[10, 9] * 6)).classes == ("9", "10")
    assert read(tmp_path, lines(*[10, 9] * 6), task="regression").task == "regression"
    assert read(tmp_path, lines(*range(30))).task == "regression"
    assert read(tmp_path, lines(*[True, False] * 6)).classes == ("False", "True")


def test_classes_are_few(tmp_path: Path):
    """``auto`` takes a class per 20 rows; asked for, they may be up to a fifth of the rows, or 20."""
    words = [f"w{i % 20}" for i in range(400)]
    assert len(read(tmp_path, lines(*words)).classes) == 20
    assert refusal(tmp_path, lines(*words, "new")) == (
        ": column 'y' has 21 different values in 401 rows, too many classes to take it for a classification unasked: "
        "data.task=classification?"
    )
    assert len(read(tmp_path, lines(*words, "new"), task="classification").classes) == 21
    grades = [i % 5 for i in range(60)]
    assert refusal(tmp_path, lines(*grades)) == (
        ": column 'y' has 5 different values in 60 rows, too many classes to take it for a classification unasked: "
        "data.task=regression, or data.task=classification?"
    )
    assert read(tmp_path, lines(*grades), task="regression").classes == ()
    assert len(read(tmp_path, lines(*grades), task="classification").classes) == 5
    reals = lines(*(i / 7 for i in range(40)))
    assert refusal(tmp_path, reals, task="classification") == (
        ": column 'y' has 40 different values in 40 rows, too many classes: data.task=regression?"
    )


def test_numbers_as_classes_are_told_apart_exactly(tmp_path: Path):
    """3 and 3.0 are one; two whole numbers that are one in float64 are two."""
    found = read(tmp_path, lines(*["3", "3.0", "+3", "4"] * 5))
    assert found.classes == ("3", "4") and list(found.y[:4]) == [0, 0, 0, 1]
    long = ["9007199254740993", "9007199254740992"]
    assert read(tmp_path, lines(*long * 10)).classes == (long[1], long[0])


@pytest.mark.parametrize("task", ["auto", "regression", "classification"])
@pytest.mark.parametrize("spellings", [("x",), ("3",), ("0.5", "5e-1"), ("3", "3.0")])
def test_a_target_that_never_varies_is_refused(tmp_path: Path, task, spellings):
    message = refusal(tmp_path, lines(*spellings * 20), task=task)
    assert message.startswith(": column 'y' is ") and message.endswith(" in every row")

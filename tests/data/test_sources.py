"""Originals of UCI in small, scikit-learn's tables, and what can be wrong with a user's CSV."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smile.data import DataError, load, sources

AIRFOIL = "800\t0\t0.3048\t71.3\t0.00266337\t126.201\r\n1000\t0\t0.3048\t71.3\t0.00266337\t125.201\r\n"
HOUR_COLUMNS = (
    "instant,dteday,season,yr,mnth,hr,holiday,weekday,workingday,weathersit,temp,atemp,hum,windspeed,"
    "casual,registered,cnt"
)
HOUR = f"""{HOUR_COLUMNS}
1,2011-01-01,1,0,1,0,0,6,0,1,0.24,0.2879,0.81,0,3,13,16
2,2011-01-01,1,0,1,1,0,6,0,1,0.22,0.2727,0.8,0,8,32,40
"""


def sheet() -> bytes:
    """The energy table's layout: eight features, two targets, empty columns and an empty row."""
    names = [*(f"X{i}" for i in range(1, 9)), "Y1", "Y2", "Unnamed: 10"]
    rows = [[0.98, 514.5, 294, 110.25, 7, 2, 0, 0, 15.55, 21.33, None], [None] * 11]
    buffer = io.BytesIO()
    pd.DataFrame(rows, columns=names).to_excel(buffer, index=False)
    return buffer.getvalue()


AIRFOIL_ROWS = [[800, 0, 0.3048, 71.3, 0.00266337, 126.201], [1000, 0, 0.3048, 71.3, 0.00266337, 125.201]]
HOUR_ROWS = [
    [0, 1, 0, 0, 6, 0, 1, 0.24, 0.2879, 0.81, 0, 16],
    [0, 1, 1, 0, 6, 0, 1, 0.22, 0.2727, 0.8, 0, 40],
]
ORIGINALS = {
    "airfoil": (AIRFOIL.encode(), AIRFOIL_ROWS),
    "energy": (sheet(), [[0.98, 514.5, 294, 110.25, 7, 2, 0, 0, 15.55]]),
    "bikesharing": (HOUR.encode(), HOUR_ROWS),
}  # fmt: skip


@pytest.fixture(params=ORIGINALS)
def served(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small archive in the original's layout, under a URL."""
    name = request.param
    content, expected = ORIGINALS[name]
    with zipfile.ZipFile(tmp_path / "original.zip", "w") as archive:
        archive.writestr(sources.UCI[name].member, content)
    small = sources.UCI[name]._replace(
        url=(tmp_path / "original.zip").as_uri(), digest=sources._digest(np.array(expected, float))
    )
    monkeypatch.setitem(sources.UCI, name, small)
    return name


def test_an_original_is_converted_and_kept(served: str, tmp_path: Path):
    expected = np.array(ORIGINALS[served][1], float)
    table = load(served, cache=tmp_path / "cache")
    np.testing.assert_allclose(np.column_stack([table.x, table.y]), expected)
    (tmp_path / "original.zip").unlink()
    np.testing.assert_array_equal(load(served, cache=tmp_path / "cache").x, table.x)
    np.testing.assert_array_equal(load(served, directory=str(tmp_path / "cache")).x, table.x)


def test_other_numbers_are_refused_wherever_they_come_from(served: str, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sources.UCI, served, sources.UCI[served]._replace(digest="0" * 16))
    with pytest.raises(DataError, match="no longer holds"):
        load(served, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    (tmp_path / f"{served}.data").write_text("1 2 3\n")
    with pytest.raises(DataError, match=f"is not the {served} table of UCI .* expected 0000"):
        load(served, directory=str(tmp_path))
    (tmp_path / f"{served}.data").write_text("1 two 3\n")
    with pytest.raises(DataError, match="no table of numbers"):
        load(served, directory=str(tmp_path))


def test_without_network_the_option_is_named(served: str, tmp_path: Path):
    (tmp_path / "original.zip").write_bytes(b"half a zip")
    with pytest.raises(DataError, match=f"set data.dir to a folder that holds {served}.data"):
        load(served, cache=tmp_path / "cache")
    (tmp_path / "original.zip").unlink()
    with pytest.raises(DataError, match="cannot download file://"):
        load(served, cache=tmp_path / "cache")


@pytest.mark.skipif(
    "SMILE_UCI_DIR" not in os.environ, reason="SMILE_UCI_DIR names no folder of the real tables"
)
@pytest.mark.parametrize(
    ("name", "shape"), [("airfoil", (1503, 5)), ("energy", (768, 8)), ("bikesharing", (17379, 11))]
)
def test_the_real_tables(name: str, shape: tuple[int, int]):
    assert load(name, directory=os.environ["SMILE_UCI_DIR"]).x.shape == shape


def test_scikit_learn_tables():
    diabetes, digits = load("diabetes"), load("digits")
    assert diabetes.x.shape == (442, 10) and diabetes.task == "regression"
    assert digits.x.shape == (1797, 64) and digits.task == "classification" and len(digits.classes) == 10


# ---- CSV -----------------------------------------------------------------------------------------


def csv(tmp_path: Path, text: str, target: str = "y", task: str = "auto"):
    path = tmp_path / "my.csv"
    path.write_text(text)
    return load("csv", path=str(path), target=target, task=task)


def lines(*ys: object) -> str:
    return "a,b,y\n" + "".join(f"{i},{i * 0.5},{y}\n" for i, y in enumerate(ys))


def test_tasks_are_recognised(tmp_path: Path):
    numbers = csv(tmp_path, lines(*(i / 7 for i in range(12))))
    assert numbers.task == "regression" and numbers.x.shape == (12, 2) and numbers.classes == ()
    words = csv(tmp_path, lines(*(["red", "blue", "green"] * 4)))
    assert words.task == "classification" and words.classes == ("blue", "green", "red")
    np.testing.assert_array_equal(words.y[:3], [2, 0, 1])
    assert csv(tmp_path, lines(*([3, 5] * 6))).classes == ("3", "5")
    assert csv(tmp_path, lines(*([3, 5] * 6)), task="regression").task == "regression"
    assert csv(tmp_path, lines(*range(30))).task == "regression"
    assert csv(tmp_path, lines(*([True, False] * 6))).task == "classification"


@pytest.mark.parametrize(
    ("text", "target", "task", "message"),
    [
        (lines(*range(12)), "z", "auto", "no column 'z'.*valid are a, b, y"),
        (lines(*range(12)), "Y", "auto", "did you mean 'y'|valid are a, b, y"),
        (lines(*range(5)), "y", "auto", "has 5 rows: at least 10"),
        (lines(*range(12)).replace("3,1.5", "three,1.5"), "y", "auto", "line 5, column 'a': 'three' is not a finite"),
        (lines(*range(12)).replace("3,1.5", "3,"), "y", "auto", "line 5, column 'b': the cell is empty or NaN"),
        (lines(*range(12)).replace("3,1.5", "3,inf"), "y", "auto", "line 5, column 'b': inf is not a finite number"),
        (lines(*range(11), ""), "y", "auto", "line 13, column 'y': the cell is empty or NaN"),
        (lines(*["x"] * 12), "y", "auto", "single class 'x'"),
        (lines(*(i / 7 for i in range(40))), "y", "classification", "too many classes: data.task=regression"),
        (lines(*["x", "y"] * 6), "y", "regression", "'x' is not a finite number"),
        ("y\n" + "1.5\n" * 12, "y", "auto", "no column beside 'y'"),
        ("", "y", "auto", "no comma-separated table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_line_and_column(tmp_path: Path, text, target, task, message):
    with pytest.raises(DataError, match=message) as error:
        csv(tmp_path, text, target, task)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere\.csv: No such file"):
        load("csv", path=str(tmp_path / "nowhere.csv"), target="y")

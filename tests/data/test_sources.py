"""Originals of UCI in small, and scikit-learn's tables."""

from __future__ import annotations

import http.client
import io
import os
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smile.data import DataError, load, load_images, sources

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
    diabetes, digits, wine = load("diabetes"), load("digits"), load("wine")
    assert diabetes.x.shape == (442, 10) and diabetes.task == "regression"
    assert wine.x.shape == (178, 13) and wine.classes == ("class_0", "class_1", "class_2")
    assert digits.x.shape == (1797, 64) and digits.task == "classification" and len(digits.classes) == 10


def test_a_connection_that_breaks_off_is_said_in_one_line(served: str, tmp_path: Path, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise http.client.IncompleteRead(b"half", 100)

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Broken())
    with pytest.raises(
        DataError, match=r"cannot download file://.* \(IncompleteRead.*set data\.dir"
    ) as error:
        load(served, cache=tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_an_archive_that_is_damaged_inside_is_said_in_one_line(served: str, tmp_path: Path):
    archive = tmp_path / "original.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(sources.UCI[served].member, bytes(range(256)) * 20)
    content = bytearray(archive.read_bytes())
    content[60:64] = b"\xff\xff\xff\xff"
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"no longer holds .*: set data\.dir to a folder"):
        load(served, cache=tmp_path / "cache")


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    for name in ("energy", "cifar10"):
        with pytest.raises(DataError, match="no home folder for a cache of data: set XDG_CACHE_HOME"):
            load(name) if name in sources.UCI else load_images(name)

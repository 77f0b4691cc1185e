"""``smile-predict`` as a user calls it: a saved posterior, a table of new rows, a Parquet file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import smile
from smile.tools.predict import main

ROWS = 120


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[smile.Fit, Path]:
    """A regression on a number and a word, and the file that holds it."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=ROWS), "colour": rng.choice(["red", "green"], ROWS)})
    y = table["size"] + (table["colour"] == "red") + 0.1 * rng.normal(size=ROWS)
    fit = smile.BNN(smile.mlp(4)).fit(
        table, y, chains=2, num_steps=60, burn_in=20, thinning=10, seed=0, progress=False
    )
    path = tmp_path_factory.mktemp("fit") / "posterior.smile"
    fit.save(path)
    return fit, path


def test_the_file_holds_what_the_fit_predicts(
    fitted: tuple[smile.Fit, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, path = fitted
    monkeypatch.chdir(tmp_path)
    # a byte order mark, semicolons, another order of columns, and one that the fit does not know
    Path("new.csv").write_text("\ufeffid;colour;size\n1;red;0.5\n2;green;-1e-1\n", "utf-8")
    assert main([str(path), "new.csv", "--level", "0.5"]) == 0
    found = pd.read_parquet("predictions.parquet")
    rows = pd.DataFrame({"size": [0.5, -0.1], "colour": ["red", "green"]})
    (mean, sd), (lower, upper) = fit.predict(rows), fit.interval(rows, 0.5)
    np.testing.assert_array_equal(found.to_numpy().T, [mean, sd, lower, upper])
    rows.to_parquet("new.parquet")
    assert main([str(path), "new.parquet", "-o", "again.parquet", "--level", "0.5"]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("again.parquet"), found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour,size\nred,many\n", ["new.csv, line 2", "'size'", "'many' is not a finite number"]),
        ("colour,size\nred,inf\n", ["line 2", "'inf' is not a finite number"]),
        ("colour,size\nred,1_000\n", ["line 2", "'1_000' is not a finite number"]),
        ("colour\nred\n", ["no column 'size'"]),
        ("colour,size\nblue,1\n", ["'blue'", "'green', 'red'"]),
        ("colour,size\nred,\n", ["1 missing cell", "'size'"]),
    ],
)
def test_what_cannot_be_predicted_is_answered_in_one_line_and_writes_nothing(
    fitted: tuple[smile.Fit, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], text: str, words: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text(text)
    assert main([str(fitted[1]), "new.csv"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in ("smile-predict: ", *words)), line
    assert not Path("predictions.parquet").exists()


def test_a_file_that_is_no_posterior_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "posterior.smile"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert main([str(path), "new.csv"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line

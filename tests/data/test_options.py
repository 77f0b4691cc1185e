"""What is wrong with the options of data, or missing, is told by its name, and the wrong one first."""

from __future__ import annotations

from pathlib import Path

import pytest

from smile.config.identity import run_id
from smile.data import DATA, DataOptions, Dataset, load_dataset
from smile.options import ConfigError, MissingOptionError
from smile.preflight import compose

CSV = ("target=bnn", "data=csv")


def table(path: Path, rows: int = 60, target: str = "y") -> str:
    path.write_text(f"a,{target}\n" + "".join(f"{i},{i / 7}\n" for i in range(rows)))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "data.path: not given; valid: a path"),
        (
            ("data.path=a.csv",),
            "data.target: not given; valid: the name of a column, in quotes where YAML would",
        ),
        (("data.train=1.5",), "data.train: got 1.5; valid: a finite number > 0 and < 1"),
        (("data.train=0.95",), "data.validation: got 0.1; valid: a number < 1 - data.train=0.05"),
        (
            ("data.task=regresion",),
            "data.task: got 'regresion'; valid: auto, regression, classification (did you",
        ),
        (("data.delimiter=colon",), "data.delimiter: got 'colon'; valid: auto, comma, semicolon, tab"),
        (
            ("data.path=a.csv", "data.target=y", "data.train=???"),
            "data.train: not given; valid: a finite number > 0 and < 1",
        ),
        (
            ("data.path=a.csv", "data.target=y", "data.task=???"),
            "data.task: not given; valid: auto, regression, classification",
        ),
        (("data.path=",), "data.path: got ''; valid: a path"),
        (("data.path=a.csv", "data.target=null"), "data.target: got null; valid: the name of a column"),
        (("data.pth=a.csv",), "data.pth: no such option of data=csv; valid: "),
        (("seed=???", "data.path=a.csv", "data.target=y"), "seed: not given; valid: a whole number >= 0"),
    ],
)
def test_a_missing_value_is_told_after_a_wrong_one(arguments, message):
    with pytest.raises(ConfigError) as error:
        compose([*CSV, *arguments])
    assert str(error.value).startswith(message)


def test_a_missing_value_is_refused_in_python_too():
    with pytest.raises(MissingOptionError, match=r"data\.path: not given"):
        DATA.make("csv", path="???", target="y", task="auto", train=0.7, validation=0.1)


def test_a_new_option_leaves_run_ids_as_they_were():
    before = [
        *CSV,
        "data.path=nowhere.csv",
        "data.target=y",
        "sampler.preconditioner=noise_scale",
        "step_size=1e-3",
        "target.batch_size=256",
    ]
    assert run_id(compose(before)) == "87064920e1e1"
    assert run_id(compose([*before, "data.delimiter=tab"])) != "87064920e1e1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data.target=z",), "data.target: got 'z'; valid: {} has no column 'z': valid are a, y"),
        (
            ("data.task=classification",),
            "data.task: got 'classification'; valid: {}: column 'y' has 60 different",
        ),
        (
            ("data.target=a", "data.train=0.01"),
            "data.train: got 0.01; valid: a: 60 rows make train, validation and",
        ),
        (("data.path=no.csv",), "data.path: got 'no.csv'; valid: no.csv: No such file or directory"),
    ],
)
def test_the_option_that_is_wrong_is_blamed(tmp_path: Path, arguments, message):
    path = table(tmp_path / "a.csv")
    config = compose([*CSV, f"data.path={path}", "data.target=y", *arguments])
    with pytest.raises(ConfigError) as error:
        load_dataset(config.data, 0)
    assert str(error.value).startswith(message.format(path))


def test_a_file_that_changes_after_the_command_started_is_not_read(tmp_path: Path):
    path = tmp_path / "a.csv"
    config = compose([*CSV, f"data.path={table(path)}", "data.target=y"])
    table(path, rows=61)
    with pytest.raises(
        ConfigError, match=r"data\.path: got .* its contents are no longer those that the command"
    ):
        load_dataset(config.data, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data=energy", "data.dir=nowhere"), r"data\.dir: got 'nowhere'; valid: a folder that exists"),
        (("data=cifar10", "data.dir=nowhere"), r"data\.dir: got 'nowhere'; valid: a folder that exists"),
    ],
)
def test_a_missing_folder_shows_without_a_run(tmp_path: Path, monkeypatch, arguments, message):
    """Tables of one's own are at hand, and read by the check of a whole command (tests/sweep/test_plan.py)."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        compose(["target=bnn", *arguments]).data.check()
    compose(["target=bnn", "data=energy"]).data.check()  # which a download would fill


# ---- other packages ------------------------------------------------------------------------------


class Foreign(DataOptions):
    """A choice that another package registers, with an error of its author's."""

    def read(self, seed: int) -> Dataset:
        if self.name == "exits":
            raise SystemExit(0)
        if self.name == "misreads":
            return {}["rows"]
        return [1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "exits",
            rf"data: got 'exits'; valid: data that can be read; SystemExit: 0 \(.*{Path(__file__).name}, line \d+\)",
        ),
        ("misreads", rf"data that can be read; KeyError: 'rows' \(.*{Path(__file__).name}, line \d+\)"),
        ("lists", "a choice that reads a Dataset, not list"),
    ],
)
def test_what_other_packages_raise_is_one_line_with_the_place(name, message):
    with pytest.raises(ConfigError, match=message):
        load_dataset(Foreign(name=name), 0)

"""Paths and names of columns work as people type them; what Hydra gives a meaning keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from smile.data import load_dataset
from smile.options import ConfigError
from smile.preflight import compose, compose_jobs, parse_arguments, quote_functions
from smile.quoting import quoted

# A comma divides the values of a sweep; a quote in front, brackets and a backslash may be Hydra's.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=",'\"()\\")).filter(
    lambda text: text.strip().lower() != "null"
)


@given(TEXTS)
def test_any_text_comes_out_as_it_was_typed(text: str) -> None:
    override = OverridesParser.create().parse_override(quoted(f"data.target={text}"))
    assert not override.is_sweep_override()
    assert override.value() == text


@given(st.text(st.sampled_from("a'\\ ü~()"), min_size=1))
def test_quotes_and_backslashes_come_out_where_hydra_cannot_read_them(text: str) -> None:
    override = OverridesParser.create().parse_override(quoted(f"data.path=ü{text}ü"))
    assert override.value() == f"ü{text}ü"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("data.path=wine.csv", "data.path=wine.csv"),
        ("data.path=null", "data.path=null"),
        ("data.target=a,b", "data.target=a,b"),
        ("data.target=2,größe", "data.target='2','größe'"),
        ("data.target='a,b'", "data.target='a,b'"),
        ('data.target="2"', 'data.target="2"'),
        ("data.target=choice(a,b)", "data.target=choice(a,b)"),
        ("data.path=${oc.env:HOME}/a.csv", "data.path=${oc.env:HOME}/a.csv"),
        ("data.train=~0.5", "data.train=~0.5"),
        ("seed=2", "seed=2"),
        ("step_size=logspace(1e-6,1e-2,9)", "step_size='logspace(1e-6,1e-2,9)'"),
    ],
)
def test_what_has_a_meaning_keeps_it(given: str, expected: str) -> None:
    assert quote_functions([given]) == [expected]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("größe.csv", "2"),
        ("~/x.csv", "größe"),
        ("my data (1).csv", "1e3"),
        ("a=b.csv", "01"),
        ("it's.csv", "true"),
        ("#1!.csv", "[y]"),
        ("2024", "nan"),
        ("{a}.csv", "y z"),
        ("a b/c;d.csv", "x=y"),
        ("日本.csv", "50%"),
    ],
)
def test_paths_and_columns_simply_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / path.removeprefix("~/")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"a,{target}\n" + "".join(f"{i},{i / 7}\n" for i in range(20)))
    arguments = [
        "target=bnn",
        "data=csv",
        f"data.path={path}",
        f"data.target={target}",
        "results_dir=~/größe",
    ]
    config = compose(arguments)
    assert config.results_dir == "~/größe" and config.data is not None  # no config names the home folder
    assert len(load_dataset(config.data, 0).train.y) == 14
    swept = compose_jobs(parse_arguments(quote_functions(["-m", *arguments, "seed=1,2"])))
    assert [job.data for job in swept] == [config.data] * 2


def test_a_sweep_over_columns(tmp_path: Path) -> None:
    arguments = ["-m", "target=bnn", "data=csv", f"data.path={tmp_path}/a.csv", "data.target=größe,2,y"]
    jobs = compose_jobs(parse_arguments(quote_functions(arguments)))
    assert [job.data.target for job in jobs] == ["größe", "2", "y"]
    with pytest.raises(ConfigError, match=r"data\.target: got .*\"'a,b'\" for a text, or -m for a sweep"):
        compose(arguments[1:])

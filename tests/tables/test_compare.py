"""``smile-compare``, and tables of the user's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_table import SPEC, run_rows

from smile.runs.compact import compact
from smile.tables.reading import load_spec, table_names
from smile.tools.compare import main
from smile.tracking import write_metrics
from smile.tracking.config_file import write_config


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/small/smoke"
    for run_id, friction, bias in (("a", 10.0, 0.5), ("b", 1.0, 0.25)):
        rows = run_rows({0.1: [bias, bias], 0.2: [9.0, 9.0]}, run_id=run_id, sampler="sghmc")
        write_metrics(folder / "runs" / run_id / "metrics.parquet", rows)
        config = f"sampler:\n  name: sghmc\n  friction: {friction}\nseed: 0\nresults_dir: {run_id}\n"
        write_config(folder / "runs" / run_id, config)
    return folder


def test_differing_options_beside_metrics(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["small", "-o", "out.csv"]) == 0
    found = capsys.readouterr().out
    header, _, first, second, *_ = found.splitlines()
    assert [c.strip() for c in header.split("|")[1:5]] == ["run", "sampler.friction", "step size", "bias"]
    assert first.split("|")[1].strip() == "b" and "← best" in first and "← best" not in second
    table = pd.read_csv("out.csv").set_index("run_id")
    assert table["bias"].to_dict() == {"b": 0.25, "a": 0.5} and set(table["step_size"]) == {0.1}
    compact(runs)
    for arguments in (["small"], [str(runs)], [str(runs / "runs/a"), str(runs / "runs/b")]):
        assert main([*arguments, "-o", "out.csv"]) == 0 and capsys.readouterr().out == found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nothing"], "in results: small"), (["small", "--metrics", "lpd"], "did you mean lppd")],
)
def test_wrong_arguments_are_answered_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_table_of_ones_own_is_found_in_the_working_directory(runs: Path) -> None:
    folder = Path("experiments/mine")
    folder.mkdir(parents=True)
    folder.joinpath("table.yaml").write_text(SPEC.partition("published:")[0])
    assert "mine" in table_names() and "table1" in table_names()
    assert load_spec("mine").title == "A table"

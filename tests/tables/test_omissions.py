"""Runs that no cell of a table shows are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_table import SPEC, run_rows, write_spec

from smile.tables import build_table
from smile.tables.cli import main
from smile.tables.reading import read_spec
from smile.tables.spec import TableSpec
from smile.tracking.parquet import write_metrics


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return read_spec(write_spec(tmp_path))


def write_runs(directory: Path, runs: list[dict[str, object]]) -> Path:
    """One run for each set of keywords of ``run_rows``."""
    for number, keywords in enumerate(runs):
        run_id = f"r{number}"
        rows = run_rows({0.1: [1.0, 2.0]}, **{"run_id": run_id, **keywords})
        write_metrics(directory / f"runs/{run_id}/metrics.parquet", rows)
    return directory


def table_text(spec: TableSpec, directory: Path) -> str:
    build_table(spec, directory, "paper")
    return (directory / "table.md").read_text()


COMPLETE: list[dict[str, object]] = [
    {"noise": noise, "sampler": sampler}
    for noise in ("isotropic", "spatially_varied")
    for sampler in ("smile", "psmile")
] + [{"noise": "none", "sampler": "mclmc"}]


def test_a_complete_table_omits_nothing(spec: TableSpec, tmp_path: Path) -> None:
    assert build_table(spec, write_runs(tmp_path / "results", COMPLETE), "paper").omissions == []


def test_runs_of_values_that_the_table_does_not_list(spec: TableSpec, tmp_path: Path) -> None:
    runs = [
        *COMPLETE,
        {"sampler": "sgld"},
        {"sampler": "sgld", "noise": "spatially_varied"},
        {"noise": "student"},
        {"sampler": "sghmc", "noise": "student"},
    ]
    text = table_text(spec, write_runs(tmp_path / "results", runs))
    assert (
        "- Not shown, as the table does not list them: sampler sgld (2 runs); noise student (1 run); "
        "noise student, sampler sghmc (1 run).\n"
    ) in text


def test_baseline_runs_of_values_that_the_table_does_not_list(spec: TableSpec, tmp_path: Path) -> None:
    runs = [*COMPLETE, {"sampler": "mclmc", "target": "funnel", "noise": "none"}]
    text = table_text(spec, write_runs(tmp_path / "results", runs))
    assert "- Not shown, as the table does not list them: target funnel (1 run).\n" in text


def test_only_unlisted_runs_are_an_error(spec: TableSpec, tmp_path: Path) -> None:
    directory = write_runs(tmp_path / "results", [{"sampler": "sgld", "variant": ""}])
    with pytest.raises(
        ValueError, match=r"results has no run that the table small lists: .*sampler sgld \(1 run\)"
    ):
        build_table(spec, directory, "paper")


def test_an_empty_value_has_a_name(tmp_path: Path) -> None:
    text = "\n".join(
        line for line in SPEC.splitlines() if not line.startswith(("published", "baseline", "claims"))
    )
    text = text.replace("columns: sampler", "columns: variant").replace("  sampler: {", "  variant: {")
    spec = read_spec(write_spec(tmp_path, text))
    text = table_text(spec, write_runs(tmp_path / "results", [{"variant": "smile"}, {"variant": ""}]))
    assert "- Not shown, as the table does not list them: variant '' (1 run).\n" in text


def test_what_has_no_run(spec: TableSpec, tmp_path: Path) -> None:
    directory = write_runs(tmp_path / "results", [COMPLETE[0], COMPLETE[2], *COMPLETE[4:]])
    assert "- Not run: pSMILE-naive.\n" in table_text(spec, directory)
    directory = write_runs(tmp_path / "other", [*COMPLETE[:3], *COMPLETE[4:]])
    assert "- No run of 1 of 4 cells: ICG, spatially varied: pSMILE-naive.\n" in table_text(spec, directory)
    directory = write_runs(tmp_path / "third", COMPLETE[:4])
    assert "- Not run: full batch.\n" in table_text(spec, directory)


def test_metrics_that_runs_lack(spec: TableSpec, tmp_path: Path) -> None:
    directory = tmp_path / "results"
    write_runs(directory, [{**run, "metrics": ("bias",)} for run in COMPLETE])
    text = table_text(spec, directory)
    assert "- No run has Wasserstein.\n" in text and "5 runs lack" not in text
    assert "## Wasserstein" not in text
    write_runs(directory, [*COMPLETE[:4], {**COMPLETE[4], "metrics": ("bias",)}])
    text = table_text(spec, directory)
    assert "- 1 of 5 runs lack Wasserstein: full batch.\n" in text
    assert "## Wasserstein" in text


def test_the_first_metric_may_be_the_one_that_all_lack(spec: TableSpec, tmp_path: Path) -> None:
    directory = write_runs(tmp_path / "results", [{**run, "metrics": ("wasserstein",)} for run in COMPLETE])
    assert "- No run has bias.\n" in table_text(spec, directory)
    assert (directory / "figure.png").is_file()
    directory = write_runs(tmp_path / "others", [{**run, "metrics": ("ess_min",)} for run in COMPLETE])
    with pytest.raises(ValueError, match="has no run with a metric of the table small: bias, wasserstein"):
        build_table(spec, directory, "paper")


def test_older_runs_that_are_another_configuration(spec: TableSpec, tmp_path: Path) -> None:
    """A cell has one configuration; which one is left out where there are several is not for a date to settle."""
    runs = [
        *COMPLETE,
        {"created": "2024-01-01"},
        {"created": "2024-01-01", "tuner": "cosine", "num_steps": 20},
    ]
    text = table_text(spec, write_runs(tmp_path / "results", runs))
    assert "- 2 older runs of the same cells are not shown.\n" in text
    differences = "tuner cosine instead of none, num_steps 20 instead of 10"
    assert f"- Not shown, as a newer run has their cell: {differences} (1 run).\n" in text


def test_two_runs_of_a_baseline_are_not_pooled(spec: TableSpec, tmp_path: Path) -> None:
    """A baseline is one configuration for all values of the keys it does not have."""
    other = {**COMPLETE[-1], "variant": "fixed L", "noise": "isotropic", "created": "2024-01-01"}
    text = table_text(spec, write_runs(tmp_path / "results", [*COMPLETE, other]))
    differences = "variant fixed L instead of '', noise isotropic instead of none"
    assert f"- Not shown, as a newer run has their cell: {differences} (1 run).\n" in text
    assert "5 runs." in text


def test_the_console_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(tmp_path / "table1/quick", [{}, {"sampler": "sgfs"}])
    assert main(["table1", "--results", str(tmp_path)]) == 0
    assert "Not shown, as the table does not list them: sampler sgfs (1 run)." in capsys.readouterr().out

"""Tables against numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_table import SPEC, run_rows, write_spec

from smile.quantities import metric
from smile.tables import build_table, load_spec, table_names
from smile.tables.cells import collect, newest_runs, select, tabulate
from smile.tables.cli import main
from smile.tables.grid import Grid, arrange
from smile.tables.reading import SpecError, read_spec
from smile.tables.spec import TableSpec
from smile.tables.summary import summary_lines
from smile.tracking.parquet import write_metrics

NAN = math.nan


BIAS = metric("bias")


def bias(values: dict[float, list[float]]) -> Grid:
    return arrange(pd.DataFrame(run_rows(values, metrics=("bias",))))


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return read_spec(write_spec(tmp_path))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three of four cells, the baseline with one adapted step size for each replication, and an outdated run."""
    directory = tmp_path / "results/small"
    adapted: dict[str, Any] = {"run_id": "d", "sampler": "mclmc", "noise": "none"}
    runs = {
        "a": run_rows({0.1: [3.0, 5.0], 0.2: [0.5, 1.5], 0.4: [9.0, 9.0]}, run_id="a"),
        "b": run_rows({0.1: [1.0, 1.0], 0.2: [2.0, 2.0]}, run_id="b", sampler="psmile"),
        "c": run_rows({0.1: [NAN, 1.0], 0.2: [2.0, math.inf]}, run_id="c", noise="spatially_varied"),
        "d": run_rows({0.3: [0.4]}, **adapted) + run_rows({0.5: [0.6]}, first=1, **adapted),
        "old": run_rows({0.1: [7.0, 7.0]}, run_id="old", created="2024-01-01"),
    }  # fmt: skip
    for name, rows in runs.items():
        write_metrics(directory / f"runs/{name}/metrics.parquet", rows)
    return directory


@pytest.mark.parametrize(("best", "edge"), [(0.1, "low"), (0.2, ""), (0.4, "high")])
def test_best_and_edge(best: float, edge: str) -> None:
    cell = select(
        bias({step: [1.0, 2.0, 3.0] if step == best else [9.0] * 3 for step in (0.1, 0.2, 0.4)}), "all", BIAS
    )
    assert cell is not None
    assert (cell.step_size, cell.edge, cell.replications, cell.ineligible) == (best, edge, 3, 0)
    assert cell.mean == pytest.approx(2.0)
    assert cell.error == pytest.approx(1 / math.sqrt(3))


def test_step_size_with_a_diverged_replication_is_not_eligible() -> None:
    cell = select(bias({0.1: [5.0, 5.0], 0.2: [0.1, NAN], 0.4: [0.1, math.inf]}), "all", BIAS)
    assert cell is not None
    assert (cell.step_size, cell.mean, cell.edge, cell.ineligible) == (0.1, 5.0, "low", 2)


def test_all_diverged_has_no_number() -> None:
    cell = select(bias({0.1: [NAN, 1.0], 0.2: [NAN, NAN]}), "all", BIAS)
    assert cell is not None
    assert math.isnan(cell.mean)
    assert math.isnan(cell.step_size)
    assert cell.ineligible == 2


def test_honest_chooses_on_the_first_half_and_reports_the_other() -> None:
    # ceil(5 / 2) = 3 choose 0.1; all five would choose 0.2
    rows = bias({0.1: [1.0, 1.0, 1.0, 8.0, 10.0], 0.2: [2.0, 2.0, 2.0, 0.0, 0.0]})
    honest, everything = select(rows, "honest", BIAS), select(rows, "all", BIAS)
    assert honest is not None
    assert everything is not None
    assert (honest.step_size, honest.mean, honest.error, honest.replications) == (0.1, 9.0, 1.0, 2)
    assert everything.step_size == 0.2


def test_honest_reports_a_divergence_it_did_not_see() -> None:
    cell = select(bias({0.1: [1.0, NAN], 0.2: [2.0, 2.0]}), "honest", BIAS)
    assert cell is not None
    assert (cell.step_size, cell.ineligible) == (0.1, 0)
    assert math.isnan(cell.mean)


def test_honest_needs_two_replications() -> None:
    assert select(bias({0.1: [1.0]}), "honest", BIAS) is None


def test_tabulate_beside_print(spec: TableSpec, results: Path) -> None:
    frame = pd.concat(pd.read_parquet(path) for path in results.glob("runs/*/metrics.parquet"))
    runs, older = newest_runs(frame.drop_duplicates("run_id"), spec)
    cells = tabulate(collect(frame[frame["run_id"].isin(runs["run_id"])], spec), spec, "bias", "all")
    assert list(older["run_id"]) == ["old"]
    isotropic, varied = ("icg", "isotropic"), ("icg", "spatially_varied")
    assert set(cells) == {
        (isotropic, "smile"),
        (isotropic, "psmile"),
        (varied, "smile"),
        *itertools.product((isotropic, varied), ["baseline"]),
    }
    assert cells[isotropic, "smile"].ratio == pytest.approx(1.0 / 0.5)
    assert cells[isotropic, "psmile"].ratio == pytest.approx(1.0 / 3.0)
    assert (cells[isotropic, "psmile"].published, cells[isotropic, "psmile"].published_error) == (3.0, 0.2)
    baseline = cells[varied, "baseline"]
    assert (baseline.mean, baseline.step_size, baseline.published) == pytest.approx((0.5, 0.4, 0.4))
    assert math.isnan(cells[varied, "smile"].published)
    assert summary_lines(spec, cells)[:2] == [
        "3 of 4 cells.",
        "1 of 2 cells lie within a factor 2 of print: SMILE-naive 1 of 1, pSMILE-naive 0 of 1.",
    ]


def test_files(spec: TableSpec, results: Path) -> None:
    report = build_table(spec, results, "paper")
    assert [path.name for path in report.paths] == [
        "table.md",
        "table.tex",
        "table.csv",
        "figure.png",
        "figure.pdf",
    ]
    text = (results / "table.md").read_text()
    assert "| ICG | isotropic | **1.000 ± 0.500** @ 2.0e-1<br>print 0.500 ± 0.100, 2.0×" in text
    assert "@ 1.0e-1↓<br>print 3.000 ± 0.200, 0.33×" in text
    assert "| ICG | spatially varied | diverged ° | — | 0.500 ± 0.100 @ 4.0e-1" in text
    assert "- 1 older run of the same cells is not shown.\n" in text
    assert "| `psmile < smile where noise in [isotropic]` | bias | means: holds in 0 of 1 | " in text
    tex = (results / "table.tex").read_text()
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 4
    assert tex.count("{") == tex.count("}")
    assert re.search(r"[^\x00-\x7f]", tex) is None
    csv = pd.read_csv(results / "table.csv")
    assert len(csv) == 2 * 2 * 2 * 3
    assert set(csv["selection"]) == {"all", "honest"}
    assert (results / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_step_size_is_chosen_on_validation_data_and_test_data_reported() -> None:
    """The highest validation LPPD lies at 0.1, the highest test LPPD at 0.2."""
    test = run_rows({0.1: [1.0, 2.0], 0.2: [5.0, 6.0], 0.4: [NAN, 9.0]}, metrics=["lppd"])
    validation = run_rows({0.1: [4.0, 4.0], 0.2: [3.0, 3.0], 0.4: [9.0, NAN]}, metrics=["validation_lppd"])
    cell = select(arrange(pd.DataFrame(test + validation)), "validation", metric("lppd"))
    assert cell is not None
    assert (cell.mean, cell.step_size, cell.edge, cell.ineligible) == (1.5, 0.1, "low", 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "psmile < smile",
            "pmsile < smile",
            "compares 'pmsile' with 'smile': valid are two of baseline, psmile, smile, or two values of target",
        ),
        ("noise in [isotropic]", "noise in [iso]", "names noise iso: valid are isotropic, spatially_varied"),
        ("title:", "titel:", "titel"),
        ("published.csv", "nowhere.csv", "nowhere.csv"),
        ("columns: sampler", "columns: tuner", "no labels for tuner"),
        (
            "[target, noise, sampler]",
            "[data]",
            "published.csv has no column data: it has target, noise, sampler, ",
        ),
        (
            "keys: [target], published: baseline.csv",
            "keys: [sampler]",
            "baseline has the keys sampler: valid are target, noise",
        ),
        ("baselines: {baseline:", "baselines: {smile:", "smile names a column and a baseline"),
        ("bias: bias", "bais: bias", r"no metric 'bais' \(did you mean bias\?\): valid are bias, "),
        ("bias: bias", "num_resets: resets", "no value of metric 'num_resets' is better than another"),
        (
            "bias: bias",
            "bias: {highest: true}",
            "metric bias: highest cannot be changed: valid are label, chosen_by",
        ),
        ("bias: bias", "bias: {chosen_by: wasserstien}", r"'wasserstien' \(did you mean wasserstein\?\)"),
    ],
)
def test_wrong_specs(spec: TableSpec, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "small/table.yaml"
    path.write_text(SPEC.replace(old, new, 1))
    with pytest.raises(SpecError, match=message) as error:
        read_spec(path)
    assert "\n" not in str(error.value)


def test_a_block_is_a_table_of_its_own(spec: TableSpec, results: Path) -> None:
    """What has no runs at all is named, and takes no room in the table and the figure."""
    (results / "runs/c/metrics.parquet").unlink()
    report = build_table(spec, results, "paper")
    text = (results / "table.md").read_text()
    assert "- Not run: spatially varied." in text and "2 of 2 cells" in text
    assert report.spec.row_values() == [("icg", "isotropic")]


@pytest.mark.parametrize("name", table_names())
def test_committed_specs(name: str) -> None:
    spec = load_spec(name)
    of_the_paper = (
        name.startswith("table1") and name != "table1_contrast_friction"
    )  # which print does not have
    assert (spec.published is not None) == of_the_paper
    if spec.published is None:
        return
    printed = spec.published.values.index
    for key in printed.names:
        assert set(printed.get_level_values(key)) <= set(spec.labels[key])
    assert len(printed) == math.prod(len(level) for level in printed.levels)  # every combination is printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tabel1"],
            "no table 'tabel1' (did you mean table1?): valid are ablation_adaptation, ",
        ),
        (["table1"], "smile +experiment=table1 scale=quick"),
        (["table1", "--scale", "smoke"], "smile +experiment=table1 scale=smoke"),
        (["table1", "--scale", "huge"], "invalid choice: 'huge'"),
        ([], "which table? valid are ablation_adaptation, "),
    ],
)
def test_command_line_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status = main([*arguments, "--results", str(tmp_path)])
    except SystemExit as exit_:
        status = exit_.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


def test_command_line_takes_the_largest_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scale in ("smoke", "quick"):
        write_metrics(
            tmp_path / f"table1/{scale}/runs/r/metrics.parquet", run_rows({0.1: [1.0, 2.0], 0.2: [2.0, 3.0]})
        )
    assert main(["table1", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "table1/quick/table.md") in shown
    assert "psmile < smile where noise in [diagonal, correlated, spatially_varied]: no pair of runs." in shown
    assert not (tmp_path / "table1/smoke/table.md").exists()
    assert main(["--list"]) == 0
    assert "table1_rotations" in capsys.readouterr().out


def test_a_low_metric_whose_step_size_a_high_one_chooses(spec: TableSpec, tmp_path: Path):
    """The error is lowest at a step size that the validation density, the highest of which is the best, refuses."""
    text = SPEC.replace("metrics: [bias: bias, wasserstein: Wasserstein]", "metrics: [lppd, ece]")
    text = "\n".join(
        line for line in text.splitlines() if not line.startswith(("published", "baseline", "claims"))
    )
    (tmp_path / "small" / "table.yaml").write_text(text)
    chosen = read_spec(tmp_path / "small" / "table.yaml")
    rows = run_rows({0.1: [0.0], 0.2: [0.0]})
    values = {"lppd": (-2.0, -1.0), "validation_lppd": (-2.1, -1.1), "ece": (0.1, 0.3)}
    frame = pd.DataFrame(
        [
            {**row, "metric": name, "value": pair[row["step_size"] == 0.2]}
            for name, pair in values.items()
            for row in rows
            if row["metric"] == "bias"
        ]
    ).assign(method="smile none")
    cell = tabulate(collect(frame, chosen), chosen, "ece", "validation")[("icg", "isotropic"), "smile"]
    assert (cell.step_size, cell.mean) == (0.2, 0.3)


def test_intervals_beside_print(spec: TableSpec, tmp_path: Path) -> None:
    directory = tmp_path / "results"
    values = {"smile": [0.4, 0.5, 0.6, 0.7], "psmile": [1.0, 1.0, 1.0, NAN]}
    for sampler, row in values.items():
        rows = run_rows({0.1: row, 0.2: [9.0] * 4}, run_id=sampler, sampler=sampler)
        write_metrics(directory / f"runs/{sampler}/metrics.parquet", rows)
    build_table(spec, directory, "paper")
    text = (directory / "table.md").read_text()
    assert "**0.550 ± 0.065** @ 1.0e-1↓<br>[0.433, 0.667] agrees<br>print 0.500 ± 0.100, 1.1×" in text
    assert "9.000 ± 0.000 @ 2.0e-1↑°<br>[1.000, 9.000] agrees<br>print 3.000 ± 0.200, 3.0×" in text
    assert (
        "- 2 of 2 cells agree with print by their interval: SMILE-naive 1 of 1, pSMILE-naive 1 of 1.\n"
        in text
    )
    assert r"\\{[}0.433, 0.667{]} agrees\\print" in (directory / "table.tex").read_text()
    csv = pd.read_csv(directory / "table.csv").set_index(["metric", "selection", "noise", "sampler"])
    assert csv.loc[("bias", "all", "isotropic", "smile"), "agrees"] == True  # noqa: E712
    assert csv.loc[("bias", "all", "isotropic", "psmile"), "high"] == 9.0
    assert "draws" not in csv.columns


def test_cells_whose_chains_have_not_mixed_are_marked(spec: TableSpec, tmp_path: Path) -> None:
    """By the diagnostics of the reported step size alone; runs without them have no mark."""
    directory = tmp_path / "results"

    def write(run_id: str, diagnostics: dict[str, tuple[float, float]], **facts: Any) -> None:
        rows = run_rows({0.1: [1.0, 2.0], 0.2: [5.0, 6.0]}, run_id=run_id, **facts)
        for name, (at_best, elsewhere) in diagnostics.items():
            values = {0.1: [at_best] * 2, 0.2: [elsewhere] * 2}
            rows += run_rows(values, run_id=run_id, metrics=[name], **facts)
        write_metrics(directory / f"runs/{run_id}/metrics.parquet", rows)

    write("a", {"rhat_max": (1.06, 1.0), "ess_min": (500.0, 1.0)})
    write("b", {"rhat_max": (1.04, 3.0), "ess_min": (101.0, 1.0)}, sampler="psmile")
    write("c", {"ess_min": (99.0, 500.0), "rhat_max": (NAN, 1.0)}, noise="spatially_varied")
    write("d", {}, noise="spatially_varied", sampler="psmile")
    report = build_table(spec, directory, "paper")
    cells = report.tables["bias", "all"]
    marked = {key for key, cell in cells.items() if cell.is_doubtful}
    assert marked == {(("icg", "isotropic"), "smile"), (("icg", "spatially_varied"), "smile")}
    text = (directory / "table.md").read_text()
    assert "**1.500 ± 0.500** @ 1.0e-1↓†" in text and "†: R-hat above 1.05" in text
    assert "- 2 of 3 cells are marked †: their chains have not mixed.\n" in text
    assert r"1.0e-1$\downarrow$$^\dagger$" in (directory / "table.tex").read_text()
    csv = pd.read_csv(directory / "table.csv").set_index(["metric", "selection", "noise", "sampler"])
    assert csv.loc[("bias", "all", "isotropic", "smile"), "rhat_max"] == pytest.approx(1.06)


def test_the_worst_prediction_of_a_network_marks_nothing() -> None:
    rows = run_rows({0.1: [1.0, 2.0]}, metrics=["lppd", "validation_lppd", "rhat_max"])
    cell = select(arrange(pd.DataFrame(rows)), "validation", metric("lppd"))
    assert cell is not None and math.isnan(cell.rhat_max) and not cell.is_doubtful


def test_baselines_beside_each_other(tmp_path: Path) -> None:
    """Each has its runs, which are of no row and column themselves, and its printed values where it has any."""
    text = SPEC.replace(
        "baselines: {", "baselines: {grid: {label: grid, where: {noise: none}, keys: [target]}, ", 1
    )
    spec = read_spec(write_spec(tmp_path, text.replace("of baseline", "of grid")))
    directory = tmp_path / "results"
    runs: dict[str, dict[str, Any]] = {
        "a": {}, "b": {"noise": "none"}, "c": {"noise": "isotropic", "sampler": "mclmc"},
    }  # fmt: skip
    for number, (run_id, facts) in enumerate(runs.items()):
        rows = run_rows({0.1: [1.0 + number] * 4}, run_id=run_id, **facts)
        write_metrics(directory / f"runs/{run_id}/metrics.parquet", rows)
    report = build_table(spec, directory, "paper")
    means = {key: cell.mean for key, cell in report.tables["bias", "all"].items()}
    row = ("icg", "isotropic")
    assert means == {(row, "smile"): 1.0, (row, "grid"): 2.0, (row, "baseline"): 3.0}
    report_text = (directory / "table.md").read_text()
    assert "| target | noise | SMILE-naive | pSMILE-naive | grid | full batch |" in report_text
    assert "| 2.000 ± 0.000 @ 1.0e-1<br>[2.000, 2.000] | 3.000 ± 0.000" in report_text
    assert (
        "| smile ≈ grid | ICG, isotropic | 1.000 ± 0.000 | 2.000 ± 0.000 | holds | holds | — |" in report_text
    )

"""Values against a key of the rows, cells that cannot have a run, and metrics that are best at an ideal value."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_table import run_rows, write_spec

from smile.tables import build_table
from smile.tables.cells import collect, tabulate
from smile.tables.layout import best_of_row
from smile.tables.reading import SpecError, read_spec
from smile.tables.trend import draw_trend
from smile.tracking.parquet import read_metrics, write_metrics

SPEC = """
title: A table
commands: ["smile +experiment=small scale={scale}"]
rows: [target, variant]
columns: sampler
panels: [target]
figure: sd_ratio_median
against: variant
labels:
  target: {icg: ICG, funnel: Funnel}
  variant: {batch 16: B = 16, batch full: full}
  sampler: {smile: SMILE-naive, sgld: SGLD}
metrics: [sliced_wasserstein, sd_ratio_median]
cannot: {sampler = smile and variant = batch+full: it needs noise}
"""
RATIOS = {"smile": 0.5, "sgld": 1.2}


def write_runs(directory: Path) -> Path:
    """At the first step size the distance is smallest; the ratio at the second would be closer to one."""
    for target in ("icg", "funnel"):
        for variant, sampler in (("batch 16", "smile"), ("batch 16", "sgld"), ("batch full", "sgld")):
            facts = {
                "run_id": f"{target}{variant}{sampler}",
                "target": target,
                "variant": variant,
                "sampler": sampler,
            }
            ratio = RATIOS[sampler] + (0.1 if variant == "batch full" else 0)
            rows = run_rows({0.1: [0.1] * 4, 0.2: [0.2] * 4}, metrics=["sliced_wasserstein"], **facts)
            rows += run_rows({0.1: [ratio] * 4, 0.2: [1.0] * 4}, metrics=["sd_ratio_median"], **facts)
            write_metrics(directory / f"runs/{facts['run_id']}/metrics.parquet", rows)
    return directory


def test_the_figure_shows_chosen_values_against_the_key(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, SPEC))
    frame = read_metrics(
        write_runs(tmp_path / "results"), "", {"sliced_wasserstein", "sd_ratio_median", "rhat_max", "ess_min"}
    )
    grids = collect(frame, spec)
    figure = draw_trend(spec, tabulate(grids, spec, "sd_ratio_median", "honest"), "sd_ratio_median")
    assert [axis.get_title() for axis in figure.axes] == ["ICG", "Funnel"]
    for axis in figure.axes:
        ideal, *lines = axis.lines
        assert set(ideal.get_ydata()) == {1.0}
        heights = [list(line.get_ydata()) for line in lines if len(line.get_ydata()) > 1]
        assert any(height == pytest.approx([1.2, 1.3]) for height in heights)
        assert [label.get_text() for label in axis.get_xticklabels()] == ["B = 16", "full"]


def test_the_best_is_the_closest_to_the_ideal(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, SPEC))
    frame = read_metrics(
        write_runs(tmp_path / "results"), "", {"sliced_wasserstein", "sd_ratio_median", "rhat_max", "ess_min"}
    )
    cells = tabulate(collect(frame, spec), spec, "sd_ratio_median", "all")
    row = [cells.get((("icg", "batch 16"), sampler)) for sampler in ("smile", "sgld")]
    best = best_of_row(spec, row, spec.metrics["sd_ratio_median"])
    assert best is row[1] and best.mean == pytest.approx(1.2)


def test_what_cannot_be_run_is_listed_and_not_missed(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, SPEC))
    report = build_table(spec, write_runs(tmp_path / "results"), "paper")
    assert report.omissions == ["Cannot be run, sampler = smile and variant = batch+full: it needs noise."]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("against: variant", "against: sampler", "against 'sampler'"),
        ("cannot: {sampler = smile", "cannot: {sampler = smlie", "cannot .* names sampler smlie"),
        ("metrics: [sliced_wasserstein, sd_ratio_median]", "metrics: [final_step_size]", "choose nothing"),
    ],
)
def test_a_wrong_specification_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_spec(write_spec(tmp_path, SPEC.replace(old, new)))

"""A metric that stands in for one that runs have not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_table import SPEC, run_rows, write_spec

from smile.tables import build_table
from smile.tables.reading import SpecError, read_spec
from smile.tracking.parquet import write_metrics

STAND_INS = SPEC.replace(
    "[bias: bias, wasserstein: Wasserstein]",
    """
  - bias_published:
      label: bias as printed
      stand_ins:
        - bias where noise = isotropic
        - bias_max where noise in [spatially_varied]
""",
).replace("error: error}", "error: error, beside: [bias_published]}")


def write_run(directory: Path, run_id: str, values: dict[str, float], **facts: object) -> None:
    rows = [
        row
        for metric, value in values.items()
        for row in run_rows({0.1: [value, value + 2.0]}, run_id=run_id, metrics=[metric], **facts)
    ]
    write_metrics(directory / f"runs/{run_id}/metrics.parquet", rows)


def test_stand_ins_by_row(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, STAND_INS))
    directory = tmp_path / "results"
    old = {"bias": 1.0, "bias_max": 5.0}
    write_run(directory, "a", old)
    write_run(directory, "b", old, noise="spatially_varied")
    write_run(directory, "c", {**old, "bias_published": 8.0}, noise="spatially_varied", sampler="psmile")
    report = build_table(spec, directory, "paper")
    cells = report.tables["bias_published", "all"]
    means = {key: cell.mean for key, cell in cells.items()}
    isotropic, varied = ("icg", "isotropic"), ("icg", "spatially_varied")
    assert means == {(isotropic, "smile"): 2.0, (varied, "smile"): 6.0, (varied, "psmile"): 9.0}
    assert cells[isotropic, "smile"].published == 0.5
    text = (directory / "table.md").read_text()
    assert "- 1 run has not recorded bias_published: bias where noise = isotropic stands in for it.\n" in text
    assert (
        "- 1 run has not recorded bias_published: bias_max where noise in [spatially_varied] stands in"
        in text
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "bias where",
            "lppd where",
            "'lppd' cannot stand in for 'bias_published': the other direction is better",
        ),
        ("noise = isotropic", "noise = iso", "stand-in 'bias where noise = iso' names noise iso: valid are"),
        ("noise = isotropic", "noises = isotropic", "names 'noises': valid are target, noise, sampler"),
        ("noise = isotropic", "noise isotropic", "'noise isotropic' is neither"),
        ("bias_max", "bias_min", r"no metric 'bias_min' \(did you mean"),
    ],
)
def test_wrong_stand_ins(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_spec(write_spec(tmp_path, STAND_INS.replace(old, new)))

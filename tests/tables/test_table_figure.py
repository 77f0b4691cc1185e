"""The figure of a table draws a line for every configuration, each of its own look."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_table import run_rows, write_spec

from smile.tables import build_table
from smile.tables.cells import collect, tabulate
from smile.tables.figure import draw
from smile.tables.reading import SpecError, read_spec
from smile.tables.spec import TableSpec
from smile.tracking.parquet import write_metrics

SPEC = """
title: A table
commands: ["smile +experiment=small scale={scale}"]
rows: [target, noise, sampler]
columns: variant
panels: [target, noise]
labels:
  target: {icg: ICG}
  noise: {isotropic: isotropic, diagonal: diagonal}
  sampler: {smile: SMILE-naive, psmile: pSMILE-naive}
  variant: {grid=a: grid A, grid=b: grid B}
metrics: [bias]
claims: [psmile < smile where variant = grid=b]
"""


def frame_of(runs: list[dict[str, Any]]) -> pd.DataFrame:
    values = {0.1: [1.0, 2.0], 0.2: [3.0, 5.0]}
    rows = [run_rows(values, run_id=f"r{number}", **run) for number, run in enumerate(runs)]
    return pd.DataFrame(list(itertools.chain(*rows)))


def looks(spec: TableSpec, frame: pd.DataFrame) -> list[set[tuple[Any, ...]]]:
    """Colour, marker and dashes of the lines of each panel."""
    grids = collect(frame, spec)
    figure = draw(grids, spec, tabulate(grids, spec, "bias", "all"), "bias")
    return [
        {
            (line.get_color(), line.get_marker(), str(line.get_linestyle()))
            for line in axis.lines
            if len(line.get_xdata()) == 2 and line.get_marker() != "None"
        }
        for axis in figure.axes
    ]


def test_keys_that_make_no_panels_make_lines(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, SPEC))
    runs = [
        {"sampler": sampler, "variant": variant, "noise": noise}
        for noise in ("isotropic", "diagonal")
        for sampler in ("smile", "psmile")
        for variant in ("grid=a", "grid=b")
    ]
    panels = looks(spec, frame_of(runs))
    assert len(panels) == 2
    for found in panels:
        assert len(found) == 4
        assert len({color for color, *_ in found}) == len({dashes for *_, dashes in found}) == 2


def test_more_columns_than_colours_have_a_line_each(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(9)]
    labels = ", ".join(f"{name}: {name}" for name in names)
    spec = read_spec(
        write_spec(
            tmp_path,
            SPEC.replace("rows: [target, noise, sampler]", "rows: [target, noise]")
            .replace("columns: variant", "columns: sampler")
            .replace("smile: SMILE-naive, psmile: pSMILE-naive", labels)
            .replace("claims: [psmile < smile where variant = grid=b]", ""),
        )
    )
    found, _ = looks(
        spec, frame_of([{"sampler": name} for name in names] + [{"sampler": "s1", "noise": "diagonal"}])
    )
    assert len(found) == 9


def test_two_grids_beside_each_other(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, SPEC))
    runs = [{"sampler": s, "variant": v} for s in ("smile", "psmile") for v in ("grid=a", "grid=b", "")]
    for run_id, rows in frame_of(runs).groupby("run_id"):
        write_metrics(tmp_path / f"results/runs/{run_id}/metrics.parquet", rows)
    build_table(spec, tmp_path / "results", "paper")
    text = (tmp_path / "results/table.md").read_text()
    assert "| target | noise | sampler | grid A | grid B |" in text
    assert "- Not shown, as the table does not list them: variant '' (2 runs).\n" in text
    assert (
        "| `psmile < smile where variant = grid=b` | bias of second moments | means: holds in 0 of 1 | "
        in text
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "panels: [target, noise]",
            "panels: [data]",
            r"panels \[data\]: valid are target, noise, sampler, variant",
        ),
        (
            "panels: [target, noise]",
            "panels: [target]",
            "panels leave 3 keys to tell lines apart: valid are 1 and 2",
        ),
        ("panels: [target, noise]", "panels: []", r"panels \[\]: valid are target"),
        (
            "grid=b: grid B",
            "b: B, c: C, d: D",
            "variant has 4 values for dashes of lines: valid are 3 at most",
        ),
    ],
)
def test_wrong_panels(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SPEC.replace("claims: [psmile < smile where variant = grid=b]", "")
    with pytest.raises(SpecError, match=message):
        read_spec(write_spec(tmp_path, text.replace(old, new)))

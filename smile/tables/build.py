"""From an experiment directory to its table and figure files; nothing but Parquet is read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from smile.tables import render
from smile.tables.cells import Cells, newest_runs, tabulate
from smile.tables.figure import draw
from smile.tables.spec import TableSpec
from smile.tracking.parquet import read_metrics, write_bytes_atomic, write_text_atomic

__all__ = ["Report", "build_table"]


class Report(NamedTuple):
    """What was made: the part of the table that has runs, the cells of every (metric, selection), and the files."""

    spec: TableSpec
    tables: dict[tuple[str, str], Cells]
    paths: list[Path]


def build_table(spec: TableSpec, experiment_dir: Path, scale: str) -> Report:
    """Writes ``table.{md,tex,csv}`` and ``figure.{png,pdf}`` into the experiment directory.

    Raises:
        FileNotFoundError: where the directory holds no finished run.
    """
    needed = {*spec.metrics, *(metric.chosen_by for metric in spec.metrics.values() if metric.chosen_by)}
    frame = read_metrics(experiment_dir, spec.command(scale), needed)
    frame = frame.assign(method=frame["sampler"] + " " + frame["tuner"])
    frame, replaced = newest_runs(frame, (*spec.keys, "seed"))
    spec, absent = _with_runs(spec, frame)
    tables = {
        (metric, selection): tabulate(frame, spec, metric, selection)
        for metric in spec.metrics
        for selection in spec.selections
    }
    texts = {
        "table.md": render.markdown(spec, tables, _facts(frame, spec, replaced, absent, scale)),
        "table.tex": render.latex(spec, tables),
        "table.csv": render.csv_text(spec, tables),
    }
    for name, text in texts.items():
        write_text_atomic(experiment_dir / name, text)
    metric = spec.figure or next(iter(spec.metrics))
    caption = spec.captions.get(scale, "")
    figure = draw(frame, spec, tables[metric, spec.selections[0]], metric, caption)
    figures = ("figure.png", "figure.pdf")
    for name in figures:
        content = io.BytesIO()
        figure.savefig(content, format=name.rpartition(".")[2], dpi=160)
        write_bytes_atomic(experiment_dir / name, content.getvalue())
    return Report(spec, tables, [experiment_dir / name for name in (*texts, *figures)])


def _with_runs(spec: TableSpec, frame: pd.DataFrame) -> tuple[TableSpec, list[str]]:
    """The part of a table that has any runs, so that one block of it is a table of its own, and the labels left out."""
    found = {key: set(frame[key].unique()) for key in spec.rows}
    present = {
        key: {value: label for value, label in labels.items() if key not in found or value in found[key]}
        for key, labels in spec.labels.items()
    }
    absent = [
        label for key in spec.rows for value, label in spec.labels[key].items() if value not in present[key]
    ]
    return replace(spec, labels=present), absent


def _facts(
    frame: pd.DataFrame, spec: TableSpec, replaced: int, absent: Sequence[str], scale: str
) -> list[str]:
    """What the numbers come from."""
    frame = frame[frame["num_steps"] > 0]  # a deep ensemble makes none
    steps = ", ".join(f"{number:,}" for number in sorted(frame["num_steps"].unique()))
    replications = ", ".join(
        str(number) for number in sorted(frame.groupby(list(spec.keys))["replication"].nunique().unique())
    )
    versions = ", ".join(sorted(frame["smile_version"].unique()))
    commits = ", ".join(sorted({commit for commit in frame["git_commit"] if commit})) or "unknown"
    facts = [
        f"Scale {scale}: {steps} steps, replications: {replications}, {frame['run_id'].nunique()} runs.",
        f"Version {versions}, commit {commits}, {frame['created'].min()[:10]} to {frame['created'].max()[:10]}.",
    ]
    if scale in spec.captions:
        facts.append(f"{spec.captions[scale]}.")
    if absent:
        facts.append(f"Not run: {', '.join(absent)}.")
    if replaced:
        facts.append(f"{replaced} older runs of the same cells are not shown.")
    return facts

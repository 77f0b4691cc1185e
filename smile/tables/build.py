"""From an experiment directory to its table and figure files; nothing but Parquet is read."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from smile.extras import is_installed, missing
from smile.tables import omissions
from smile.tables.cells import DIAGNOSTICS, Cells, Grids, collect, newest_runs, tabulate
from smile.tables.figure import draw
from smile.tables.latex import latex
from smile.tables.markdown import markdown
from smile.tables.records import csv_text
from smile.tables.spec import TableSpec
from smile.tables.stand_ins import fill_in
from smile.tables.trend import draw_trend
from smile.tracking.parquet import read_metrics, read_table, write_bytes_atomic, write_text_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Assembled", "Report", "assemble", "build_table"]

_RUN = ["run_id", "seed", "created", *omissions.CONFIGURATION]


class Assembled(NamedTuple):
    """A table before it is written.

    Attributes:
        spec: the part of the table that has runs.
        scale: of its runs.
        grids: the values of every configuration.
        tables: the cells of every (metric, selection).
        facts: what the numbers come from, in sentences.
        omissions: what the table does not show, or shows in place of something else, in sentences.
    """

    spec: TableSpec
    scale: str
    grids: Grids
    tables: dict[tuple[str, str], Cells]
    facts: list[str]
    omissions: list[str]

    def figure(self) -> Figure:
        """Its figure."""
        spec, tables, caption = self.spec, self.tables, self.spec.captions.get(self.scale, "")
        metric = spec.figure or next(iter(spec.metrics))
        if spec.against:  # one number for each configuration: chosen and reported apart, where both can be
            cells = next(filter(None, (tables[metric, name] for name in reversed(spec.selections))), {})
            return draw_trend(spec, cells, metric, caption)
        return draw(self.grids, spec, tables[metric, spec.selections[0]], metric, caption)


class Report(NamedTuple):
    """What was made.

    Attributes:
        spec: the part of the table that has runs.
        tables: the cells of every (metric, selection) that has any.
        omissions: what the table does not show, or shows in place of something else, in sentences.
        paths: the files.
    """

    spec: TableSpec
    tables: dict[tuple[str, str], Cells]
    omissions: list[str]
    paths: list[Path]


def build_table(spec: TableSpec, experiment_dir: Path, scale: str) -> Report:
    """Writes ``table.{md,tex,csv}`` and, with matplotlib, ``figure.{png,pdf}`` into the experiment directory.

    Raises:
        FileNotFoundError: where the directory holds no finished run.
        ValueError: where it holds none that the table lists, or none with a metric of the table.
    """
    found = assemble(spec, experiment_dir, scale)
    draws = is_installed("matplotlib")
    omitted = [*found.omissions, *([] if draws else [f"No figure: it needs {missing('matplotlib')}."])]
    texts = {
        "table.md": markdown(found.spec, found.tables, [*found.facts, *omitted], has_figure=draws),
        "table.tex": latex(found.spec, found.tables),
        "table.csv": csv_text(found.spec, found.tables),
    }
    for name, text in texts.items():
        write_text_atomic(experiment_dir / name, text)
    figures = ("figure.png", "figure.pdf") if draws else ()
    figure = found.figure() if draws else None
    for name in figures:
        assert figure is not None
        content = io.BytesIO()
        figure.savefig(content, format=name.rpartition(".")[2], dpi=160)
        write_bytes_atomic(experiment_dir / name, content.getvalue())
    return Report(found.spec, found.tables, omitted, [experiment_dir / name for name in (*texts, *figures)])


def assemble(spec: TableSpec, experiment_dir: Path, scale: str) -> Assembled:
    """Reads the runs of a table and fills its cells.

    Raises:
        FileNotFoundError: where the directory holds no finished run.
        ValueError: where it holds none that the table lists, or none with a metric of the table.
    """
    runs, frame = _read(spec, experiment_dir, scale)
    is_unlisted, names = omissions.unlisted(spec, runs)
    runs, older = newest_runs(runs[~is_unlisted], spec)
    if runs.empty:
        raise ValueError(f"{experiment_dir} has no run that the table {spec.name} lists: it has {names}")
    frame, stand_ins = fill_in(frame[frame["run_id"].isin(runs["run_id"])], spec)
    omitted = [
        *stand_ins,
        *([f"Not shown, as the table does not list them: {names}."] if names else []),
        *omissions.without_runs(spec, runs),
        *omissions.lacking_metrics(spec, runs, frame),
        *omissions.replaced(older),
    ]
    metrics = ", ".join(spec.metrics)
    spec = _with_runs(spec, runs, frame)
    if not spec.metrics:
        raise ValueError(f"{experiment_dir} has no run with a metric of the table {spec.name}: {metrics}")
    grids = collect(frame, spec)
    tables = {
        (metric, selection): tabulate(grids, spec, metric, selection)
        for metric in spec.metrics
        for selection in spec.selections
    }
    return Assembled(spec, scale, grids, tables, _facts(frame, spec, scale), omitted)


def _read(spec: TableSpec, experiment_dir: Path, scale: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All finished runs, one row each, and the metrics that the table needs."""
    needed = {name for metric in spec.metrics.values() for name in (metric.name, metric.chosen_by)}
    needed |= set(DIAGNOSTICS)
    needed |= {stand_in.metric for stand_ins in spec.stand_ins.values() for stand_in in stand_ins}
    frame = read_metrics(experiment_dir, spec.command(scale), needed)
    rows = read_table(experiment_dir, _RUN)
    assert rows is not None  # or ``read_metrics`` would have raised
    runs = rows.group_by(_RUN).aggregate([]).to_pandas().sort_values("run_id", ignore_index=True)
    runs, frame = (rows.assign(method=rows["sampler"] + " " + rows["tuner"]) for rows in (runs, frame))
    return runs, frame


def _with_runs(spec: TableSpec, runs: pd.DataFrame, frame: pd.DataFrame) -> TableSpec:
    """The part of a table that has any runs, so that one block of it is a table of its own."""
    found = {key: set(runs[key]) for key in spec.rows}
    labels = {
        key: {value: label for value, label in labels.items() if key not in found or value in found[key]}
        for key, labels in spec.labels.items()
    }
    metrics = {name: metric for name, metric in spec.metrics.items() if omissions.having(frame, metric)}
    figure = spec.figure if spec.figure in metrics else ""
    return replace(spec, labels=labels, metrics=metrics, figure=figure)


def _facts(frame: pd.DataFrame, spec: TableSpec, scale: str) -> list[str]:
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
    return facts

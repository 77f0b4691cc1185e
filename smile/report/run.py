"""The report of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
import pyarrow as pa

from smile.quantities import METRICS, VALIDATION, metric
from smile.report.facts import FINE, best_of, config_text, has_step_sizes, label, provenance, remarks
from smile.report.figures import against_step_size, running_lppd
from smile.report.page import aside, element, figure, folded, page, section, table
from smile.tracking.parquet import read_run
from smile.tracking.small_table import shown, small_table
from smile.tracking.statistics import reached, summarise

__all__ = ["run_report"]

HISTORY_FILE, PARAMETERS_FILE = "history.parquet", "parameters.parquet"
_MOST_PARAMETERS = 200


def run_report(run_dir: Path) -> str:
    """The page of a finished run.

    Args:
        run_dir: its folder; that of a run which has been merged is gone, and its name counts.

    Raises:
        FileNotFoundError: where the run is not finished.
        ValueError: where one of its files cannot be read.
    """
    rows = read_run(run_dir)
    parts = [
        section("Warnings", aside(remarks(rows), FINE)),
        *(_sampled(run_dir, rows) if has_step_sizes(rows) else [_all_metrics(summarise(rows), "")]),
        section("Configuration", element("pre", config_text(run_dir))),
        provenance(rows),
    ]
    return page(label(rows), f"Run {run_dir.name}: {best_of(rows)}", *parts)


def _sampled(run_dir: Path, rows: pd.DataFrame) -> list[Element]:
    summary = summarise(rows)
    found = reached(summary)
    best = found.step_size if found else None
    headings, lines, legend, _ = small_table(rows)
    cells = [
        [line.step_size, *line.cells, f"{'← best ' * line.is_best}{'' if line.has_mixed else '†'}"]
        for line in lines
    ]
    marked = next((number for number, line in enumerate(lines) if line.is_best), None)
    parts = [
        section(
            "Step sizes",
            table(["step size", *headings, ""], cells, best=marked),
            element("p", f"Mean ± standard error over replications. {legend}", kind="lead"),
        ),
        *_figures(run_dir, rows, summary, best),
    ]
    if best is not None:
        at_best = summary.xs(best, level="step_size")
        parts += [*_parameters(run_dir, best), _all_metrics(at_best, f" at step size {best:.3g}")]
    return parts


def _figures(run_dir: Path, rows: pd.DataFrame, summary: pd.DataFrame, best: float | None) -> list[Element]:
    found = reached(summary)
    made = []
    if found and summary.index.get_level_values("step_size").nunique() > 1:
        names = [found.metric.name, "rhat_max"]
        drawn = against_step_size(rows, [metric(name) for name in names if name in set(rows["metric"])], best)
        made.append(figure(drawn, f"{found.metric.label} against the step size"))
    file = run_dir / HISTORY_FILE
    if best is not None and file.is_file():
        known = set(summary.index.get_level_values("metric"))
        ensemble = None
        if {"lppd", "lppd_gain"} <= known:
            ensemble = summary.loc[("lppd", best), "mean"] - summary.loc[("lppd_gain", best), "mean"]
        lppd = running_lppd(_read(file), best, ensemble)
        if lppd is not None:
            made.append(figure(lppd, "running LPPD of the chains of the best step size"))
    return [section("Figures", *made)] if made else []


def _parameters(run_dir: Path, best: float) -> list[Element]:
    """Of a target of one's own."""
    file = run_dir / PARAMETERS_FILE
    if not file.is_file():
        return []
    frame = _read(file)
    frame = frame[np.isclose(frame["step_size"], best, rtol=1e-6)].drop(columns="step_size")
    rows = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.head(_MOST_PARAMETERS).itertuples(index=False)
    ]
    more = len(frame) - len(rows)
    note = [element("p", f"{more} more in {PARAMETERS_FILE}.")] if more else []
    return [section("Parameters at the best step size", table(list(frame.columns), rows), *note)]


def _all_metrics(summary: pd.DataFrame, where: str) -> Element:
    """A row for each metric; ``summary`` is that of one step size."""
    by_metric = summary.groupby("metric", sort=False).first()
    rows: list[Sequence[str]] = [
        [str(name), shown(str(name), row), _meaning(str(name))] for name, row in by_metric.iterrows()
    ]
    columns = ["metric", "mean ± standard error", "meaning"]
    return section(
        f"Everything measured{where}", folded(f"{len(rows)} metrics", table(columns, rows, text=[2]))
    )


def _meaning(name: str) -> str:
    return metric(name).label if name.removeprefix(VALIDATION) in METRICS or name in METRICS else ""


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} cannot be read: {' '.join(str(error).split())}") from None

"""What people read on a terminal or in a log: a console of a given width, times, and the small table of a run."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from smile.quantities import METRICS
from smile.tracking.statistics import best_step_size, criterion, summarise

__all__ = ["best_line", "format_seconds", "summary_table", "wide_console"]

_COLUMNS = {metric.name: metric.heading for metric in METRICS.values() if metric.heading}
_UNDEFINED_FOR_FEW_DRAWS = ("rhat_max", "rhat_median", "ess_min")  # where NaN is no divergence


def wide_console(log_width: int = 140, stderr: bool = False) -> Console:
    """The terminal, or a log whose lines are ``log_width`` characters wide, where rich would take 80."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=log_width)


def format_seconds(seconds: float) -> str:
    """For people: 42 s, 3 min, 1.5 h or 2.1 days."""
    for size, unit in ((86_400, "days"), (3600, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def best_line(rows: pd.DataFrame) -> str:
    """The best that a run reached and where, and the time it took, in one line.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    seconds = f"{rows['wall_seconds'].max():.0f} s"
    rule = criterion(summary.index.get_level_values("metric"))
    if rule is None:
        return seconds
    best = best_step_size(summary.loc[rule.chosen_by], rule.highest)
    if best is None:
        return f"diverged at every step size, {seconds}"
    return f"{rule.heading} {_cell(summary.loc[(rule.name, best)])} at step size {best:.1e}, {seconds}"


def summary_table(rows: pd.DataFrame) -> None:
    """Prints mean ± standard error per step size, the best one in bold and marked.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    metrics = [metric for metric in _COLUMNS if metric in summary.index.get_level_values("metric")]
    rule = criterion(summary.index.get_level_values("metric"))
    best = best_step_size(summary.loc[rule.chosen_by], rule.highest) if rule else None
    table = Table("step size", *(_COLUMNS[metric] for metric in metrics), box=box.SIMPLE_HEAD)
    for step_size in sorted(summary.index.get_level_values("step_size").unique()):
        cells = [
            "—" if metric in _UNDEFINED_FOR_FEW_DRAWS and pd.isna(summary.loc[(metric, step_size), "mean"])
            else _cell(summary.loc[(metric, step_size)])
            for metric in metrics
        ]  # fmt: skip
        is_best = step_size == best
        table.add_row(
            f"{step_size:.2e}", *cells, "← best" if is_best else "", style="bold" if is_best else None
        )
    wide_console().print(table)


def _cell(row: pd.Series) -> str:
    if row["non_finite"]:
        return f"diverged in {row['non_finite']:.0f} of {row['replications']:.0f}"
    return f"{row['mean']:.3g} ± {row['error']:.2g}" if row["replications"] > 1 else f"{row['mean']:.3g}"

"""What people read on a terminal or in a log: a console of a given width, times, and the small table of a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from smile.quantities import METRICS
from smile.tracking.statistics import FEWEST_EFFECTIVE_DRAWS, MOST_RHAT, has_mixed, reached, summarise

__all__ = ["NOT_MIXED", "best_line", "format_seconds", "shown", "summary_table", "wide_console"]

_COLUMNS = {metric.name: metric.heading for metric in METRICS.values() if metric.heading}
# One number for all chains of a step size, without an error, and NaN where there are too few draws.
_OF_ALL_REPLICATIONS = ("ess_moments_min", "ess_per_gradient", "rhat_max", "rhat_median", "ess_min")
NOT_MIXED = (
    f"† not mixed: R-hat above {MOST_RHAT} or fewer than {FEWEST_EFFECTIVE_DRAWS} effective draws in all; "
    "raise num_steps, or take another step size or sampler"
)
_OF_TROUBLE = ("num_strayed", "num_divergent")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves to the command what rich would end the program for, with the code of a failure."""
        raise BrokenPipeError


def wide_console(log_width: int = 140, stderr: bool = False) -> Console:
    """The terminal, or a log whose lines are ``log_width`` characters wide, where rich would take 80."""
    console = _Console(stderr=stderr)
    return console if console.is_terminal else _Console(stderr=stderr, width=log_width)


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
    found = reached(summary)
    if found is None:
        return seconds
    metric, best = found
    if best is None:
        return f"diverged at every step size, {seconds}"
    mixed = "" if has_mixed(summary, best) else ", not mixed"
    return f"{metric.heading} {_cell(summary.loc[(metric.name, best)])} at step size {best:.1e}{mixed}, {seconds}"


def summary_table(rows: pd.DataFrame) -> None:
    """Prints mean ± standard error per step size, the best one in bold and marked.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    known = set(summary.index.get_level_values("metric"))
    metrics = [metric for metric in _COLUMNS if metric in known and not _says_nothing(summary, metric)]
    found = reached(summary)
    best = found.step_size if found else None
    table = Table("step size", *(_COLUMNS[metric] for metric in metrics), box=box.SIMPLE_HEAD)
    marked = False
    for step_size in sorted(summary.index.get_level_values("step_size").unique()):
        cells = [shown(metric, summary.loc[(metric, step_size)]) for metric in metrics]
        is_best, mixed = step_size == best, has_mixed(summary, step_size)
        marked |= not mixed
        remarks = " ".join([*(["← best"] if is_best else []), *([] if mixed else ["†"])])
        table.add_row(f"{step_size:.2e}", *cells, remarks, style="bold" if is_best else None)
    wide_console().print(table)
    if marked:
        print(NOT_MIXED)
    if best is not None:
        for line in _advice(summary, best):
            print(line)


def _advice(summary: pd.DataFrame, best: float) -> list[str]:
    """What to do about the best step size, where something is wrong with it or with the choice."""
    known = set(summary.index.get_level_values("metric"))
    sizes = sorted(summary.index.get_level_values("step_size").unique())
    lines = []
    if len(sizes) > 2 and best in (sizes[0], sizes[-1]):
        end, direction = ("smallest", "smaller") if best == sizes[0] else ("largest", "larger")
        lines.append(f"the best step size is the {end} of the grid: try {direction} ones as well")
    if "num_strayed" in known and (strayed := summary.loc[("num_strayed", best), "mean"]):
        lines.append(
            f"{strayed:g} chains predict far worse than the networks in which they started (error 1.5 times as large): "
            "take a smaller step size, or look at them in history.parquet"
        )
    if "lppd_gain" in known and summary.loc[("lppd_gain", best), "mean"] < 0:
        lines.append(
            "the model average is worse than the deep ensemble in which it started: the step size or the number of "
            "steps does not suit this network"
        )
    return lines


def _says_nothing(summary: pd.DataFrame, metric: str) -> bool:
    """Trouble that was none, step sizes that no tuner has changed, the bias of all coordinates by its other name."""
    means = summary.loc[metric, "mean"]
    if metric in _OF_TROUBLE:
        return bool((means == 0).all())
    if metric == "final_step_size":
        return bool(np.allclose(means, means.index, rtol=1e-5))
    return metric == "bias_published" and means.equals(summary.loc["bias", "mean"])


def shown(metric: str, row: pd.Series) -> str:
    """The value of a metric at one step size, a row of ``summarise``, with its error."""
    if row["infinite"] == row["replications"]:
        return "∞"
    if metric in _OF_ALL_REPLICATIONS:
        return "—" if pd.isna(row["mean"]) else f"{row['mean']:.3g}"
    return _cell(row)


def _cell(row: pd.Series) -> str:
    if row["non_finite"]:
        return f"diverged in {row['non_finite']:.0f} of {row['replications']:.0f}"
    return f"{row['mean']:.3g} ± {row['error']:.2g}" if row["replications"] > 1 else f"{row['mean']:.3g}"

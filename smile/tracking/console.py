"""What a user sees: live bars on a terminal, plain lines in a log, and a small table at the end of a run.

A run reports its progress in its status (``smile.tracking.status``), so that one display shows all runs of a sweep,
whichever process or machine they run on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from smile import stop
from smile.quantities import METRICS
from smile.tracking import status
from smile.tracking.parquet import is_finished, read_run
from smile.tracking.statistics import best_step_size, criterion, summarise

__all__ = ["outcome", "progress", "summary_table", "watch"]

_logger = logging.getLogger(__name__)


class Advance(Protocol):
    """Reports ``num_steps`` more per chain; with a ``note`` they took no time, such as those of a checkpoint."""

    def __call__(self, num_steps: int, note: str = "") -> None: ...


_LOG_WIDTH = 140
_LINE_INTERVAL_SECONDS = 10.0
_DISPLAY_INTERVAL_SECONDS = 0.25
_REPORT_INTERVAL_SECONDS = 1.0

_COLUMNS = {metric.name: metric.heading for metric in METRICS.values() if metric.heading}
_UNDEFINED_FOR_FEW_DRAWS = ("rhat_max", "rhat_median", "ess_min")  # where NaN is no divergence


@contextmanager
def progress(run_dir: Path, label: str, total_steps: int, chains: int) -> Iterator[Advance]:
    """Reports how far a run is: in its status where it has one, and by lines in a log where nobody watches a terminal.

    Args:
        run_dir: folder of the run.
        label: the run, for example ``[7/48] icg correlated psmile``.
        total_steps: steps per chain.
        chains: how many chains advance together.

    Yields:
        ``advance(num_steps, note)``, to be called after every chunk of steps per chain. It raises ``Preempted`` where
        the run has been asked to stop, as what checkpoints know is on disk by then.
    """
    start = shown = time.monotonic()
    reported, done, timed_from = -_REPORT_INTERVAL_SECONDS, 0, 0
    writes_lines = not Console(stderr=True).is_terminal

    def advance(num_steps: int, note: str = "") -> None:
        nonlocal start, shown, reported, done, timed_from
        done += num_steps
        now = time.monotonic()
        if note:
            start, timed_from = now, done
        seconds, timed = now - start, done - timed_from
        rate = note or (_format_rate(timed * chains / max(seconds, 1e-9)) if timed else "compiling")
        if now - reported >= _REPORT_INTERVAL_SECONDS:
            reported = now
            status.update(run_dir, done=done, total=total_steps, rate=rate)
        if writes_lines and (done or note) and (done >= total_steps or now - shown >= _LINE_INTERVAL_SECONDS):
            shown = now
            left = (
                f"ETA {seconds * (total_steps - done) / timed:.0f} s" if timed and done < total_steps else ""
            )
            left = f"{seconds:.0f} s" if done >= total_steps else left
            _logger.info("%s  %3.0f%%  %s  %s", label, 100 * done / total_steps, rate, left)
        stop.check()

    advance(0)
    yield advance
    status.update(run_dir, done=total_steps, total=total_steps, rate="evaluating")


@contextmanager
def watch(run_dirs: Sequence[Path]) -> Iterator[None]:
    """On a terminal, shows a bar for each active run; for a sweep also one for all, and a line for each run that ends.

    Args:
        run_dirs: folders of the runs that are about to start.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    end = threading.Event()
    with Progress(
        *columns, console=console, expand=True, transient=True, speed_estimate_period=300
    ) as display:
        thread = threading.Thread(target=_follow, args=(display, run_dirs, end), daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def _follow(display: Progress, run_dirs: Sequence[Path], end: threading.Event) -> None:
    bars: dict[Path, tuple[TaskID, str]] = {}
    sweep = display.add_task("all runs", total=len(run_dirs), rate="") if len(run_dirs) > 1 else None
    while True:
        ends = end.wait(_DISPLAY_INTERVAL_SECONDS)
        fraction = 0.0
        for directory in run_dirs:
            report = status.read(directory)
            if report is None or report.state != "running":
                fraction += report is not None and report.state in ("done", "failed")
                if directory in bars:
                    task, label = bars.pop(directory)
                    display.remove_task(task)
                    if sweep is not None:
                        display.console.print(f"{label}: {outcome(directory)}", highlight=False, markup=False)
                continue
            total = report.total or 1
            fraction += report.done / total
            if directory not in bars:
                task = display.add_task(escape(report.label), total=total, rate="")
                bars[directory] = (task, report.label)
            display.update(bars[directory][0], total=total, completed=report.done, rate=report.rate)
        if sweep is not None:
            display.update(sweep, completed=fraction, rate=f"{fraction:.1f} of {len(run_dirs)}")
        if ends:
            return


def outcome(run_dir: Path) -> str:
    """One line about a run that ended: the best it reached and where, and the time it took, or why it failed."""
    last = status.read(run_dir)
    if last and last.state == "failed":
        return f"failed: {last.reason}"
    if not is_finished(run_dir):
        return "interrupted"
    rows = read_run(run_dir)
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
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    console.print(table)


def _cell(row: pd.Series) -> str:
    if row["non_finite"]:
        return f"diverged in {row['non_finite']:.0f} of {row['replications']:.0f}"
    return f"{row['mean']:.3g} ± {row['error']:.2g}" if row["replications"] > 1 else f"{row['mean']:.3g}"


def _format_rate(rate: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit} chain-steps/s"
    return f"{rate:.3g} chain-steps/s"

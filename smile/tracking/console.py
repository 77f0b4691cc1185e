"""What a user sees: a live progress bar, or plain lines in a log, and a small table at the end of a run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from smile.tracking.statistics import best_step_size, summarise

__all__ = ["progress", "summary_table"]

_logger = logging.getLogger(__name__)

Advance = Callable[[int], None]

_LINE_INTERVAL_SECONDS = 10.0

_COLUMNS = {"bias": "bias", "wasserstein": "Wasserstein", "ess_per_gradient": "ESS / gradient"}


@contextmanager
def progress(description: str, total_steps: int, chains: int) -> Iterator[Advance]:
    """Shows how far a run is, how fast, and when it will be done: a bar on a terminal, lines in a log.

    Args:
        description: the run, for example ``icg · correlated · psmile  [7/48]``.
        total_steps: steps per chain.
        chains: how many chains advance together.

    Yields:
        ``advance(num_steps)``, to be called after every chunk of steps per chain.
    """
    console = Console(stderr=True)
    show = (
        _bar(console, description, total_steps) if console.is_terminal else _lines(description, total_steps)
    )
    start, done = time.monotonic(), 0

    with show as update:

        def advance(num_steps: int) -> None:
            nonlocal done
            done += num_steps
            update(done, done * chains / max(time.monotonic() - start, 1e-9))

        yield advance


def summary_table(rows: pd.DataFrame) -> None:
    """Prints mean ± standard error per step size, the lowest bias in bold and marked.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    summary = summarise(rows)
    metrics = [metric for metric in _COLUMNS if metric in summary.index.get_level_values("metric")]
    best = best_step_size(summary.loc[metrics[0]]) if metrics else None
    table = Table("step size", *(_COLUMNS[metric] for metric in metrics), box=box.SIMPLE_HEAD)
    for step_size in sorted(summary.index.get_level_values("step_size").unique()):
        cells = [_cell(summary.loc[(metric, step_size)]) for metric in metrics]
        is_best = step_size == best
        table.add_row(
            f"{step_size:.2e}", *cells, "← best" if is_best else "", style="bold" if is_best else None
        )
    Console().print(table)


def _cell(row: pd.Series) -> str:
    if row["non_finite"]:
        return f"diverged in {row['non_finite']:.0f} of {row['replications']:.0f}"
    return f"{row['mean']:.3g} ± {row['error']:.2g}" if row["replications"] > 1 else f"{row['mean']:.3g}"


@contextmanager
def _bar(console: Console, description: str, total_steps: int) -> Iterator[Callable[[int, float], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task(description, total=total_steps, rate="compiling")
        yield lambda done, rate: bar.update(task, completed=done, rate=_format_rate(rate))


@contextmanager
def _lines(description: str, total_steps: int) -> Iterator[Callable[[int, float], None]]:
    start = shown = time.monotonic()

    def update(done: int, rate: float) -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total_steps and now - shown < _LINE_INTERVAL_SECONDS:
            return
        shown = now
        elapsed = now - start
        left = (
            f"{elapsed:.0f} s" if done >= total_steps else f"ETA {elapsed * (total_steps / done - 1):.0f} s"
        )
        _logger.info("%s  %3.0f%%  %s  %s", description, 100 * done / total_steps, _format_rate(rate), left)

    yield update


def _format_rate(rate: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit} chain-steps/s"
    return f"{rate:.3g} chain-steps/s"

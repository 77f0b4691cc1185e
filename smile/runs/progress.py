"""What a user sees: live bars on a terminal, plain lines in a log, and a small table at the end of a run.

A run reports its progress in its status (``smile.runs.status``), so that one display shows all runs of a sweep,
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

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from smile import stop
from smile.runs import status
from smile.tracking.parquet import is_finished, read_run
from smile.tracking.small_table import best_line

__all__ = ["Advance", "outcome", "progress", "watch"]

_logger = logging.getLogger(__name__)


class Advance(Protocol):
    """Told how far a run is."""

    def __call__(self, num_steps: int, note: str = "") -> None:
        """Reports ``num_steps`` more per chain; with a ``note`` they took no time, such as those of a checkpoint."""


_LINE_INTERVAL_SECONDS = 10.0
_DISPLAY_INTERVAL_SECONDS = 0.25
_REPORT_INTERVAL_SECONDS = 1.0


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
    return best_line(read_run(run_dir))


def _format_rate(rate: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit} chain-steps/s"
    return f"{rate:.3g} chain-steps/s"

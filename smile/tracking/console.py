"""What people read on a terminal or in a log: a console of a given width, times, and the small table of a run."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from smile.tracking.small_table import small_table

__all__ = ["format_seconds", "summary_table", "wide_console"]


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


def summary_table(rows: pd.DataFrame) -> None:
    """Prints mean ± standard error per step size, the best one in bold and marked.

    Args:
        rows: one run's metrics in the schema of ``smile.tracking.parquet``.
    """
    found = small_table(rows)
    table = Table("step size", *found.headings, box=box.SIMPLE_HEAD)
    for row in found.rows:
        marks = " ".join([*(["← best"] if row.is_best else []), *([] if row.has_mixed else ["†"])])
        table.add_row(row.step_size, *row.cells, marks, style="bold" if row.is_best else None)
    wide_console().print(table)
    for line in filter(None, (found.legend, *found.advice)):
        print(line)

"""A bar over the steps of a chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from smile.runs.progress import Advance

__all__ = ["bar"]


@contextmanager
def bar(total: int, label: str, is_shown: bool) -> Iterator[Advance]:
    """A bar over the steps of a chain, in a terminal or a notebook."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    is_shown = is_shown and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=not is_shown, transient=True) as display:
        task = display.add_task("warm start", total=total)

        def advance(num_steps: int, note: str = "") -> None:
            display.update(task, advance=num_steps, description=note or label)

        yield advance

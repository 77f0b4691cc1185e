"""The table of what failed, for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table

from smile.config.run import RunConfig
from smile.runs import status
from smile.runs.status import FAILURE_FILE
from smile.sweep.attempt import run_dir
from smile.tracking.console import wide_console

__all__ = ["failure_table"]

_LOG_WIDTH = 160


def failure_table(configs: Iterable[RunConfig]) -> None:
    """Prints, on standard error, why each of these runs has no results."""
    table = Table("run", "id", "state", "reason", "traceback", box=box.SIMPLE_HEAD)
    table.columns[3].overflow = "fold"
    for config in configs:
        directory = run_dir(config)
        last = status.read(directory)
        file = directory / FAILURE_FILE
        state, reason = (last.state, last.reason) if last else ("unknown", "see the messages above")
        if last and last.state == "running":
            state, reason = "unfinished", f"process {last.owner.pid} on {last.owner.host} was at it"
        table.add_row(config.label, directory.name, state, reason, str(file) if file.exists() else "")
    wide_console(_LOG_WIDTH, stderr=True).print(table, highlight=False, markup=False)

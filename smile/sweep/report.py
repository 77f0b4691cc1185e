"""Tables of runs for people: what failed, and how a sweep stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from smile.config.run import RunConfig
from smile.sweep.attempt import run_dir
from smile.sweep.plan import format_seconds
from smile.tracking import status
from smile.tracking.owner import HEARTBEAT_SECONDS
from smile.tracking.status import FAILURE_FILE
from smile.tracking.survey import STATES, Run, Survey

__all__ = ["failure_table", "print_survey"]

_LOG_WIDTH = 160
_LATE_SECONDS = 3 * HEARTBEAT_SECONDS
_STYLES = {"failed": "red", "lost": "red", "running": "green", "done": "dim"}


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
    _console(stderr=True).print(table, highlight=False, markup=False)


def print_survey(name: str, found: Survey) -> None:
    """Prints how a sweep stands."""
    total = len(found.runs)
    console = _console()
    table = Table(
        "state", "runs", "", box=box.SIMPLE_HEAD, title=f"{name}: {total} runs", title_justify="left"
    )
    table.columns[1].justify = "right"
    for state in STATES:
        if count := found.counts[state]:
            table.add_row(
                state, str(count), "█" * max(1, round(40 * count / total)), style=_STYLES.get(state)
            )
    console.print(table, highlight=False)
    if found.eta_seconds is None:
        why = "no run has made a step yet" if found.of("running") else "nothing runs yet"
        console.print(f"ETA unknown: {why}")
    elif found.of("running", "queued"):
        console.print(f"ETA {format_seconds(found.eta_seconds)}", highlight=False)
    _print_running(console, found.of("running"))
    _print_failures(console, found.of("failed", "lost", "preempted"))


def _print_running(console: Console, runs: Sequence[Run]) -> None:
    if not runs:
        return
    table = Table("running", "id", "done", "pace", "for", "heartbeat", "where", box=box.SIMPLE_HEAD)
    for run in runs:
        last = run.status
        late = run.silent > _LATE_SECONDS
        table.add_row(
            run.label,
            run.run_id,
            f"{100 * last.done / last.total:.0f}%" if last.total else "",
            last.rate,
            format_seconds(last.seconds + run.silent),
            f"{format_seconds(run.silent)} ago{': stale' if late else ''}",
            " ".join(filter(None, [last.owner.host, str(last.owner.pid), last.job])),
            style="yellow" if late else None,
        )
    console.print(table, highlight=False)


def _print_failures(console: Console, runs: Sequence[Run]) -> None:
    if not runs:
        return
    table = Table("not finished", "id", "state", "reason", "job", box=box.SIMPLE_HEAD)
    table.columns[3].overflow = "fold"
    for run in runs:
        table.add_row(run.label, run.run_id, run.state, run.status.reason, run.status.job)
    console.print(table, highlight=False, markup=False)


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_LOG_WIDTH)

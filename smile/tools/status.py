"""``smile-status``: how the runs of an experiment stand, wherever they run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from smile.arguments import command_line
from smile.runs.owner import HEARTBEAT_SECONDS
from smile.runs.survey import STATES, Run, Survey, survey
from smile.tools.arguments import NothingThereError, experiment_parser, folders
from smile.tracking.console import format_seconds, wide_console
from smile.tracking.seal import UnreadableError

__all__ = ["main", "print_survey"]

_POLL_SECONDS = 2.0
_LOG_WIDTH = 160
_LATE_SECONDS = 3 * HEARTBEAT_SECONDS
_STYLES = {"failed": "red", "lost": "red", "running": "green", "done": "dim"}


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, 1 where --wait saw runs that did not end well, 2 where there is nothing."""
    parser = experiment_parser("smile-status", "Shows how the runs of an experiment stand.")
    parser.add_argument(
        "--failed", action="store_true", help="only the files with the tracebacks of failed runs"
    )
    parser.add_argument("--json", action="store_true", help="everything, for machines")
    parser.add_argument(
        "--wait", action="store_true", help="return when no run is queued or running any more"
    )
    options = parser.parse_args(arguments)
    try:
        found = {scale: (path, survey(path)) for scale, path in folders(options).items()}
        while options.wait and any(one.of("queued", "running") for _, one in found.values()):
            time.sleep(_POLL_SECONDS)
            found = {scale: (path, survey(path)) for scale, (path, _) in found.items()}
    except (NothingThereError, UnreadableError, OSError) as error:
        print(f"smile-status: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(
            json.dumps(
                [_plain(options.experiment, scale, one) for scale, (_, one) in found.items()], indent=1
            )
        )
    for scale, (_, one) in {} if options.json else found.items():
        if options.failed:
            for run in one.of("failed"):
                print(run.traceback or run.directory)
        else:
            print_survey(f"{options.experiment} {scale}", one)
    return int(options.wait and any(one.of("failed", "lost", "preempted") for _, one in found.values()))


def _plain(experiment: str, scale: str, found: Survey) -> dict[str, Any]:
    runs = [
        {
            "run_id": run.run_id,
            "state": run.state,
            "label": run.label,
            "reason": run.status.reason,
            "job": run.status.job,
            "host": run.status.owner.host,
            "pid": run.status.owner.pid,
            "seconds": run.status.seconds,
            "done": run.status.done,
            "total": run.status.total,
            "silent_seconds": round(run.silent, 1),
            "traceback": str(run.traceback or ""),
        }
        for run in found.runs
    ]
    return {
        "experiment": experiment,
        "scale": scale,
        "counts": found.counts,
        "eta_seconds": found.eta_seconds,
        "runs": runs,
    }


def print_survey(name: str, found: Survey) -> None:
    """Prints how a sweep stands."""
    total = len(found.runs)
    console = wide_console(_LOG_WIDTH)
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


if __name__ == "__main__":
    sys.exit(main())

"""``smile-status``: how the runs of an experiment stand, wherever they run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from smile.sweep.report import print_survey
from smile.tools.arguments import NothingThereError, experiment_parser, folders
from smile.tracking.survey import Survey, survey

__all__ = ["main"]

_POLL_SECONDS = 2.0


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
    except NothingThereError as error:
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


if __name__ == "__main__":
    sys.exit(main())

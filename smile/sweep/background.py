"""A frozen sweep in the background of this machine: the command returns at once, and the terminal may close."""

from __future__ import annotations

import logging
import math
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from smile import stop
from smile.runs import status
from smile.runs.owner import process
from smile.sweep.attempt import run_dir
from smile.sweep.frozen import Job, freeze, thaw
from smile.sweep.together import run_frozen
from smile.sweep.workers import OUT_OF_TIME

__all__ = ["LOG_FILE", "main", "start"]

LOG_FILE = "log.txt"  # in the folder of the submission


def start(jobs: Sequence[Job], at_once: int) -> tuple[int, Path]:
    """Freezes runs and leaves them to a process that outlives this one, and that they wait for.

    Args:
        jobs: those to do.
        at_once: how many processes are to compute.

    Returns:
        The number of the process, and the folder of the submission.
    """
    folder = freeze(jobs).resolve()
    command = [sys.executable, "-P", "-m", "smile.sweep.background", str(folder), str(at_once)]
    with open(folder / LOG_FILE, "w") as log:
        supervisor = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for job in jobs:
            status.queue(run_dir(job.config), job.config.label, process(supervisor.pid))
    except BaseException:
        supervisor.kill()
        raise
    assert supervisor.stdin is not None
    supervisor.stdin.close()  # which it waits for: nobody sees a run of its before it is said to wait
    return supervisor.pid, folder


def main() -> int:
    """``python -m smile.sweep.background FOLDER AT_ONCE``; returns 0, 4 (the end of a slice), 130 or 143 (a signal)."""
    folder, at_once = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("smile").setLevel(logging.INFO)
    sys.stdin.read()
    try:
        configs = thaw(folder)
        minutes = configs[0].max_minutes
        until = math.inf if minutes is None else time.monotonic() + 60 * minutes
        with (
            stop.limited(until),
            stop.listening(),
            status.waiting({run_dir(config): config.label for config in configs}),
        ):
            run_frozen(folder, at_once)
    except stop.Preempted as request:
        return OUT_OF_TIME if str(request) == stop.OUT_OF_TIME else 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (ValueError, OSError) as error:  # of the list: an attempt at a run raises none
        logging.getLogger(__name__).error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

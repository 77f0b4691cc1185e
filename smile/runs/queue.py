"""Which jobs a Slurm still knows."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

__all__ = ["current_job", "known_jobs"]

_PATIENCE_SECONDS = 20


def current_job() -> str:
    """The Slurm job that this process is part of, such as ``123_4``; empty elsewhere."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def known_jobs(jobs: Iterable[str]) -> frozenset[str] | None:
    """Those of ``jobs`` that wait or run; None where there is nobody to ask.

    Args:
        jobs: array tasks, such as ``123_4``.
    """
    arrays = sorted({job.partition("_")[0] for job in jobs if job})
    if not arrays:
        return frozenset()
    if shutil.which("squeue") is None:
        return None
    # 0 is nobody's job: squeue fails where the only job that it is asked for has left its memory.
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join([*arrays, '0'])}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_PATIENCE_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(answer.stdout.split())

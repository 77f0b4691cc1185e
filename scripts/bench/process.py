"""A measurement in a process of its own, which nothing has warmed up and whose peak memory is its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def in_own_process(
    function: Callable[..., dict[str, float]], *, devices: int = 1, **arguments: object
) -> dict[str, float]:
    """What a function of this package returns, called in a process with one thread and so many devices."""
    name = f"{function.__module__}.{function.__name__}"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent), "--measure", name, json.dumps(arguments)],
        env=os.environ | {"NPROC": "1", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"measuring {name} with {arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_megabytes() -> float:
    """Of this process, until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

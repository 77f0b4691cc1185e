"""Sweeps in the background: however their processes end, nobody waits for what will not come, and it goes on."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smile.preflight import compose
from smile.runs.survey import Survey, survey
from smile.sweep import background

POSTERIOR = """
import os, time
from pathlib import Path
import jax.numpy as jnp
from smile.targets import from_logdensity


def logdensity(x):
    return -0.5 * jnp.sum(x**2)


def slow():
    # The command that checks the posterior is the first to make it; its workers inherit its environment.
    if "checked" in os.environ or os.environ.update(checked="1"):
        while not Path("well").exists():
            time.sleep(0.05)
    return from_logdensity(logdensity, jnp.zeros(2))
"""

SWEEP = ["-m", "target=custom", "target.factory=mine.slow", "noise=none", "sampler=smile", "scale=smoke",
         "step_size=0.1", "tracker.wandb.mode=disabled", "seed=0,1,2,3", "devices=1", "hydra/launcher=local",
         "hydra.launcher.tasks_per_node=2"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(POSTERIOR)
    (tmp_path / "queue.py").write_text("raise SystemExit('this is not the queue of Python')")
    return tmp_path


def smile(*arguments: str, cwd: Path, module: str = "smile") -> subprocess.CompletedProcess[str]:
    # -P: the queue.py of the folder is for what the command starts, not for this way of starting it
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def started(folder: Path, *options: str) -> int:
    done = smile(*SWEEP, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = re.search(r"submitted (\d) runs: process (\d+) in the background", done.stdout)
    assert found, done.stdout
    return int(found[2])


def looked(folder: Path) -> Survey:
    return survey(folder / "results/adhoc/smoke")


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_sweep_whose_processes_are_all_killed_is_lost_and_goes_on(folder: Path) -> None:
    supervisor = started(folder)
    found = looked(folder)
    assert sum(found.counts[state] for state in ("queued", "running")) == 4  # from the first moment on
    wait(lambda: looked(folder).counts["running"] == 2)
    assert "0 finished, 4 already queued or running" in smile(*SWEEP, cwd=folder).stdout
    os.killpg(supervisor, signal.SIGKILL)
    wait(lambda: is_gone(supervisor))
    wait(lambda: looked(folder).counts["lost"] == 4, 10)
    assert smile("adhoc", "--wait", cwd=folder, module="smile.tools.status").returncode == 1
    (folder / "well").touch()
    started(folder, "force=true")
    assert smile("adhoc", "--wait", cwd=folder, module="smile.tools.status").returncode == 0
    assert looked(folder).counts["done"] == 4


def test_a_sweep_that_is_asked_to_stop_stops_and_goes_on(folder: Path) -> None:
    supervisor = started(folder)
    wait(lambda: looked(folder).counts["running"] == 2)
    os.kill(supervisor, signal.SIGTERM)
    (folder / "well").touch()
    wait(lambda: is_gone(supervisor))
    counts = looked(folder).counts
    assert counts["queued"] == counts["running"] == 0 and counts["preempted"] and counts["lost"]
    started(folder)
    assert smile("adhoc", "--wait", cwd=folder, module="smile.tools.status").returncode == 0
    assert looked(folder).counts["done"] == 4


def test_workers_stop_when_their_supervisor_is_killed(folder: Path) -> None:
    supervisor = started(folder)
    wait(lambda: looked(folder).counts["running"] == 2)
    workers = [run.status.owner.pid for run in looked(folder).of("running")]
    os.kill(supervisor, signal.SIGKILL)
    wait(lambda: is_gone(supervisor))
    time.sleep(1)  # until they have noticed
    (folder / "well").touch()
    wait(lambda: all(map(is_gone, workers)))
    reasons = {run.status.reason for run in looked(folder).of("preempted")}
    assert reasons == {"the command that started it has ended"}


def test_an_interrupt_ends_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, at_once: int) -> set[int]:
        raise KeyboardInterrupt

    config = compose(["scale=smoke", f"results_dir={tmp_path}"])
    monkeypatch.setattr(background, "thaw", lambda folder: [config])
    monkeypatch.setattr(background, "run_frozen", interrupted)
    monkeypatch.setattr(sys, "argv", ["background", str(tmp_path), "2"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert background.main() == 130

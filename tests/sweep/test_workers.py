"""Processes on one list of runs: a failure, a kill and a second process at the same time hurt nobody else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smile.runs import status
from smile.runs.survey import survey

POSTERIORS = """
import os, signal, time
import jax.numpy as jnp
from smile.targets import from_logdensity


def logdensity(x):
    return -0.5 * jnp.sum(x**2)


def sound():
    return from_logdensity(logdensity, jnp.zeros(2))


def is_checked(name):
    # the command that checks the posteriors is the first to make them; its workers inherit its environment
    return name in os.environ or os.environ.update({name: "1"})


def greedy():
    if is_checked("greedy"):
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is short
    return sound()


def broken():
    if is_checked("broken"):
        raise RuntimeError("out of luck")
    return sound()
"""

CUSTOM = ["target=custom", "noise=none", "sampler=smile", "scale=smoke", "tracker.wandb.mode=disabled",
          "step_size=0.1"]  # fmt: skip


def smile(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    (cwd / "mine.py").write_text(POSTERIORS)
    return subprocess.run(
        [sys.executable, "-m", "smile", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_runs_that_fail_or_are_killed_stop_nobody_and_none_is_forced_twice(tmp_path: Path) -> None:
    factories = ",".join(f"mine.{name}" for name in ("sound", "greedy", "broken"))
    done = smile(
        "-m",
        *CUSTOM,
        f"target.factory={factories}",
        "seed=0,1",
        "force=true",
        "hydra/launcher=cores",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert "4 of 6 runs failed" in done.stderr
    assert done.stderr.count("killed by signal 9, for lack of memory?") == 2
    assert done.stderr.count("RuntimeError: out of luck") == 4  # when they ended, and in the table
    assert "Traceback" not in done.stderr
    assert len(re.findall(r"^\[\d/6\] custom none smile: \d+ s$", done.stderr, re.MULTILINE)) == 2
    found = survey(tmp_path / "results/adhoc/smoke")
    assert (found.counts["done"], found.counts["failed"]) == (2, 4)


def test_workers_that_are_killed_before_they_have_a_run_cost_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two, while they import."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "for name in ('a', 'b') if 'smile.sweep.workers' in sys.orig_argv else ():\n"
        "    try:\n"
        f"        os.mkdir('{site}/' + name)\n"
        "    except FileExistsError:\n"
        "        continue\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{site}:{os.environ.get('PYTHONPATH', '')}")
    sweep = [
        "-m",
        *CUSTOM,
        "target.factory=mine.sound",
        "seed=0,1,2",
        "hydra/launcher=cores",
        "hydra.launcher.n_jobs=2",
    ]
    done = smile(*sweep, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("killed by signal 9 before it had a run") == 2
    assert survey(tmp_path / "results/adhoc/smoke").counts["done"] == 3


def test_an_interrupt_while_a_worker_imports_waits_until_it_can_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``supervise`` starts it; Python's own answer is a traceback."""
    (tmp_path / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "smile.sweep.workers", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert (done.returncode, done.stderr) == (130, "")


def test_four_commands_that_do_the_same_sweep_at_once_end_with_the_same_answer(tmp_path: Path) -> None:
    options = ["sampler=sgld,sghmc", "seed=0,1,2", "scale=smoke", "tracker.wandb.mode=disabled", "devices=1"]
    command = [sys.executable, "-m", "smile", "-m", *options]
    crowd = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=300) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 4, answers
    total = 0
    for out, err in answers:
        own = len(re.findall(r"^\[\d/6\] .*: bias ", err, re.MULTILINE))
        skipped, others = (
            int(found[1]) if (found := re.search(rf"(\d) of 6 runs {what}", out)) else 0
            for what in ("are finished and skipped", "were computed by other processes: ")
        )
        assert own + skipped + others >= 6
        assert out.endswith("results: results/adhoc/smoke\n") and "failed" not in err
        total += own
    assert total == 6
    files = {path.name for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert files == {"config.yaml", "metrics.parquet", "status.json"}


def test_a_signal_writes_a_last_checkpoint(tmp_path: Path) -> None:
    arguments = [
        "target=bnn", "sampler=sgld", "scale=smoke", "num_steps=400000", "burn_in=200000", "thinning=1000",
        "step_size=1e-5", "warm_start.max_epochs=2", "replications=2", "devices=1", "tracker.wandb.mode=disabled",
        "target.checkpoint_minutes=1000",
    ]  # fmt: skip
    command = [sys.executable, "-m", "smile", *arguments]
    with open(tmp_path / "log", "w") as log:
        first = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    runs = tmp_path / "results/adhoc/smoke/runs"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [last for path in runs.glob("*") if (last := status.read(path))]
        if found and found[0].done > 0:
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    assert first.wait(300) == 143, (tmp_path / "log").read_text()
    (directory,) = (path for path in runs.iterdir() if (path / "checkpoints").is_dir())
    last = status.read(directory)
    assert last is not None and (last.state, last.reason) == ("preempted", "SIGTERM")
    assert len(list((directory / "checkpoints").glob("[0-9]*[0-9]"))) == 1

"""A sweep on a real Slurm of one node: what fails, is cancelled or runs out of time does not stop the others.

Debian: apt-get install slurm-wlm munge. Without them, the test is skipped, except in continuous integration.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smile.runs.survey import survey
from smile.tracking import read_metrics

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("local_slurm", ROOT / "scripts/local_slurm.py")
assert _spec and _spec.loader
local_slurm = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(local_slurm)

# Under Slurm, one posterior is broken and one takes for ever, until a file says that all is well; one network is slow
# in its first life, so that it hits its time limit after it has written checkpoints.
CASES = """
import os, time
from pathlib import Path
import jax.numpy as jnp
from smile.models.fcn import FCN
from smile.sampling import Checkpoints
from smile.targets import from_logdensity


def on_slurm():
    return "SLURM_JOB_ID" in os.environ and not Path("well").exists()


def logdensity(x):
    return -0.5 * jnp.sum(x**2)


def sound():
    return from_logdensity(logdensity, jnp.zeros(2))


def broken():
    if on_slurm():
        raise RuntimeError("the posterior is broken\\nin two lines")
    return sound()


def endless():
    while on_slurm():
        time.sleep(0.1)
    return sound()


def slow(outputs):
    if "SLURM_JOB_ID" in os.environ and not os.environ.get("SLURM_RESTART_COUNT"):
        save = Checkpoints.save_if_due

        def save_and_rest(self, index, tree):
            save(self, index, tree)
            time.sleep(1)

        Checkpoints.save_if_due = save_and_rest
    return FCN((4, outputs))
"""

ANALYTIC = """# @package _global_
defaults:
  - override /target: custom
  - override /noise: none
  - override /sampler: smile
target: {{factory: cases.{factory}}}
seed: {seed}
experiment: e
num_steps: 1000
"""

NETWORK = """# @package _global_
defaults:
  - override /target: bnn
  - override /model: custom
  - override /sampler: sgld
model: {factory: cases.slow}
experiment: e
num_steps: 256
burn_in: 128
thinning: 2
replications: 2
step_size: 1e-4
warm_start: {max_epochs: 3}
target: {checkpoint_minutes: 0}
"""

SLURM = [
    "hydra/launcher=slurm_cpu", "hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=40",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1",
]  # fmt: skip


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if absent := local_slurm.missing():
        reason = f"needs a Slurm: apt-get install slurm-wlm munge (missing: {', '.join(absent)})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:  # short, for the sake of a socket
        try:
            monkeypatch.setenv("SLURM_CONF", str(local_slurm.start(Path(folder), cpus=3)))
            yield
        finally:
            local_slurm.stop(Path(folder))


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    """Six runs."""
    (tmp_path / "cases.py").write_text(CASES)
    folder = tmp_path / "conf/case"
    folder.mkdir(parents=True)
    names = [f"sound{seed}" for seed in range(3)]
    for seed, name in enumerate(names):
        (folder / f"{name}.yaml").write_text(ANALYTIC.format(factory="sound", seed=seed))
    for name in ("broken", "endless"):
        (folder / f"{name}.yaml").write_text(ANALYTIC.format(factory=name, seed=0))
    (folder / "slow.yaml").write_text(NETWORK)
    cases = ",".join(["slow", "endless", "broken", *names])
    return [
        "--config-dir", "conf", "-m", f"+case={cases}", "scale=smoke", "devices=1",
        "tracker.wandb.mode=disabled",
    ]  # fmt: skip


def smile(*arguments: str, cwd: Path, module: str = "smile") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def wait_until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.3)


def metrics(results: Path) -> pd.DataFrame:
    table = read_metrics(results / "e/smoke")
    own = ("wall_seconds", "created", "git_commit")
    return table.drop(columns=list(own)).sort_values(
        ["run_id", "step_size", "replication", "metric"], ignore_index=True
    )


def test_a_folder_that_somebody_else_may_have_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "theirs").mkdir()
    owner = os.getuid()
    monkeypatch.setattr(local_slurm, "missing", list)
    for name in ("link", "open", "theirs"):
        monkeypatch.setattr(os, "getuid", lambda other=name == "theirs": owner + other)
        for action in ("start", "stop"):
            monkeypatch.setattr(sys, "argv", ["local_slurm", action, "--folder", str(tmp_path / name)])
            assert local_slurm.main() == 2
            assert f"{tmp_path / name} must be a folder of yours" in capsys.readouterr().err
    assert all(not list((tmp_path / name).iterdir()) for name in ("mine", "open", "theirs"))


def test_a_sweep_with_a_failure_a_cancellation_and_a_timeout(
    slurm: None, sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    first = smile(*sweep, *SLURM, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "6 runs: 0 finished, 0 already queued or running" in first.stdout
    job = re.search(r"submitted 6 runs: Slurm job (\d+)", first.stdout)
    assert job
    folder = tmp_path / "results/e/smoke"
    assert len(survey(folder).of("queued", "running")) == 6
    command = [sys.executable, "-m", "smile", *sweep, "results_dir=undisturbed", "hydra/launcher=cores"]
    with open(tmp_path / "log", "w") as log:
        undisturbed = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    wait_until(lambda: list(tmp_path.glob("undisturbed/*/*/submissions/*/changes.diff")), 60)

    # What is frozen is what runs: from here on, the YAML of the sweep is another one, and a broken one.
    for file in (tmp_path / "conf/case").iterdir():
        file.rename(file.with_suffix(".kept"))

    def state(number: int) -> str:
        return next((run.state for run in survey(folder).runs if run.status.job == f"{job[1]}_{number}"), "")

    wait_until(lambda: state(1) == "running", 60)
    subprocess.run(["scancel", f"{job[1]}_1"], check=True)

    waited = smile("e", "--wait", cwd=tmp_path, module="smile.tools.status")
    assert waited.returncode == 1
    print(waited.stdout)
    assert "RuntimeError: the posterior is broken" in waited.stdout
    # On a busy machine the queue may be silent when it is asked for the job, and --wait returns.
    wait_until(lambda: state(0) == "done", 150)
    assert state(1) in ("lost", "preempted")
    assert state(2) == "failed"
    assert [state(number) for number in range(3, 6)] == ["done"] * 3
    (traceback,) = smile("e", "--failed", cwd=tmp_path, module="smile.tools.status").stdout.split()
    assert "Traceback" in (tmp_path / traceback).read_text()
    lives = "".join(p.read_text() for p in folder.glob(f"submissions/*/.submitit/{job[1]}_0/*.out"))
    assert "Requeued job" in lives
    before, _, after = lives.partition("Requeued job")
    reached = max(map(int, re.findall(r"(\d+)%", before)), default=0)
    resumed = re.search(r"(\d+)%", after)
    # on a busy machine the first life may not come far
    assert resumed and int(resumed[1]) >= min(reached, 10), "it began again from nothing"

    # The second submission does what is missing, and nothing else.
    for file in (tmp_path / "conf/case").iterdir():
        file.rename(file.with_suffix(".yaml"))
    (tmp_path / "well").touch()
    second = smile(*sweep, *SLURM, cwd=tmp_path)
    assert "6 runs: 4 finished, 0 already queued or running" in second.stdout
    assert "submitted 2 runs" in second.stdout
    assert smile("e", "--wait", cwd=tmp_path, module="smile.tools.status").returncode == 0
    third = smile(*sweep, *SLURM, cwd=tmp_path)
    assert "6 finished" in third.stdout and "nothing to submit" in third.stdout

    assert undisturbed.wait(60) == 0, (tmp_path / "log").read_text()
    one, other = metrics(tmp_path / "results"), metrics(tmp_path / "undisturbed")
    assert one["run_id"].nunique() == 7  # and the deep ensemble
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    print(f"{time.monotonic() - start:.0f} s")

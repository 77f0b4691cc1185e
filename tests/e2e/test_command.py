"""The command as a user types it, in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smile.tracking import read_metrics

ROOT = Path(__file__).parents[2]
ALONE = "tracker.wandb.mode=disabled"  # tests/tracking has W&B; starting it costs as much as the run
SWEEP = ["+experiment=table1", "scale=smoke", "target=icg", "noise=isotropic,diagonal", ALONE]


def smile(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smile", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL in the middle, workers included: the second call repeats no finished run, and none is half there."""
    command = [sys.executable, "-m", "smile", *SWEEP]
    runs = tmp_path / "results/table1/smoke/runs"
    with open(tmp_path / "log", "w") as log:
        first = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 300
        while len(list(runs.glob("*/metrics.parquet"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    finished = {file: file.stat().st_mtime_ns for file in runs.glob("*/metrics.parquet")}
    assert 2 <= len(finished) < 8

    second = smile(*SWEEP, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert f"{len(finished)} of 8 runs are finished and skipped" in second.stdout
    assert len(re.findall(r"^\[\d/8\] .*: bias ", second.stderr, re.MULTILINE)) == 8 - len(finished)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    metrics = read_metrics(runs.parent)
    assert metrics["run_id"].nunique() == 8
    ours = ("config.yaml", "metrics.parquet", "status.json")
    assert sorted(p.name for p in runs.rglob("*.*") if p.name not in ours) == []

    # What was computed after the kill is what an undisturbed run computes.
    again = smile("noise=diagonal", "sampler=sgld", "target=icg", "scale=smoke", ALONE, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    alone = read_metrics(tmp_path / "results/adhoc/smoke").query("metric == 'bias'")["value"]
    swept = metrics.query("metric == 'bias' and noise == 'diagonal' and sampler == 'sgld'")["value"]
    np.testing.assert_allclose(alone.to_numpy(), swept.to_numpy(), rtol=1e-6)


def test_the_target_of_the_documentation_in_ten_lines(tmp_path: Path) -> None:
    page = (ROOT / "docs/commands.md").read_text()
    code = re.search(r"```python\n# my_posterior\.py\n(.*?)```", page, re.DOTALL)
    command = re.search(r"^smile (target=custom .*)$", page, re.MULTILINE)
    assert code and command
    assert len(code[1].strip().splitlines()) <= 10
    (tmp_path / "my_posterior.py").write_text(code[1])
    done = smile(*command[1].split(" "), "num_steps=4000", "replications=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ESS / gradient" in done.stdout
    (file,) = (tmp_path / "results/adhoc").rglob("draws.npz")
    draws = np.load(file, allow_pickle=False)
    assert draws["draws"].shape[0] == len(draws["step_size"]) == len(draws["replication"])
    assert np.isfinite(draws["draws"][0]).all()


KILLED = {
    "psmile": ["+method=psmile", "num_steps=2000", "burn_in=1000", "thinning=100"],
    "mile": ["+method=mile", "num_steps=140", "burn_in=40", "thinning=10"],
}
FOLDERS = {"psmile": "checkpoints", "mile": "adaptation_checkpoints"}  # of the stage that is killed


@pytest.mark.parametrize("method", KILLED)
def test_a_network_run_that_was_killed_ends_bit_for_bit_the_same(method: str, tmp_path: Path) -> None:
    """SIGKILL at a random moment after the first checkpoint; metrics, history and draws are equal in the end."""
    arguments = [
        "target=bnn", "scale=smoke", "warm_start.max_epochs=3", "target.checkpoint_minutes=0",
        "target.draws=stream", "devices=1", ALONE, *KILLED[method],
    ]  # fmt: skip
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    whole = smile(*arguments, cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr

    command = [sys.executable, "-m", "smile", *arguments]
    life = subprocess.Popen(
        command, cwd=tmp_path / "killed", stderr=subprocess.DEVNULL, start_new_session=True
    )
    runs = tmp_path / "killed/results/adhoc/smoke/runs"
    deadline = time.monotonic() + 300
    while life.poll() is None and time.monotonic() < deadline:
        if any(path.name.isdigit() for path in runs.glob(f"*/{FOLDERS[method]}/*")):
            break
        time.sleep(0.02)
    time.sleep(np.random.default_rng(0).uniform(0, 0.3))
    assert life.poll() is None
    os.killpg(life.pid, signal.SIGKILL)
    life.wait()
    again = smile(*arguments, cwd=tmp_path / "killed")
    assert again.returncode == 0, again.stderr

    one, other = (read_metrics(tmp_path / folder / "results/adhoc/smoke") for folder in ("whole", "killed"))
    same = [name for name in one if name not in ("wall_seconds", "created", "git_commit")]
    pd.testing.assert_frame_equal(one[same], other[same], check_exact=True)
    for pattern in ("runs/*/history.parquet", "runs/*/draws/*.npy", "runs/*/posterior.smile"):
        files = [sorted((tmp_path / f / "results/adhoc/smoke").glob(pattern)) for f in ("whole", "killed")]
        assert len(files[0]) == len(files[1]) > 0
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_a_users_own_csv_from_file_to_lppd_in_one_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    rows = "".join(f"{a:.4f},{b:.4f},{a - 2 * b + rng.normal() / 5:.4f}\n" for a, b in x)
    (tmp_path / "wine.csv").write_text("acidity,sugar,quality\n" + rows)
    page = (ROOT / "docs/commands.md").read_text()
    command = re.search(r"^smile (target=bnn data=csv .*)$", page, re.MULTILINE)
    assert command
    done = smile(*command[1].split(" "), "scale=smoke", "target.batch_size=32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "LPPD" in done.stdout and "gain over DE" in done.stdout

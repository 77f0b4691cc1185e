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
import pytest

from smile.tracking import read_metrics

ROOT = Path(__file__).parents[2]
SWEEP = ["+experiment=table1", "scale=smoke", "target=icg", "noise=isotropic,diagonal"]


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
        deadline = time.monotonic() + 120
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
    assert sorted(p.name for p in runs.rglob("*.*") if p.name not in ("config.yaml", "metrics.parquet")) == []

    # What was computed after the kill is what an undisturbed run computes.
    again = smile("noise=diagonal", "sampler=sgld", "target=icg", "scale=smoke", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    alone = read_metrics(tmp_path / "results/adhoc/smoke").query("metric == 'bias'")["value"]
    swept = metrics.query("metric == 'bias' and noise == 'diagonal' and sampler == 'sgld'")["value"]
    np.testing.assert_allclose(alone.to_numpy(), swept.to_numpy(), rtol=1e-6)


def test_the_target_of_the_readme_in_ten_lines(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n# my_posterior\.py\n(.*?)```", readme, re.DOTALL)
    command = re.search(r"^smile (target=custom .*)$", readme, re.MULTILINE)
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


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["--hydra-help"]])
def test_help_and_configs_show_without_running(arguments: list[str], tmp_path: Path) -> None:
    done = smile(*arguments, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout and "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()

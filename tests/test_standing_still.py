"""A chain that stands still must not look good: not in its sample size, not in R-hat, not on the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from smile.execute import execute
from smile.preflight import compose
from smile.tracking.console import summary_table
from smile.tracking.statistics import has_mixed, summarise


def test_rosenbrock_at_a_step_of_a_millionth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    still = [
        "target=rosenbrock",
        "sampler=smile",
        "noise=none",
        "sampler.L=5",
        "step_size=[1e-6,0.3]",
        "num_steps=20000",
    ]
    rows = execute(compose([*still, "replications=16", "tracker.wandb.mode=disabled"]), tmp_path, "test")
    summary = summarise(rows)
    assert 0.5 < summary.loc[("ess_moments_min", 1e-6), "mean"] < 2
    rhat = summary.loc[("rhat_max", 1e-6)]
    assert rhat["infinite"] == 16 or rhat["mean"] > 5
    assert not has_mixed(summary, 1e-6) and has_mixed(summary, 0.3)
    summary_table(rows)
    _, still_row, moving_row, *rest = [
        line for line in capsys.readouterr().out.splitlines() if line.strip(" ─")
    ]
    assert "†" in still_row and "†" not in moving_row and "← best" in moving_row
    assert "not mixed" in rest[-1] and "num_steps" in rest[-1]

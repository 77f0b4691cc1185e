"""A user's own posterior: exact gradients unless told otherwise, parameters by name, and no draw from nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from smile.execute import execute
from smile.preflight import compose
from smile.tracking.console import summary_table
from smile.tracking.statistics import reached, summarise

MODULE = """
import jax, jax.numpy as jnp, numpy as np
from smile.base import Moments
from smile.targets import from_logdensity

def logdensity(p):
    return -0.5 * jnp.sum((p["theta"] - 3) ** 2 / jnp.array([1.0, 4.0])) - 0.5 * p["log_tau"] ** 2

def start(key):
    return {"theta": 3 + jax.random.normal(key, (2,)), "log_tau": 0.0}

def gaussian():
    return from_logdensity(logdensity, start)

def half():
    '''x > 0: outside there is nothing.'''
    inside = lambda x: jnp.where(x[0] > 0, -0.5 * jnp.sum(x**2), -jnp.inf)
    return from_logdensity(inside, jnp.ones(2), moments=Moments(np.ones(2), np.full(2, 2.0)))
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_posteriors.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_posteriors", raising=False)

    def run(name: str, *options: str) -> pd.DataFrame:
        chosen = ["target=custom", f"target.factory=my_posteriors.{name}", "tracker.wandb.mode=disabled"]
        config = compose([*chosen, *options])
        assert config.noise.name == "none"
        return execute(config, tmp_path, "test")

    return run


def test_parameters_are_summarised_by_name(run, tmp_path: Path) -> None:
    rows = run(
        "gaussian", "sampler=smile", "sampler.L=3", "step_size=[0.3,0.6]", "num_steps=20000", "replications=8"
    )
    table = pd.read_parquet(tmp_path / "parameters.parquet")
    assert table["parameter"].tolist() == ["log_tau", "theta[0]", "theta[1]"] * 2
    errors = table["sd"] / np.sqrt(table["ess"])
    truth = np.array([0.0, 3.0, 3.0] * 2)
    assert (np.abs(table["mean"] - truth) < 4.5 * errors + 0.01).all()
    np.testing.assert_allclose(table["sd"], [1, 1, 2] * 2, rtol=0.08)
    assert (table["rhat"] < 1.05).all()
    summary = summarise(rows)
    assert (summary.loc["num_divergent", "mean"] == 0).all() and (
        summary.loc["rhat_max", "mean"] < 1.05
    ).all()


def test_chains_start_apart_where_the_start_is_a_function(run) -> None:
    from my_posteriors import gaussian

    target = gaussian()
    starts = [np.asarray(target.init(jax.random.key(seed))["theta"]) for seed in range(2)]
    assert target.dim == 3 and not np.array_equal(*starts)


def test_steps_outside_the_support_are_counted_and_never_the_best(
    run, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a step size of 1e-4 chains stay where they are; at 0.3 they leave, and what is left looks narrow."""
    rows = run("half", "sampler=sgld", "step_size=[1e-4,0.3]", "num_steps=2000", "replications=4")
    summary = summarise(rows)
    divergent = summary.loc["num_divergent", "mean"]
    assert divergent[1e-4] == 0 and divergent[0.3] > 100
    found = reached(summary)
    assert found is not None and found.step_size == 1e-4
    summary_table(rows)
    assert "divergent" in capsys.readouterr().out

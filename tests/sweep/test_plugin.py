"""A sweeper of another package: its runs, and one line where it chooses a wrong one or is wrong itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from smile.config.run import RunConfig
from smile.run import main


class Foreign(Sweeper):
    """Runs what its configuration says."""

    __module__ = "hydra_plugins.foreign"  # Hydra takes no other

    def __init__(self, runs: Sequence[str]) -> None:
        self.runs = [str(int(run)) if run == "broken" else run for run in runs]

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        for number, run in enumerate(self.runs):
            (found,) = self.launcher.launch([[*arguments, run]], initial_job_idx=number)
            assert found.return_value != 0


@pytest.mark.parametrize(
    ("runs", "done", "words"),
    [
        (
            ["seed=1", "seed=-1"],
            [1],
            "seed: got -1; valid: a whole number >= 0 and <= 4294967295 (a run of the sweeper: scale=smoke seed=-1)",
        ),
        (["sampler=sgldd"], [], "sampler: got 'sgldd'; valid: "),
        (["broken"], [], "Hydra: InstantiationException: Error in call to target"),
    ],
)
def test_runs_of_another_sweeper(
    runs: list[str],
    done: list[int],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    seeds: list[int] = []

    def attempt(config: RunConfig, label: str) -> SimpleNamespace:
        seeds.append(config.seed)
        return SimpleNamespace(state="failed", reason="not tried")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["smile"])
    monkeypatch.setattr("smile.sweep.plugin.attempt", attempt)
    plugins = SimpleNamespace(foreign=SimpleNamespace(Foreign=Foreign))
    monkeypatch.setitem(sys.modules, "hydra_plugins", plugins)
    monkeypatch.setitem(sys.modules, "hydra_plugins.foreign", plugins.foreign)
    Plugins.instance().register(Foreign)
    (tmp_path / "conf/hydra/sweeper").mkdir(parents=True)
    choice = f"_target_: {Foreign.__module__}.Foreign\nruns: {runs}\n"
    (tmp_path / "conf/hydra/sweeper/foreign.yaml").write_text(choice)
    code = main(["scale=smoke", "hydra/sweeper=foreign", "-m", "--config-dir", "conf"])
    lines = [line for line in capfd.readouterr().err.splitlines() if "not tried" not in line]
    assert seeds == done
    assert code == 2 and len(lines) == 1 and lines[0].startswith(f"smile: error: {words}")

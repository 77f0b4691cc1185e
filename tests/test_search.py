"""``hydra/sweeper=optuna``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from smile.run import main
from smile.sweep.attempt import Outcome, run_dir
from smile.sweep.frozen import Job
from smile.tracking.parquet import METRICS_FILE, read_run

SPACE = "sampler.L=tag(log,interval(1,1000))"


def test_a_search_resumes_and_ends_with_the_best_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["smile"])

    page = (Path(__file__).parents[1] / "docs/sweeps.md").read_text()
    (command,) = re.findall(r"^smile (hydra/sweeper=optuna .*) hydra.sweeper.n_trials=5$", page, re.MULTILINE)
    arguments = [*shlex.split(command), "tracker=none", "replications=2"]

    def search(num_trials: int) -> tuple[list[str], str]:
        assert main([*arguments, f"hydra.sweeper.n_trials={num_trials}"]) == 0
        out = capsys.readouterr().out
        return re.findall(r"^trial \d+ of \d+: (.*?)(?:, the best so far)?$", out, re.MULTILINE), out

    first, _ = search(2)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob(METRICS_FILE)}
    assert len(first) == len(written) == 2
    trials, out = search(3)
    assert trials[:2] == first and len(trials) == 3
    assert all(file.stat().st_mtime_ns == since for file, since in written.items())
    bias = {}
    for file in tmp_path.rglob(METRICS_FILE):
        rows = read_run(file.parent)
        bias[file.parent.name] = rows[rows["metric"] == "bias_published"]["value"].mean()
    best = re.search(
        r"^best of 3 runs, lowest bias_published: .*, run (\w+)\n  (step_size=.*)$", out, re.MULTILINE
    )
    assert best and len(bias) == 3 and bias[best[1]] == min(bias.values())
    assert f"again: smile sampler=sgld scale=smoke tracker=none replications=2 {best[2]}\n" in out
    assert next(line for line in out.splitlines() if "← best" in line).split()[1] == best[1]


def test_with_cores_as_many_runs_are_chosen_and_computed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    together: list[tuple[int, int]] = []

    def compute(jobs: Sequence[Job], at_once: int, since: float) -> tuple[set[int], list[Outcome]]:
        together.append((len({run_dir(job.config) for job in jobs}), at_once))
        return set(), []  # as where all of them failed

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["smile"])
    monkeypatch.setattr("smile.search.run_all", compute)
    cores = ["hydra/launcher=cores", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_trials=3"]
    assert main(["hydra/sweeper=optuna", *cores, SPACE, "scale=smoke", "tracker=none"]) == 1
    assert together == [(2, 2), (1, 2)]
    assert len(re.findall(r"^trial \d of 3: .*: failed$", capsys.readouterr().out, re.MULTILINE)) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "hydra/sweeper: got 'optuna'; valid: an option to search, such as"),
        ("sampler.L=interval(10,1)", "low is less than high"),
        ("sampler.L=tag(log,interval(0,1))", "`low > 0` must hold"),
        ("sampler.L=tag(log,range(1,5))", "log is the only tag, and one of intervals"),
        (
            "sampler.L=interval(-1,1)",
            "sampler.L: got -1.0; valid: null or inf or a finite number > 0 (run 1 of 3",
        ),
        ("num_steps=interval(1000,2000)", "num_steps: got 1618."),
        ("sampler=smile,sgld sampler.L=interval(1,2)", "sampler.L: no such option of sampler=sgld"),
        ("noise=isotropic,diagonal", "valid: one value: a search compares runs of one problem"),
        ("force=true,false", "two values at least, with which a run has other numbers"),
        (
            f"{SPACE} hydra.sweeper.objective=lppd",
            "objective: got 'lppd'; valid: null, a metric of validation",
        ),
        (f"{SPACE} +hydra.sweeper.ntrials=2", "did you mean 'n_trials'?"),
        (f"{SPACE} hydra/launcher=local", "basic or cores with a search"),
        (
            "+hydra.sweeper.params.sampler.L='interval(1,'",
            "hydra.sweeper.params.sampler.L: got 'interval(1,'",
        ),
    ],
)
def test_a_wrong_search_is_one_line(
    arguments: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["smile"])
    code = main(["hydra/sweeper=optuna", *arguments.split()])
    out, err = capsys.readouterr()
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_preset_says_what_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["smile"])
    preset = "+experiment=table1 scale=smoke noise=diagonal target=icg dry_run=true"
    assert main(["hydra/sweeper=optuna", *preset.split()]) == 0
    shown = capsys.readouterr().out
    assert "  sampler: CategoricalDistribution(choices=('smile', 'psmile', 'sgld', 'sghmc'))" in shown

"""What the command does around a run: skip what is finished, go on after a failure, resume after an interruption."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import smile.run
from smile.config import RunConfig
from smile.run import main
from smile.tracking import write_metrics
from smile.tracking.parquet import SCHEMA

SWEEP = ["-m", "sampler=smile,sgld,sghmc", "scale=smoke"]


@pytest.fixture
def execute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A stand-in for the sampling: notes its calls and writes two numbers, or does what ``on_call`` does."""
    fake = SimpleNamespace(calls=[], labels=[], on_call=lambda config: None)

    def run(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
        fake.calls.append(config.sampler.name)
        fake.labels.append(label)
        fake.on_call(config)
        names = {"run_id": run_dir.name, "sampler": config.sampler.name, "metric": "bias"}
        blank = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}
        rows = pd.DataFrame(
            [blank | names | {"step_size": x, "value": v} for x, v in ((0.1, 3.0), (0.2, 2.0))]
        )
        write_metrics(run_dir / "metrics.parquet", rows)
        return rows

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    monkeypatch.setattr(smile.run, "_prepare_jax", lambda config: None)
    monkeypatch.setitem(sys.modules, "smile.execute", SimpleNamespace(execute=run))
    return fake


def fails_for(name: str, error: BaseException) -> Callable[[RunConfig], None]:
    def on_call(config: RunConfig) -> None:
        if config.sampler.name == name:
            raise error

    return on_call


def test_finished_runs_are_skipped_unless_forced(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SWEEP) == 0
    assert execute.calls == ["smile", "sgld", "sghmc"]
    assert execute.labels[1] == "[2/3] icg isotropic sgld"
    assert len(list(Path("results/adhoc/smoke/runs").iterdir())) == 3
    assert main(SWEEP) == 0
    assert len(execute.calls) == 3 and "3 of 3 runs are finished and skipped" in capsys.readouterr().out
    assert main([*SWEEP, "force=true"]) == 0
    assert len(execute.calls) == 6


def test_a_failing_run_is_reported_and_the_others_go_on(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    execute.on_call = fails_for("sgld", RuntimeError("out of luck\nand more"))
    assert main(SWEEP) == 1
    assert execute.calls == ["smile", "sgld", "sghmc"]
    err = capsys.readouterr().err
    assert (
        "1 of 3 runs failed" in err and err.count("RuntimeError: out of luck") == 2 and "Traceback" not in err
    )
    (failure,) = Path("results").rglob("failure.txt")
    assert "Traceback" in failure.read_text()
    execute.on_call = lambda config: None
    assert main(SWEEP) == 0
    assert execute.calls[3:] == ["sgld"] and not failure.exists()


def test_an_interrupted_sweep_resumes_with_the_same_command(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    execute.on_call = fails_for("sgld", KeyboardInterrupt())
    assert main(SWEEP) == 130
    assert "the same command resumes" in capsys.readouterr().err
    execute.on_call = lambda config: None
    assert main(SWEEP) == 0
    assert execute.calls == ["smile", "sgld", "sgld", "sghmc"]


def test_results_of_the_paper_scale_lie_on_top(execute: SimpleNamespace) -> None:
    assert main(["scale=paper"]) == 0
    assert Path("results/adhoc/runs").is_dir()


def test_showing_a_config_or_the_help_computes_nothing(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["+experiment=table1", "--cfg", "job"]) == 0
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    assert capsys.readouterr().out.count("step_size: null") == 2
    assert execute.calls == []


def test_a_single_run_ends_with_its_table_also_when_it_is_skipped(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["scale=smoke"]) == 0
        out = capsys.readouterr().out
        assert "2.00e-01" in out and "← best" in out and "results: results/adhoc/smoke" in out
    assert len(execute.calls) == 1


def test_a_sweep_says_how_each_run_ended(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    execute.on_call = fails_for("sghmc", RuntimeError("out of luck"))
    assert main(SWEEP) == 1
    err = capsys.readouterr().err
    assert "[1/3] icg isotropic smile: bias 2 at step size 2.0e-01" in err
    assert "[3/3] icg isotropic sghmc: failed: RuntimeError: out of luck" in err

"""What the command does around a run: skip what is finished, go on after a failure, resume after an interruption."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import smile.run
import smile.sweep.attempt
from smile.config.run import RunConfig
from smile.preflight import compose
from smile.run import main
from smile.runs.lock import claim
from smile.tools.compact import main as compact_main
from smile.tracking import read_metrics, read_run, write_metrics
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
    monkeypatch.setattr(smile.run, "prepare_jax", lambda config: None)
    monkeypatch.setattr(smile.sweep.attempt, "prepare_jax", lambda config, shares_machine: None)
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
    assert "1 of 3 runs failed" in err and err.count("RuntimeError: out of luck") == 2
    assert "Traceback" not in err
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


def test_a_run_that_another_process_is_at_is_left_to_it(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SWEEP) == 0
    directory = next(Path("results/adhoc/smoke/runs").iterdir())
    (directory / "metrics.parquet").unlink()
    with claim(directory):
        assert main(SWEEP) == 1
    assert "process" in capsys.readouterr().err and len(execute.calls) == 3
    assert main(SWEEP) == 0
    assert len(execute.calls) == 4


def test_merged_runs_are_finished(execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SWEEP) == 0
    assert compact_main(["adhoc"]) == 0
    assert list(Path("results/adhoc/smoke/runs").iterdir()) == []
    assert main(SWEEP) == 0
    assert main(["sampler=sgld", "scale=smoke"]) == 0
    assert len(execute.calls) == 3 and "← best" in capsys.readouterr().out


def test_a_dry_run_lists_and_starts_nothing(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SWEEP, "dry_run=true"]) == 0
    out = capsys.readouterr().out
    assert "3 runs: 0 done, 3 to do" in out and "cost unknown" in out
    assert execute.calls == [] and not Path("results").exists()
    assert main(["sampler=sgld", "scale=smoke"]) == 0
    (file,) = Path("results").rglob("metrics.parquet")
    config = compose(["sampler=sgld", "scale=smoke"])
    write_metrics(file, read_run(file.parent).assign(wall_seconds=100.0, num_steps=config.num_steps, target="icg",
        data="none", noise="isotropic", tuner="none", step_size=[0.1, 0.2]))  # fmt: skip
    capsys.readouterr()
    assert main([*SWEEP, "dry_run=true"]) == 0
    out = capsys.readouterr().out
    assert "3 runs: 1 done, 2 to do" in out and "nothing was started" in out
    # two step sizes and one replication took 100 s; the sweep has four of two
    assert "about 13 min of computing; 1 at once: 13 min" in out
    assert len(execute.calls) == 1


def test_dates_that_will_be_off_are_announced(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smile.run.time, "time", lambda: time.time_ns() / 1e9 + 3600)
    assert main(["scale=smoke"]) == 0
    assert "clocks of this machine and of" in capsys.readouterr().err


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system, where the machine lets us."""
    mounted = []

    def make(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            if os.environ.get("CI"):
                pytest.fail("mounting a small disk needs root")
            pytest.skip("mounting a small disk needs root")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_written_stops_the_command_in_one_line(
    execute: SimpleNamespace, mount: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mount("ro")
    assert main([*SWEEP, f"results_dir={folder}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "results_dir: got" in err and "Read-only file system" in err
    assert execute.calls == []


def test_a_full_disk_fails_runs_in_one_line_and_leaves_nothing_half_written(
    execute: SimpleNamespace, mount: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mount("size=128k")
    ballast = folder / "ballast"

    def fill(config: RunConfig) -> None:
        if config.sampler.name == "sgld":
            with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass

    execute.on_call = fill
    assert main([*SWEEP, f"results_dir={folder}"]) == 1
    err = capsys.readouterr().err
    assert "2 of 3 runs failed" in err and "No space left on device" in err
    assert "[1/3] icg isotropic smile: bias 2" in err
    (sound,) = folder.rglob("metrics.parquet")
    assert len(read_metrics(sound.parents[2])) == 2
    assert list(folder.rglob("*.tmp")) == [] and list(folder.rglob("lock")) == []
    ballast.unlink()
    execute.on_call = lambda config: None
    assert main([*SWEEP, f"results_dir={folder}"]) == 0
    assert sorted(execute.calls[-2:]) == ["sghmc", "sgld"]

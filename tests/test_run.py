"""What the command does around a run: skip what is finished, go on after a failure, resume after an interruption."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import smile.execute
import smile.run
import smile.sweep.attempt
import smile.sweep.early
import smile.sweep.together
from smile.config.run import RunConfig
from smile.preflight import compose
from smile.run import main, run_dir
from smile.runs import status
from smile.runs.lock import Lock, claim
from smile.runs.owner import this_process
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
    monkeypatch.setattr(smile.sweep.early, "prepare_jax", lambda config: None)
    monkeypatch.setattr(smile.sweep.attempt, "prepare_jax", lambda config, shares_machine: None)
    monkeypatch.setattr(smile.execute, "execute", run)
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
    err = capsys.readouterr().err
    assert "[2/3] icg isotropic sgld: interrupted" in err and "the same command resumes" in err
    execute.on_call = lambda config: None
    assert main(SWEEP) == 0
    assert execute.calls == ["smile", "sgld", "sgld", "sghmc"]


def test_a_sweep_in_slices_does_a_run_at_least_in_each_and_begins_none_when_time_is_over(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SWEEP, "max_minutes=1e-9"]
    assert [main(command) for _ in range(2)] == [4, 4]
    assert "stopped at the end of max_minutes; 2 of 3 runs are finished" in capsys.readouterr().err
    assert main(command) == 0 and execute.calls == ["smile", "sgld", "sghmc"]
    assert main(SWEEP) == 0 and len(execute.calls) == 3  # they are the same runs
    assert main([*command, "force=true"]) == 2
    assert "false with max_minutes" in capsys.readouterr().err


def test_results_of_the_paper_scale_lie_on_top(execute: SimpleNamespace) -> None:
    assert main(["scale=paper"]) == 0
    assert Path("results/adhoc/runs").is_dir()


def test_showing_a_config_or_the_help_computes_nothing(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["+experiment=table1", "--cfg", "job"]) == 0
    assert capsys.readouterr().out.count("step_size: null") == 1
    assert main(["sampler=sgld", "target=bnn", "--help"]) == 0
    shown = capsys.readouterr().out
    for line in ("+method: a sampler with its tuner", "sampler=sgld: ", "target.prior=normal ", "seed=0 "):
        assert line in shown
    with pytest.raises(SystemExit, match="0"):  # Hydra's own
        main(["--hydra-help"])
    assert "Hydra" in capsys.readouterr().out
    assert execute.calls == [] and not Path("results").exists()


def test_flags_stand_anywhere(execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale=smoke", "-m", "sampler=smile,sgld"]) == 0
    assert execute.calls == ["smile", "sgld"]
    assert main(["seed=1", "--cfg", "job", "scale=smoke", "-p", "a"]) == 2
    assert main(["seed=1", "--cfg", "job", "seed=2"]) == 2
    assert main(["seed=1", "--wrong", "scale=smoke"]) == 2
    err = capsys.readouterr().err
    assert (
        "seed: got '1 and 2'" in err and "got 'unrecognized arguments: --wrong'; valid: option=value" in err
    )
    assert main(["seed=1", "--cfg", "job", "sampler=sgld"]) == 0  # which Hydra reads itself
    assert "\nseed: 1\n" in capsys.readouterr().out


def test_the_version_is_that_of_smile(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        main(["--version"])
    assert exit_of.value.code == 0
    assert capsys.readouterr().out == f"smile {smile.__version__}\n"


def test_no_pickle_that_a_user_was_handed_is_loaded(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("job.pickle").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    assert main(["--experimental-rerun", "job.pickle"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("smile: error: --experimental-rerun: got 'job.pickle'")
    assert execute.calls == [] and not Path("executed").exists()


def test_a_single_run_ends_with_its_table_also_when_it_is_skipped(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["scale=smoke"]) == 0
        out = capsys.readouterr().out
        assert "2.00e-01" in out and "← best" in out and "results: results/adhoc/smoke" in out
    assert len(execute.calls) == 1
    assert main([*SWEEP, "dry_run=true", "hydra.job_logging.root.level=FOO"]) == 2  # as a run would
    assert "hydra.job_logging: got \"Unknown level: 'FOO'\"" in capsys.readouterr().err


def test_a_sweep_says_how_each_run_ended(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    execute.on_call = fails_for("sghmc", RuntimeError("out of luck"))
    assert main(SWEEP) == 1
    err = capsys.readouterr().err
    assert "[1/3] icg isotropic smile: bias 2 at step size 2.0e-01" in err
    assert "[3/3] icg isotropic sghmc: failed: RuntimeError: out of luck" in err


def test_a_single_run_that_another_process_is_at_is_left_to_it(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sampler=sgld", "scale=smoke"]
    directory = run_dir(compose(command))
    directory.mkdir(parents=True)
    with claim(directory) as lock:
        assert isinstance(lock, Lock)
        with status.running(directory, "icg isotropic sgld", "", lock):
            assert main(command) == 3
            out, err = capsys.readouterr()
            assert main([*command, "force=true"]) == 3
    (line,) = err.splitlines()
    began = datetime.now().strftime("since %Y-%m-%d ")
    assert f"process {os.getpid()} on " in line and began in line and "is at this run" in line
    assert "failed" not in err and "best" not in out and execute.calls == []
    assert main(command) == 0


def test_a_sweep_waits_for_runs_that_others_are_at_and_does_what_they_leave_undone(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(SWEEP) == 0
    capsys.readouterr()
    done, left = sorted(Path("results/adhoc/smoke/runs").iterdir())[:2]
    rows = read_run(done)
    ended, waits = threading.Event(), threading.Event()
    sleep = SimpleNamespace(sleep=lambda seconds: (waits.set(), time.sleep(0.05)))
    monkeypatch.setattr(smile.sweep.together, "time", sleep)

    def others() -> None:
        with claim(done), claim(left):
            (done / "metrics.parquet").unlink()
            (left / "metrics.parquet").unlink()
            ended.set()
            waits.wait(100)
            write_metrics(done / "metrics.parquet", rows)

    thread = threading.Thread(target=others)
    thread.start()
    ended.wait()
    assert main(SWEEP) == 0
    thread.join()
    assert len(execute.calls) == 4
    assert "waiting for 2 runs that others are at: " in capsys.readouterr().err


def test_waiting_for_others_ends_with_a_signal(
    execute: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(SWEEP) == 0
    directory = next(Path("results/adhoc/smoke/runs").iterdir())
    (directory / "metrics.parquet").unlink()
    with claim(directory):
        signals = SimpleNamespace(
            sleep=lambda seconds: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.2))
        )
        monkeypatch.setattr(smile.sweep.together, "time", signals)
        assert main(SWEEP) == 143


def test_a_second_start_leaves_the_status_of_a_live_run_alone(execute: SimpleNamespace) -> None:
    seen = []

    def start_again(config: RunConfig) -> None:
        if config.sampler.name == "sgld" and not seen:
            directory = run_dir(config)
            seen.append(directory)
            with status.waiting({directory: "icg"}):  # as another command does first
                seen.append(status.read(directory))

    execute.on_call = start_again
    assert main(SWEEP) == 0
    assert seen[1].state == "running" and status.read(seen[0]).state == "done"


def test_what_is_no_lock_fails_its_run_and_no_other(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = run_dir(compose(["sampler=sgld", "scale=smoke"]))
    (directory / "lock").mkdir(parents=True)
    assert main(SWEEP) == 1
    assert execute.calls == ["smile", "sghmc"]
    assert "remove what lies where a lock should be" in capsys.readouterr().err


def test_a_damaged_result_is_named_and_computed_again(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sampler=sgld", "scale=smoke"]
    assert main(command) == 0
    (file,) = Path("results").rglob("metrics.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    assert main(command) == 0
    assert f"{file} cannot be read and is computed again" in capsys.readouterr().err
    assert len(execute.calls) == 2


def test_a_damaged_file_of_merged_runs_stops_the_command_in_one_line(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SWEEP) == 0
    assert compact_main(["adhoc"]) == 0
    file = Path("results/adhoc/smoke/compact/metrics.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    capsys.readouterr()
    assert main(SWEEP) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"smile: error: {file} cannot be read") and len(execute.calls) == 3


@pytest.mark.parametrize("overrides", [[], SWEEP])
def test_what_a_process_killed_after_its_metrics_has_left_goes_with_the_next_command(
    overrides: list[str], execute: SimpleNamespace
) -> None:
    """But not what belongs to a process that lives."""
    command = overrides or ["scale=smoke"]
    assert main(command) == 0
    folders = sorted(Path("results/adhoc/smoke/runs").iterdir())
    expected = sorted(Path("results").rglob("*"))
    for folder in folders:
        (folder / "lock").write_text(json.dumps(this_process()._replace(pid=1, start=0)))
        (folder / ".status.json.0123456789abcdef.tmp").write_text("{")
    with claim(folders[0]) as lock:
        assert isinstance(lock, Lock)
        assert main(command) == 0
        assert sorted(path.name for path in folders[0].glob(".status*")) == [
            ".status.json.0123456789abcdef.tmp"
        ]
    assert main(command) == 0 and len(execute.calls) == len(folders)
    assert sorted(Path("results").rglob("*")) == expected


def test_results_that_are_there_decide_whatever_became_of_the_process(execute: SimpleNamespace) -> None:
    execute.on_call = lambda config: None
    assert main(["sampler=sgld", "scale=smoke"]) == 0
    (file,) = Path("results").rglob("status.json")
    last = status.read(file.parent)
    assert last
    status.write(file.parent, replace(last, state="failed", reason="killed by signal 9"))
    assert main(["sampler=sgld", "scale=smoke"]) == 0


@pytest.mark.parametrize(
    ("options", "valid"),
    [
        (["hydra/launcher=local", "hydra.launcher.tasks_per_node=-2"], "a number of processes, or 0"),
        (["hydra/launcher=cores", "hydra.launcher.n_jobs=0"], "a number of processes, or -1"),
        (["hydra/launcher=cores", "hydra.launcher.n_jobs=two"], "a number of processes, or -1"),
        (["hydra/launcher=slurm_cpu", "hydra.launcher.tasks_per_node=0"], "a whole number >= 1"),
    ],
)
def test_a_number_of_processes_that_is_none_starts_nothing(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str], options: list[str], valid: str
) -> None:
    assert main([*SWEEP, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("smile: error: hydra.launcher.") and valid in line
    assert execute.calls == [] and not Path("results").exists()


def test_the_last_run_of_a_sweep_over_cores_is_done_by_the_command_itself(
    execute: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["-m", "sampler=smile,sgld", "scale=smoke"]) == 0
    monkeypatch.setattr(smile.sweep.together, "supervise", lambda *_: pytest.fail("no process is needed"))
    assert main([*SWEEP, "hydra/launcher=cores", "hydra.launcher.n_jobs=2"]) == 0
    assert execute.calls[2:] == ["sghmc"]
    assert not Path("outputs").exists()  # Hydra launches nothing


def test_a_host_that_does_not_write_leaves_the_answer_to_the_one_that_does(
    execute: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smile.run, "check_early", lambda configs, **_: None)
    monkeypatch.setattr(smile.sweep.attempt, "_is_follower", lambda config: True)
    assert main(["target=bnn", "scale=smoke", "distributed=true"]) == 0
    out, err = capsys.readouterr()
    assert len(execute.calls) == 1 and not list(Path("results").rglob("metrics.parquet"))
    assert out == "" and "failed" not in err


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


@pytest.mark.parametrize(
    ("name", "flag", "why"),
    [("x" * 300, "dry_run=true", "File name too long"), ("file/results", "dry_run=false", "Not a directory")],
)
def test_a_folder_that_cannot_be_stops_the_command_in_one_line(
    execute: SimpleNamespace, name: str, flag: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert main(["scale=smoke", f"results_dir={name}", flag]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"smile: error: results_dir: got '{name}'; valid: a folder that can be read; {why}"


def test_the_working_directory_may_be_read_only(
    execute: SimpleNamespace, mount: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.chdir(mount("ro"))
        assert main([*SWEEP, f"results_dir={tmp_path}/elsewhere"]) == 0
    assert len(execute.calls) == 3


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], "got ''; valid: option=value; an argument is empty"),
        (["seed=1", "seed=2"], "seed: got '1 and 2'"),
        (["hydra.verbose=true"], "hydra.job_logging.root.level=DEBUG"),
        (["hydra.run.dir=x"], "results_dir=<folder>"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    execute: SimpleNamespace, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2 and not execute.calls
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_sweep_ends_with_a_comparison(execute: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SWEEP) == 0
    out = capsys.readouterr().out
    assert "| sampler |" in out and "smile-compare results/adhoc/smoke" in out

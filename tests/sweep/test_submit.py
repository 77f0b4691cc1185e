"""Presets for queues compose, and what they submit is what they say."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from smile.preflight import compose_command, parse_arguments
from smile.run import main, run_dir
from smile.runs import status
from smile.runs.owner import this_process
from smile.runs.status import Status
from smile.runs.survey import survey

SWEEP = ["-m", "sampler=smile,sgld,sghmc", "scale=smoke"]


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Slurm's command: keeps the scripts."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in (
        ("sbatch", f'cat "$1" >> {tmp_path}/scripts; echo Submitted batch job 7'),
        ("srun", ""),
        ("squeue", "exit 1"),
    ):
        program = programs / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    return tmp_path / "scripts"


def test_a_preset_for_gpus_asks_for_what_it_says(sbatch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "hydra/launcher=slurm_gpu", "hydra.launcher.partition=a100"]) == 0
    script = sbatch.read_text()
    for line in ("--array=0-2%3", "--partition=a100", "--gpus-per-node=1", "--ntasks-per-node=1", "--time=240",
                 "--mem=32GB", "--cpus-per-task=4", "--requeue", "--signal=USR2@120"):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert "export XLA_PYTHON_CLIENT_MEM_FRACTION=0.90" in script
    assert " -P -u -m submitit" in script  # no queue.py of the user's stands in for Python's
    assert "submitted 3 runs: Slurm job 7" in capsys.readouterr().out
    runs = survey(Path("results/adhoc/smoke")).runs
    assert sorted((run.state, run.status.job) for run in runs) == [("queued", f"7_{n}") for n in range(3)]
    assert main([*SWEEP, "hydra/launcher=slurm_gpu"]) == 0
    assert "3 already queued or running" in capsys.readouterr().out


def test_several_runs_share_a_job(sbatch: Path) -> None:
    assert main([*SWEEP, "hydra/launcher=slurm_gpu", "hydra.launcher.tasks_per_node=2"]) == 0
    script = sbatch.read_text()
    assert "--array=0-1%2" in script and "--ntasks-per-node=2" in script
    jobs = sorted(run.status.job for run in survey(Path("results/adhoc/smoke")).runs)
    assert jobs == ["7_0", "7_0", "7_1"]


def test_a_single_run_can_be_queued(sbatch: Path) -> None:
    assert main(["scale=smoke", "hydra/launcher=slurm_cpu", "hydra.launcher.setup=[module load smile]"]) == 0
    assert "--array" not in sbatch.read_text() and "module load smile" in sbatch.read_text()
    assert [run.status.job for run in survey(Path("results/adhoc/smoke")).runs] == ["7"]


def test_a_queue_that_refuses_is_one_line(sbatch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sbatch.parent / "bin/sbatch").write_text(
        "#!/bin/sh\necho invalid partition specified: a100 >&2; exit 1\n"
    )
    assert main([*SWEEP, "hydra/launcher=slurm_gpu"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]  # after sbatch's own
    assert line.startswith("smile: error: hydra/launcher") and "invalid partition" in line
    assert {run.state for run in survey(Path("results/adhoc/smoke")).runs} == {"failed"}


def test_a_command_killed_while_the_queue_takes_its_time_leaves_nothing_queued(sbatch: Path) -> None:
    (sbatch.parent / "bin/sbatch").write_text("#!/bin/sh\ntouch asked; sleep 60\n")
    command = [sys.executable, "-m", "smile", *SWEEP, "hydra/launcher=slurm_gpu"]
    heeds_interrupts = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # also where the tests themselves do not
    submitting = subprocess.Popen(command, start_new_session=True, preexec_fn=heeds_interrupts)
    while not Path("asked").exists() and submitting.poll() is None:
        time.sleep(0.05)
    found = survey(Path("results/adhoc/smoke"))
    assert found.counts["queued"] == 3
    os.killpg(submitting.pid, signal.SIGINT)
    submitting.wait(300)
    assert survey(Path("results/adhoc/smoke")).counts["lost"] == 3


def test_a_run_that_started_meanwhile_keeps_its_status(sbatch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose_command(parse_arguments(["scale=smoke"])).jobs[0].config
    directory = run_dir(config)

    def start(*_: object, **__: object) -> None:  # as soon as the queue has it
        status.write(directory, Status("running", owner=this_process()))

    monkeypatch.setattr("submitit.AutoExecutor.update_parameters", start)
    assert main(["scale=smoke", "hydra/launcher=slurm_cpu"]) == 0
    last = status.read(directory)
    assert last is not None and last.state == "running"


@pytest.mark.parametrize("name", ["slurm_gpu", "slurm_cpu", "local", "cores", "basic"])
def test_every_preset_composes(name: str) -> None:
    command = compose_command(parse_arguments([*SWEEP, f"hydra/launcher={name}"]))
    assert len(command.jobs) == 3
    if "slurm" in name:
        assert command.launcher["max_num_timeout"] > 0

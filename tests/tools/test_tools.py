"""``smile-status``, ``smile-compact``, ``smile-sync`` as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smile.runs import status
from smile.runs.owner import this_process
from smile.runs.status import FAILURE_FILE, Status
from smile.tools import compact, report, sync
from smile.tools import status as command
from smile.tracking import write_metrics
from smile.tracking.config_file import write_config
from smile.tracking.parquet import SCHEMA
from smile.tracking.wandb import wandb_id

BLANK: dict[str, Any] = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs, one that fails, one that runs and one that was killed."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "results/e/smoke/runs"
    for name in ("a", "b"):
        row = {
            "run_id": name,
            "metric": "bias",
            "target": "icg",
            "noise": "isotropic",
            "data": "none",
            "tuner": "none",
        }
        rows = [BLANK | row | {"sampler": "sgld", "step_size": x, "value": x} for x in (0.1, 0.2)]
        write_metrics(runs / name / "metrics.parquet", rows)
        write_config(runs / name, "seed: 0\n")
        status.write(runs / name, Status("done", "icg isotropic sgld", seconds=60))
    for name in ("c", "d", "e"):
        (runs / name).mkdir()
    status.write(runs / "c", Status("failed", "icg diagonal sgld", reason="RuntimeError: out of luck"))
    (runs / "c" / FAILURE_FILE).write_text("RuntimeError: out of luck\n\nTraceback ...")
    status.write(
        runs / "d",
        Status(
            "running", "icg diagonal smile", owner=this_process(), seconds=30, done=50, total=100, rate="1M/s"
        ),
    )
    status.write(runs / "e", Status("running", "icg diagonal psmile", owner=this_process()._replace(start=1)))
    return runs


def test_status_shows_counts_eta_progress_and_failures(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["e"]) == 0
    out = capsys.readouterr().out
    assert "e smoke: 5 runs" in out and "ETA 30 s" in out
    for state, count in (("done", 2), ("running", 1), ("failed", 1), ("lost", 1)):
        assert any(line.split()[:2] == [state, str(count)] for line in out.splitlines())
    assert "50%" in out and "1M/s" in out and "RuntimeError: out of luck" in out and "has vanished" in out


def test_status_for_machines(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["e", "--scale", "smoke", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"done": 2, "running": 1, "queued": 0, "preempted": 0, "failed": 1, "lost": 1}
    failed = next(run for run in found["runs"] if run["state"] == "failed")
    assert failed["reason"] == "RuntimeError: out of luck" and failed["traceback"].endswith("c/failure.txt")


def test_status_names_the_files_with_tracebacks(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["e", "--failed"]) == 0
    (file,) = capsys.readouterr().out.split()
    assert "Traceback" in Path(file).read_text()


def test_status_waits_and_its_exit_code_tells(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.time, "sleep", lambda seconds: status.update(runs / "d", state="done"))
    assert command.main(["e", "--wait"]) == 1


@pytest.mark.parametrize("main", [command.main, compact.main, sync.main])
def test_an_experiment_without_runs_is_one_line(
    main: Any, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tabel1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "no runs of tabel1 in results; there are: e" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("main", [command.main, compact.main, sync.main, report.main])
def test_a_name_leads_to_no_folder_outside_of_the_results(
    main: Any, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs.parents[2] / "other").mkdir()
    for name in ("../results/e", "e/../e", "..", str(runs.parents[1])):
        assert main([name, "--results", "other"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"got {name!r}; valid: a name of letters, digits" in line


def test_what_wandb_has_lost_is_rebuilt_also_from_merged_runs(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compact.main(["e"]) == 0
    assert "merged 2 runs, 2 in" in capsys.readouterr().out
    assert sync.main(["e", "--rebuild-only"]) == 0
    for name in "ab":
        (file,) = Path().glob(f"wandb/offline-run-*-{wandb_id('e', 'smoke', name)}/*.wandb")
        assert file.stat().st_size
    before = sorted(Path("wandb").iterdir())
    assert sync.main(["e", "--rebuild-only"]) == 0
    assert sorted(Path("wandb").iterdir()) == before


def test_what_was_sent_is_not_sent_again(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync.main(["e", "--rebuild-only"]) == 0
    for file in Path().glob("wandb/offline-run-*/*.wandb"):
        file.with_suffix(".wandb.synced").touch()
    capsys.readouterr()
    assert sync.main(["e"]) == 0
    assert "2 sent before, 0 to send" in capsys.readouterr().out


def test_a_server_that_does_not_answer_is_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "is_reachable", lambda url: False)
    assert sync.main(["e"]) == 1
    assert "does not answer; the runs stay in wandb" in capsys.readouterr().err


@pytest.mark.parametrize(
    "module", ["smile.tools.status", "smile.tools.compact", "smile.tools.sync", "smile.tables.cli"]
)
def test_what_looks_at_results_loads_nothing_that_computes_or_composes(module: str) -> None:
    heavy = ("jax", "flax", "hydra", "omegaconf", "smile.config")
    script = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

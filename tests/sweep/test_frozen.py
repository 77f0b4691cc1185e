"""A submission: what is in it is what runs, whatever has happened to YAML, code and data since."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from smile.config.identity import run_id
from smile.options import ConfigError
from smile.preflight import compose_command, parse_arguments
from smile.sweep.frozen import JOBS_FILE, freeze, thaw

COMMANDS = [
    ["-m", "+experiment=table1", "target=icg", "noise=diagonal,correlated", "scale=paper"],
    ["-m", "+experiment=table1_baseline", "scale=smoke"],  # adapts its step sizes
    ["-m", "+experiment=uci", "data=energy", "scale=quick"],
    ["+experiment=table1_published", "target=funnel"],
    ["noise.distribution=student_t", "noise.parameter=3", "step_size=[0.1,0.2]", "sampler.L=inf"],
    ["target=bnn", "model=custom", "model.factory=a.b", "data=digits"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_what_is_thawed_is_what_was_frozen(arguments: list[str], tmp_path: Path) -> None:
    jobs = compose_command(parse_arguments([*arguments, f"results_dir={tmp_path}"])).jobs
    assert jobs and thaw(freeze(jobs)) == [job.config for job in jobs]


def test_a_submission_is_readable_and_knows_its_code(tmp_path: Path) -> None:
    jobs = compose_command(parse_arguments(["scale=smoke", f"results_dir={tmp_path}"])).jobs
    folder, other = freeze(jobs), freeze(jobs)
    assert folder != other
    assert sorted(path.name for path in folder.iterdir()) == ["changes.diff", "commit.txt", JOBS_FILE]
    (plain,) = json.loads((folder / JOBS_FILE).read_text())["jobs"]
    assert plain["config"]["sampler"]["name"] == "psmile" and "${" not in json.dumps(plain)


def test_a_data_file_that_changed_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wine.csv").write_text("a,b\n1,2\n")
    overrides = ["target=bnn", "data=csv", "data.path=wine.csv", "data.target=b", "scale=smoke"]
    jobs = compose_command(parse_arguments(overrides)).jobs
    folder = freeze(jobs)
    Path("wine.csv").write_text("a,b\n1,3\n")
    with pytest.raises(ConfigError, match=f"valid: {run_id(jobs[0].config)}, as submitted"):
        thaw(folder)


def test_one_invalid_combination_among_48_refuses_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from smile.run import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    steps = ",".join(str(12 * number) for number in range(101, 112))
    assert (
        main(["-m", f"num_steps={steps},1206", "thinning=1,2,3,4", "scale=smoke", "hydra/launcher=cores"])
        == 2
    )
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert (
        "thinning: got 4; valid: a divisor of num_steps=1206 (run 48 of 48: num_steps=1206 thinning=4" in err
    )
    assert list(tmp_path.iterdir()) == []

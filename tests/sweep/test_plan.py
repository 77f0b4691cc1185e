"""What a dry run says of the cost, and of whom it is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from smile.config.identity import run_id
from smile.preflight import compose
from smile.run import main
from smile.sweep.attempt import run_dir
from smile.sweep.plan import make_plan, print_plan
from smile.tracking import write_metrics
from smile.tracking.parquet import METRICS_FILE, SCHEMA

OPTIONS = ["step_size=[0.1,0.2]", "replications=2", "num_steps=1000"]


def finished(scale: str, seconds: float, num_steps: int) -> None:
    config = compose([*OPTIONS, f"scale={scale}", f"num_steps={num_steps}"])
    blank = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}
    names = {
        "run_id": run_id(config),
        "target": config.target.name,
        "noise": config.noise.name,
        "data": "none",
        "sampler": config.sampler.name,
        "tuner": config.tuner.name,
        "metric": "bias",
        "num_steps": num_steps,
        "wall_seconds": seconds,
    }
    rows = [blank | names | {"step_size": x, "replication": r} for x in (0.1, 0.2) for r in range(2)]
    write_metrics(run_dir(config) / METRICS_FILE, pd.DataFrame(rows))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("scale", "said"), [("smoke", "at most 17 min"), ("quick", "about 17 min")], ids=["smoke", "quick"]
)
def test_what_a_smoke_run_takes_is_a_bound(scale: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    finished(scale, seconds=10, num_steps=10)
    plan = make_plan([compose([*OPTIONS, "scale=paper"])], 1)
    assert plan.seconds == pytest.approx(1000)
    print_plan(plan)
    out = capsys.readouterr().out
    assert said in out and ("a bound" in out) == (scale == "smoke")


def test_a_larger_scale_tells_more_than_a_smoke_run() -> None:
    finished("smoke", seconds=10, num_steps=10)
    finished("quick", seconds=5, num_steps=100)
    plan = make_plan([compose([*OPTIONS, "scale=paper"])], 1)
    assert plan.seconds == pytest.approx(50) and not plan.is_bound


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("target=bnn data=csv data.path=no.csv data.target=y", "data.path: got 'no.csv'"),
        ("target=bnn data=csv data.path=my.csv data.target=yy", "data.target: got 'yy'"),
        (
            "target=bnn data=csv data.path=my.csv data.target=y target.batch_size=99",
            "target.batch_size: got 99",
        ),
        ("target=custom target.factory=no_such_module.f", "target.factory: got 'no_such_module.f'"),
        ("target=bnn data=energy data.dir=nowhere", "data.dir: got 'nowhere'"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would(
    arguments: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my.csv").write_text("a,y\n" + "".join(f"{i}.5,{i * i}.25\n" for i in range(50)))
    assert main([*arguments.split(), "dry_run=true"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and line in err

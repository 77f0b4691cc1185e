"""MLflow: what it is told, in a real file of SQLite, and that no address holds a secret."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from smile.config.identity import to_dict
from smile.options import ConfigError
from smile.preflight import compose
from smile.run import main
from smile.tracking.mlflow import MlflowOptions
from smile.tracking.tracker import About, following

ROWS = pd.DataFrame(
    {
        "metric": "bias", "wall_seconds": 1.0, "gradient_evaluations": 7,
        "step_size": [0.1, 0.1, 1e6, 1e6], "replication": [0, 1, 0, 1], "value": [1.0, 2.0, 0.5, 0.5],
    }
)  # fmt: skip


def test_a_run_with_curves_and_figure_replaces_its_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs/smile.db")
    config = {"sampler": {"name": "smile", "L": [1.0] * 3000}, "note": None}
    about = About("e", "smoke", "abc123", "a run", config, tmp_path)
    (tmp_path / "figure.png").write_bytes(b"a figure")
    chosen = compose(["tracker=mlflow"]).tracker.chosen

    def failing() -> None:
        with following(chosen, about) as trackers:
            trackers.log(10, {"lppd": -2.0})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    with following(chosen, about) as trackers:
        for step in (10, 20):
            trackers.log(step, {"lppd/1e+06": -1.5 - step, "lppd": float("nan")})
        trackers.finish(ROWS, tmp_path / "figure.png")
    assert caplog.messages == []
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs/smile.db")
    experiment = client.get_experiment_by_name("e")
    (run,) = client.search_runs([experiment.experiment_id])
    deleted = mlflow.entities.ViewType.DELETED_ONLY
    (earlier,) = client.search_runs([experiment.experiment_id], run_view_type=deleted)
    assert (run.info.run_name, run.info.status, earlier.info.status) == ("a run", "FINISHED", "FAILED")
    assert run.data.tags.items() >= {"smile.run_id": "abc123", "smile.scale": "smoke"}.items()
    assert run.data.params["sampler.name"] == "smile" and run.data.params["note"] == "None"
    assert len(run.data.params["sampler.L"]) == 6000 and run.data.params["sampler.L"].endswith("…")
    assert run.data.metrics == pytest.approx(
        {
            "live/lppd/1e06": -21.5, "bias/0.1": 1.5, "bias/1e06": 0.5, "best/step_size": 1e6, "best/bias": 0.5,
            "best/bias_error": 0.0, "wall_seconds": 1.0, "gradient_evaluations": 7.0,
        }
    )  # fmt: skip
    history = client.get_metric_history(run.info.run_id, "live/lppd/1e06")
    assert [(point.step, point.value) for point in history] == [(10, -11.5), (20, -21.5)]
    assert [path.name for path in tmp_path.glob("runs/mlruns/*/artifacts/*")] == ["figure.png"]


def test_addresses() -> None:
    assert compose(["tracker=mlflow"]).tracker.mlflow == MlflowOptions(uri=None)
    for good in ("https://host:5000/a", "sqlite:///~/a.db", "postgresql+psycopg2://host/db", "databricks"):
        config = compose(["tracker=mlflow", f"tracker.mlflow.uri='{good}'"])
        assert to_dict(config)["tracker"]["mlflow"] == {"uri": good}
    for bad in ("mlruns", "file:///a", "ftp://host", "https://", "3", "[1]"):
        with pytest.raises(
            ConfigError, match=r"^tracker\.mlflow\.uri: got .*; valid: null, or an address that"
        ):
            compose(["tracker=mlflow", f"tracker.mlflow.uri={bad}"])


@pytest.mark.parametrize(
    "secret",
    ["https://me:hush@host", "http://hush@host:80/a", "sqlite:///a.db?password=hush", "mysql+x://a:hush@h/d"],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("smile.extras.is_installed", lambda module: True)
    said = "got 'an address with a user or a password in it'; valid: an address without"
    assert main(["tracker=mlflow", f"tracker.mlflow.uri='{secret}'"]) == 2
    first = capsys.readouterr()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", secret)
    assert main(["tracker=mlflow"]) == 2
    second = capsys.readouterr()
    for shown, name in ((first, "tracker.mlflow.uri"), (second, "MLFLOW_TRACKING_URI")):
        assert shown.err.startswith(f"smile: error: {name}: {said}") and len(shown.err.splitlines()) == 1
        assert "hush" not in shown.err + shown.out
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setattr("smile.tracking.mlflow.is_reachable", lambda url: False)
    about = About("e", "smoke", "abc123", "a run", {}, tmp_path)
    with following({"mlflow": MlflowOptions(uri="https://host")}, about) as trackers:
        assert not trackers
    assert caplog.messages == [
        "mlflow: run abc123 is not mirrored (ConnectionError: https://host does not answer)"
    ]

"""Trackers: chosen together, told while a run lasts, and never in its way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from smile.config.identity import run_id, to_dict
from smile.config.parse import from_dict
from smile.execute.live import Live
from smile.options import ConfigError
from smile.preflight import compose
from smile.sampling import Look
from smile.tracking.tracker import About, Tracker, TrackerOptions, following
from smile.tracking.trackers import TrackerConfig

ABOUT = About("e", "smoke", "abc123", "a run", {"a": {"b": 1}})


class Recorder(Tracker):
    def __init__(self, breaks_at: int | None = None) -> None:
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self.closed: list[bool] = []
        self._breaks_at = breaks_at

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step == self._breaks_at:
            raise ConnectionError("gone")
        self.points.append((step, values))

    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        """Nothing."""

    def close(self, *, failed: bool) -> None:
        self.closed.append(failed)


class Options(TrackerOptions):
    module: ClassVar[str] = "json"

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def open(self, about: About) -> Tracker:
        return self._tracker


def test_trackers_are_chosen_one_by_one_or_together() -> None:
    def chosen(*overrides: str) -> list[str]:
        return sorted(compose([*overrides]).tracker.chosen)

    assert chosen() == chosen("tracker=wandb") == ["wandb"]
    assert chosen("tracker=none") == chosen("tracker=[]") == []
    assert chosen("tracker=[wandb,tensorboard,mlflow]") == ["mlflow", "tensorboard", "wandb"]
    both = compose(["tracker=[wandb,tensorboard]", "tracker.tensorboard.dir=curves"])
    assert both.tracker.tensorboard is not None and both.tracker.tensorboard.dir == "curves"
    assert from_dict(to_dict(both)) == both and run_id(both) == run_id(compose())
    old = to_dict(compose()) | {"tracker": {"wandb": {"mode": "offline", "project": "smile"}}}
    assert isinstance(from_dict(old).tracker, TrackerConfig)
    for given in ("tracker=wandbb", "tracker=[wandb,wandbb]", "tracker=[1]", "tracker=3"):
        with pytest.raises(
            ConfigError, match=r"^tracker: got .*; valid: default, mlflow, none, tensorboard, wandb"
        ):
            compose([given])


def test_one_that_breaks_is_one_warning_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Recorder(breaks_at=2), Recorder()
    chosen = {"broken": Options(broken), "sound": Options(sound)}

    def run() -> None:
        with following(chosen, ABOUT) as trackers:
            for step in (1, 2, 3):
                trackers.log(step, {"lppd": -1.0})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert [step for step, _ in broken.points] == [1] and broken.closed == []
    assert [step for step, _ in sound.points] == [1, 2, 3] and sound.closed == [True]
    assert [record.getMessage() for record in caplog.records] == [
        "broken: run abc123 is not mirrored (ConnectionError: gone)"
    ]


def test_curves_of_every_step_size() -> None:
    tracker = Recorder()
    read = {split: {"ensemble": np.array([-1.0, np.nan])} for split in ("validation", "test")}
    look = Look(100, read, np.array([0.1, 0.3, 1.0, 1.0]), np.array([0.0, 1.0, np.nan, np.nan]))
    with following({"one": Options(tracker)}, ABOUT) as trackers:
        Live(trackers, np.array([0.1, 1.0]))(look)
        Live(trackers, np.array([0.1]))(Look(50, {"test": {"ensemble": np.array([-2.0])}}))
    (step, values), alone = tracker.points
    assert step == 100 and values == pytest.approx(
        {
            "validation_lppd/0.1": -1.0, "lppd/0.1": -1.0, "step_size/0.1": 0.2, "energy_error_q05/0.1": 0.05,
            "energy_error_q50/0.1": 0.5, "energy_error_q95/0.1": 0.95, "step_size/1": 1.0,
        }
    )  # fmt: skip
    assert alone == (50, {"lppd": -2.0}) and tracker.closed == [False]


def test_tensorboard_writes_events_and_replaces_those_of_an_earlier_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    config = compose(["tracker=tensorboard"]).tracker
    rows = pd.DataFrame({"metric": "bias", "step_size": [0.1, 0.2], "replication": 0, "value": [1.0, 0.5]})
    for _ in range(2):
        with following(config.chosen, ABOUT._replace(directory=tmp_path)) as trackers:
            assert trackers
            trackers.log(10, {"lppd": -1.5})
            trackers.finish(rows, None)
    (file,) = tmp_path.glob("tensorboard/e/smoke/abc123/events.out.tfevents.*")
    content: Any = file.read_bytes()
    assert all(word in content for word in (b"live/lppd", b"best/step_size", b"best/bias", b"a.b"))

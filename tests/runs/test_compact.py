"""Merged runs: everything that reads runs reads them as before, also in the middle of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smile.runs import compact as module
from smile.runs.compact import Compacted, compact, read_configs
from smile.runs.lock import claim
from smile.tracking import is_finished, read_metrics, read_run, write_metrics
from smile.tracking.config_file import write_config
from smile.tracking.parquet import METRICS_FILE, SCHEMA, has_metrics

BLANK: dict[str, Any] = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}


def put(folder: Path, name: str, value: float = 1.0) -> Path:
    directory = folder / "runs" / name
    directory.mkdir(parents=True, exist_ok=True)
    write_config(directory, f"seed: {value}\n")
    write_metrics(
        directory / METRICS_FILE, [BLANK | {"run_id": name, "metric": m, "value": value} for m in "ab"]
    )
    return directory


def values(folder: Path) -> dict[str, float]:
    rows = read_metrics(folder)
    assert not rows.duplicated(["run_id", "metric"]).any()
    return dict(zip(rows["run_id"], rows["value"], strict=True))


def test_merged_runs_read_as_before_and_their_folders_are_gone(tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path, name)
    for name in ("history.parquet", "posterior.smile"):
        (tmp_path / "runs/c" / name).touch()
    before = read_metrics(tmp_path)
    assert compact(tmp_path) == Compacted(3, 3)
    pd.testing.assert_frame_equal(read_metrics(tmp_path).sort_values(["run_id", "metric"]), before)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["c"]
    assert {path.name for path in (tmp_path / "runs/c").iterdir()} == {"history.parquet", "posterior.smile"}
    assert all(is_finished(tmp_path / "runs" / name) for name in "abc")
    assert not is_finished(tmp_path / "runs/d") and has_metrics(tmp_path)
    assert read_run(tmp_path / "runs/a")["metric"].tolist() == ["a", "b"]
    assert read_configs(tmp_path)["b"].startswith("seed: 1.0\n")
    with pytest.raises(FileNotFoundError):
        read_run(tmp_path / "runs/d")


def test_a_repeated_run_replaces_what_was_merged(tmp_path: Path) -> None:
    put(tmp_path, "a")
    compact(tmp_path)
    put(tmp_path, "a", 2.0)
    put(tmp_path, "b", 3.0)
    assert values(tmp_path) == {"a": 2.0, "b": 3.0}
    assert compact(tmp_path) == Compacted(2, 2)
    assert values(tmp_path) == {"a": 2.0, "b": 3.0}
    assert compact(tmp_path) == Compacted(0, 2)


def test_a_run_that_somebody_holds_stays(tmp_path: Path) -> None:
    directory = put(tmp_path, "a")
    with claim(directory):
        compact(tmp_path)
        assert (directory / METRICS_FILE).exists()
    assert values(tmp_path) == {"a": 1.0}


def test_whoever_is_killed_in_between_has_neither_lost_nor_doubled_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        put(tmp_path, name)

    def killed(run_dir: Path, modified: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(tmp_path)
    assert (tmp_path / "runs/a" / METRICS_FILE).exists()
    assert values(tmp_path) == {"a": 1.0, "b": 1.0}
    assert compact(tmp_path) == Compacted(2, 2)


def test_two_at_once_are_one(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "compact").mkdir()
    with claim(tmp_path / "compact"), pytest.raises(RuntimeError, match="already merging"):
        compact(tmp_path)


def test_readers_miss_nothing_while_runs_are_merged(tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(40)]
    for name in names:
        put(tmp_path, name)
    ended = threading.Event()

    def merge() -> None:
        for round in range(5):
            compact(tmp_path)
            for name in names[::2]:
                put(tmp_path, name, float(round))
        ended.set()

    thread = threading.Thread(target=merge)
    thread.start()
    reads = 0
    while not ended.is_set() or not reads:
        assert sorted(values(tmp_path)) == names
        reads += 1
    thread.join()


def test_a_linked_folder_and_files_of_the_user_stay_as_they_are(tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "theirs", "a")
    (elsewhere / ".notes").touch()
    own = put(tmp_path / "ours", "b")
    (own / ".notes").touch()
    (own / ".metrics.parquet.0.tmp").touch()
    (tmp_path / "ours/runs/a").symlink_to(elsewhere)
    assert compact(tmp_path / "ours").new == 1
    assert sorted(path.name for path in elsewhere.iterdir()) == [".notes", "config.yaml", "metrics.parquet"]
    assert [path.name for path in own.iterdir()] == [".notes"]
    assert values(tmp_path / "ours") == {"a": 1.0, "b": 1.0}

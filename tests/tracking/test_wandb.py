"""The mirror: writes what it should, and never fails or talks."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from smile.tracking.wandb import mirror

ROWS = pd.DataFrame(
    {
        "run_id": "r1", "sampler": "smile", "metric": "bias", "wall_seconds": 1.0, "gradient_evaluations": 7,
        "step_size": [0.1, 0.1, 0.2, 0.2], "replication": [0, 1, 0, 1], "value": [1.0, 2.0, 0.5, 0.5],
    }
)  # fmt: skip

ARGUMENTS: dict[str, Any] = {"project": "p", "group": "g", "name": "n", "run_id": "abc123"}


def test_offline_writes_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: Any) -> None:
    pytest.importorskip("wandb")
    mirror({"target": {"name": "icg"}}, ROWS, mode="offline", directory=tmp_path, **ARGUMENTS)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(list(tmp_path.glob("wandb/offline-run-*-abc123/run-abc123.wandb"))) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("broken", [None, SimpleNamespace(), SimpleNamespace(Settings=lambda **_: 1 / 0)])
def test_broken_wandb_is_one_warning(tmp_path: Path, monkeypatch: Any, caplog: Any, broken: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", broken)
    with caplog.at_level(logging.WARNING):
        mirror({}, ROWS, mode="auto", directory=tmp_path, **ARGUMENTS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "abc123 is not mirrored" in caplog.text


def test_disabled_does_not_import(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    mirror({}, ROWS, mode="disabled", directory=tmp_path, **ARGUMENTS)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("key", "expected"), [("x" * 40, "online"), ("", "offline")])
def test_auto_is_online_with_a_key(tmp_path: Path, monkeypatch: Any, key: str, expected: str) -> None:
    seen: dict[str, Any] = {}

    def init(**arguments: Any) -> Any:
        seen.update(arguments)
        raise RuntimeError("stop here")

    settings = SimpleNamespace(base_url="https://api.wandb.ai")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=lambda **_: settings, init=init))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", key)
    mirror({"a": {"b": 1}, "c": [1, 2]}, ROWS, mode="auto", directory=tmp_path, **ARGUMENTS)
    assert seen["mode"] == expected
    assert seen["config"] == {"a.b": 1, "c": [1, 2]}
    assert (seen["id"], seen["group"]) == ("abc123", "g")

"""The mirror: writes what it should, and never fails or talks."""

from __future__ import annotations

import logging
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from smile.tracking.tracker import About
from smile.tracking.wandb import mirror

ROWS = pd.DataFrame(
    {
        "run_id": "r1", "sampler": "smile", "metric": "bias", "wall_seconds": 1.0, "gradient_evaluations": 7,
        "step_size": [0.1, 0.1, 0.2, 0.2], "replication": [0, 1, 0, 1], "value": [1.0, 2.0, 0.5, 0.5],
    }
)  # fmt: skip


def about(directory: Path, config: dict[str, Any] | None = None) -> About:
    return About("g", "smoke", "abc123", "n", config or {}, directory)


def test_offline_writes_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: Any) -> None:
    pytest.importorskip("wandb")
    mirror(about(tmp_path, {"target": {"name": "icg"}}), ROWS, mode="offline", project="p")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(list(tmp_path.glob("wandb/offline-run-*-abc123/run-g-smoke-abc123.wandb"))) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("broken", [None, SimpleNamespace(), SimpleNamespace(Settings=lambda **_: 1 / 0)])
def test_broken_wandb_is_one_warning(tmp_path: Path, monkeypatch: Any, caplog: Any, broken: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", broken)
    with caplog.at_level(logging.WARNING):
        mirror(about(tmp_path), ROWS, mode="auto", project="p")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "abc123 is not mirrored" in caplog.text


def test_disabled_does_not_import(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    mirror(about(tmp_path), ROWS, mode="disabled", project="p")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("key", "expected"), [("x" * 40, "online"), ("", "offline")])
def test_auto_is_online_with_a_key(tmp_path: Path, monkeypatch: Any, key: str, expected: str) -> None:
    seen: dict[str, Any] = {}

    def init(**arguments: Any) -> Any:
        seen.update(arguments)
        raise RuntimeError("stop here")

    settings = SimpleNamespace(base_url="https://api.wandb.ai")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=lambda **_: settings, init=init))
    monkeypatch.setattr("smile.tracking.wandb.is_reachable", lambda url: True)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", key)
    mirror(about(tmp_path, {"a": {"b": 1}, "c": [1, 2]}), ROWS, mode="auto", project="p")
    assert seen["mode"] == expected
    assert seen["config"] == {"a.b": 1, "c": [1, 2]}
    assert (seen["id"], seen["group"]) == ("g-smoke-abc123", "g")


def test_a_server_that_does_not_answer_costs_seconds_and_the_run_stays_offline(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as server:  # a full queue: connections are neither taken nor refused
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        with socket.socket() as first, socket.socket() as second:
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(address)
            monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{address[1]}")
            monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
            start = time.monotonic()
            mirror(about(tmp_path), ROWS, mode="auto", project="p")
            assert time.monotonic() - start < 60  # a connection gives up by itself after two minutes
    assert "does not answer; run g-smoke-abc123 waits for smile-sync" in caplog.text
    assert len(list(tmp_path.glob("wandb/offline-run-*-abc123"))) == 1

"""A short version of scripts/chaos.py: SIGKILL at random, and the metrics of a sweep that was left alone."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_kills_at_random_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("chaos", ROOT / "scripts/chaos.py")
    assert spec and spec.loader
    chaos = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "chaos", chaos)
    spec.loader.exec_module(chaos)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    seconds = float(os.environ.get("SMILE_CHAOS_SECONDS", "3"))
    report = chaos.chaos(tmp_path, runs=6, seconds=seconds, life=5)
    print(report)
    assert report.kills and report.reads

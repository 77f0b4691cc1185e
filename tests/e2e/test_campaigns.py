"""Short forms of the campaigns of ``make corruption``, ``make chaos`` and ``make long_life``."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


def test_no_damaged_file_changes_a_number_or_goes_unnamed(script: Callable[[str], ModuleType]) -> None:
    """Two bits of every kind of file, and all other damages but of those that train or run anew each time."""
    corruption = script("corruption")
    with tempfile.TemporaryDirectory() as top:  # which another user may enter, unlike pytest's
        os.chmod(top, 0o755)
        kinds = tuple(kind for kind in corruption.KINDS if kind.name not in ("metrics", "checkpoint"))
        found = list(corruption.campaign(Path(top), flips=2, kinds=kinds))
    assert not [one for one in found if one.is_fault]
    assert {one.kind for one in found} == {kind.name for kind in kinds}
    counts = Counter((one.kind, one.outcome) for one in found)
    assert (
        counts["warm start", "computed again"] and counts["draws", "refused"] and counts["lock", "as written"]
    )


def test_a_life_that_is_killed_at_every_stage_ends_as_one_that_was_left_alone(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = script("kills")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    (tmp_path / "life").mkdir()
    rows = kills.live(2, kills.references(tmp_path), tmp_path / "life")
    assert [row["kind"] for row in rows] == ["background"] * 2
    assert all(row[fault] == 0 for row in rows for fault in kills.FAULTS), rows


def test_runs_in_one_process_leave_no_file_open_and_no_thread(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    long_life = script("long_life")
    found = long_life.live(8, tmp_path)
    np.testing.assert_array_equal(found[2:, 1:], found[2, 1:] * np.ones((6, 1)))

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


RECOMPUTED = ("metrics", "status", "lock", "checkpoint", "warm start")  # whose readers take seconds each time


def test_no_damaged_file_changes_a_number_or_goes_unnamed(script: Callable[[str], ModuleType]) -> None:
    """Two bits of every kind of file that is read at once, and all other damages."""
    corruption = script("corruption")
    with tempfile.TemporaryDirectory() as top:  # which another user may enter, unlike pytest's
        os.chmod(top, 0o755)
        kinds = tuple(kind for kind in corruption.KINDS if kind.name not in RECOMPUTED)
        found = list(corruption.campaign(Path(top), flips=2, kinds=kinds))
    assert not [one for one in found if one.is_fault]
    assert {one.kind for one in found} == {kind.name for kind in kinds}
    counts = Counter((one.kind, one.outcome) for one in found)
    assert counts["image cache", "computed again"] and counts["draws", "refused"]


def test_a_deep_ensemble_whose_positions_became_zeros_is_trained_again(
    script: Callable[[str], ModuleType], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corruptible = script("corruptible")
    (file,) = corruptible.make_warm_start(tmp_path)
    expected = file.read_bytes()
    with np.load(file) as arrays:
        found = dict(arrays)
    assert np.abs(found["positions"]).max() > 0
    np.savez(file, **found | {"positions": np.zeros_like(found["positions"])})
    assert corruptible.trained(tmp_path) == found["positions"].tobytes()
    assert f"{file} is damaged" in caplog.text and file.read_bytes() == expected


def test_a_life_that_is_killed_at_every_stage_ends_as_one_that_was_left_alone(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = script("kills")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    few = kills.KINDS["custom"]
    few = few._replace(arguments=[*few.arguments, "seed=0,1,2"], stages=few.stages[:3])
    few.arguments.remove("seed=range(10)")
    monkeypatch.setitem(kills.KINDS, "custom", few)
    (tmp_path / "life").mkdir()
    rows = kills.live(kills.CYCLE.index("custom"), kills.references(tmp_path), tmp_path / "life")
    assert [row["stage"] for row in rows] == ["starting", "sweep", "sweep"][: len(rows)]
    assert all(row[fault] == 0 for row in rows for fault in kills.FAULTS), rows


def test_a_folder_that_somebody_else_could_have_made_is_no_place_for_a_slurm(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    local_slurm = script("local_slurm")
    open_to_all, link = tmp_path / "open", tmp_path / "link"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "own").mkdir()
    link.symlink_to(tmp_path / "own")
    for folder in (open_to_all, link):
        with pytest.raises(PermissionError, match=f"{folder} must be a folder of yours"):
            local_slurm._own(folder)
    assert local_slurm._own(tmp_path / "own") == tmp_path / "own"


def test_runs_in_one_process_leave_no_file_open_and_no_thread(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    long_life = script("long_life")
    found = long_life.live(8, tmp_path)
    np.testing.assert_array_equal(found[2:, 1:], found[2, 1:] * np.ones((6, 1)))

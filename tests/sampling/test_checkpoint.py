"""Checkpoints: the newest sound one counts, whatever happened to the others; a request to stop writes one more."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import CheckpointManager, StandardCheckpointer

from smile import stop
from smile.sampling import Checkpoints


def tree(index: int) -> Any:
    return ({"a": jnp.arange(1000.0) + index}, np.full(3, index))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_seconds=0)
    for index in (1, 2, 3):
        checkpoints.save_if_due(index, tree(index))
    return tmp_path / "checkpoints"


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    yield
    stop.clear()


def largest(folder: Path) -> Path:
    return max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def truncate_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_byte(folder: Path) -> None:
    content = bytearray(largest(folder).read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest(folder).write_bytes(content)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "truncated data": lambda folder: largest(folder).write_bytes(largest(folder).read_bytes()[:-20]),
    "everything truncated": truncate_all,
    "one wrong byte": flip_a_byte,
    "empty files": lambda folder: [f.write_bytes(b"") for f in folder.rglob("*") if f.is_file()],
    "a folder is missing": lambda folder: shutil.rmtree(next(p for p in folder.iterdir() if p.is_dir())),
    "the digest is missing": lambda folder: folder.with_name("3.sha256").unlink(),
    "nothing is left": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(saved: Path, damage: str, caplog: Any) -> None:
    DAMAGES[damage](saved / "3")
    with caplog.at_level(logging.WARNING):
        found = Checkpoints(saved, 0).restore(tree(0))
    assert found is not None and found[0] == 2
    np.testing.assert_array_equal(found[1][0]["a"], np.arange(1000.0) + 2)
    np.testing.assert_array_equal(found[1][1], np.full(3, 2))
    if damage != "nothing is left":  # which orbax does not even list
        assert "checkpoint 3" in caplog.text and not (saved / "3").exists()


def test_a_half_written_checkpoint_is_none(saved: Path) -> None:
    shutil.copytree(saved / "3", saved / "4.orbax-checkpoint-tmp")
    found = Checkpoints(saved, 0).restore(tree(0))
    assert found is not None and found[0] == 3


def test_where_all_are_damaged_the_run_starts_again(saved: Path) -> None:
    for folder in ("2", "3"):
        truncate_all(saved / folder)
    assert Checkpoints(saved, 0).restore(tree(0)) is None


def test_only_two_are_kept(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["2", "2.sha256", "3", "3.sha256"]


def test_a_request_to_stop_saves_at_once(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, every_seconds=3600)
    checkpoints.save_if_due(1, tree(1))
    assert not list(tmp_path.iterdir())
    stop.request("SIGUSR2")
    with pytest.raises(stop.Preempted, match="SIGUSR2"):
        checkpoints.save_if_due(2, tree(2))
    found = Checkpoints(tmp_path, 0).restore(tree(0))
    assert found is not None and found[0] == 2


def test_a_checkpoint_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        Checkpoints(tmp_path / "file" / "checkpoints", 0).save_if_due(1, tree(1))
    assert "no checkpoint in" in caplog.text


def test_an_interrupt_in_a_save_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of orbax would go on, and fail in a shut interpreter."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    save = CheckpointManager.save

    def interrupted(self: Any, *args: Any, **options: Any) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return save(self, *args, **options)

    monkeypatch.setattr(CheckpointManager, "save", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            Checkpoints(tmp_path, 0).save(1, tree(1))
    finally:
        signal.signal(signal.SIGINT, before)
    assert Checkpoints(tmp_path, 0).restore(tree(0)) is not None


def test_only_tasks_of_orbax_that_nobody_asks_how_they_ended_are_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def of_orbax() -> None:
        StandardCheckpointer().restore("/nowhere")

    async def of_somebody_else() -> None:
        raise RuntimeError("not of orbax")

    async def ask_nobody() -> None:
        await asyncio.wait([asyncio.ensure_future(task()) for task in (of_orbax, of_somebody_else)])

    asyncio.run(ask_nobody())
    gc.collect()
    (record,) = caplog.records
    assert "never retrieved" in record.message and str(record.exc_info[1]) == "not of orbax"

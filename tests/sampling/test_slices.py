"""Slices of time: however short they are, wherever they go on, the numbers are those of one run."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_ensemble import CHAINS, DATA, DIM, all_draws, logdensity

from smile import random, stop
from smile.kernels import sgld
from smile.sampling import (
    Batches,
    Chains,
    Checkpoints,
    Length,
    has_draws,
    load_draws,
    sample_ensemble,
    write_draws,
)
from smile.tuners import constant, tuned

OVER = 0.0  # such a slice has ended before it begins, and does one chunk all the same
LENGTH = Length(100, 20, 10)  # ten chunks


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    yield
    stop.clear()


class KilledError(BaseException):
    pass


def in_folder(folder: Path):
    """The run whose folder this is: chains from a checkpoint, draws on disk."""
    stop.clear()
    algorithm, draws = tuned(sgld(logdensity), constant()), folder / "draws"
    return sample_ensemble(
        Chains(lambda parameters: algorithm, jnp.zeros((CHAINS, DIM)), jnp.full(CHAINS, 1e-3)),
        Batches(DATA, None),
        all_draws(LENGTH),
        LENGTH,
        key=random.key(0),
        checkpoints=Checkpoints(folder / "checkpoints", 3600),
        on_draws=partial(write_draws, draws),
        has_draws=partial(has_draws, draws),
    )


def moved(folder: Path, to: Path) -> Path:
    """The folder, as an archive brings it to another machine."""
    with tarfile.open(to.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(folder, arcname=".")
    with tarfile.open(to.with_suffix(".tar.gz")) as archive:
        archive.extractall(to, filter="data")
    return to


def test_ten_slices_on_ten_machines_give_the_bits_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One of them is killed as it saves, and its work repeated by the next."""
    expected = in_folder(tmp_path / "whole")
    folder, slices, save = tmp_path / "machine_0", 0, Checkpoints.save

    def killed(checkpoints: Checkpoints, index: int, tree: object) -> None:
        save(checkpoints, index, tree)
        (tmp_path / "machine_4/checkpoints/5.sha256").unlink()
        raise KilledError

    while True:
        monkeypatch.setattr(Checkpoints, "save", killed if slices == 4 else save)
        try:
            with stop.limited(OVER):
                again = in_folder(folder)
            break
        except (stop.Preempted, KilledError):
            slices += 1
            folder = moved(folder, tmp_path / f"machine_{slices}")
    assert slices == 11  # ten chunks, one of them twice; the last slice finds nothing left to compute
    for field in ("state", "accumulators", "history", "num_divergent", "steps"):
        jax.tree.map(np.testing.assert_array_equal, getattr(again, field), getattr(expected, field))
    np.testing.assert_array_equal(load_draws(folder / "draws"), load_draws(tmp_path / "whole/draws"))


def test_a_chunk_that_would_end_after_the_slice_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Chunks of 2 minutes after one of 5 that compiles, in a slice of 8: the third would end at 9."""
    clock = SimpleNamespace(now=0.0)
    for module in ("smile.stop", "smile.sampling.checkpoint"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: 60 * clock.now))
    checkpoints = Checkpoints(tmp_path, every_seconds=3600)
    with stop.limited(60 * 8):
        for index, minutes in ((1, 5.0), (2, 2.0)):
            clock.now += minutes
            if index == 1:
                checkpoints.save_if_due(index, {"a": jnp.zeros(3)})
            else:
                with pytest.raises(stop.Preempted, match=stop.OUT_OF_TIME):
                    checkpoints.save_if_due(index, {"a": jnp.ones(3)})
    index, tree = checkpoints.restore({"a": jnp.zeros(3)}) or (0, {})
    assert index == 2 and tree["a"].tolist() == [1, 1, 1]

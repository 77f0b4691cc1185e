"""Draws on disk: one array file per chunk of a run, whole or not there, the same after a kill and resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["load_draws", "write_draws"]


def write_draws(directory: Path, chunk: int, draws: np.ndarray) -> None:
    """Writes the kept draws of one chunk, (draws, chains, dim), under a name that sorts."""
    if not len(draws):
        return
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{chunk:06d}.tmp"
    with open(temporary, "wb") as file:
        np.save(file, draws, allow_pickle=False)
    temporary.replace(directory / f"{chunk:06d}.npy")


def load_draws(directory: str | Path) -> np.ndarray:
    """All draws of a run, (chains, draws, dim): the layout of ArviZ.

    Args:
        directory: the ``draws`` folder of a run with ``target.draws=stream``.

    Raises:
        FileNotFoundError: where there are none.
    """
    files = sorted(Path(directory).glob("*.npy"))
    if not files:
        raise FileNotFoundError(f"no draws in {directory}: they are kept with target.draws=stream")
    return np.concatenate([np.load(file, allow_pickle=False) for file in files]).swapaxes(0, 1)

"""Draws on disk: one array file per chunk of a run, whole or not there, the same after a kill and resume.

A file is what ``numpy.save`` writes, and behind it a seal (``smile.checksum``), over which ``numpy.load`` passes.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from smile import checksum
from smile.checksum import DamagedError

__all__ = ["DrawFiles", "DrawKeeper", "has_draws", "load_draws", "thin", "thinning_to", "write_draws"]

_AGAIN = "repeat the run with force=true"


class DrawKeeper(Protocol):
    """Who keeps draws while chains run."""

    def write(self, chunk: int, draws: np.ndarray) -> None:
        """Takes the draws of one chunk, (draws, chains, dim); the first chunk begins anew."""

    def has(self, counts: Sequence[int]) -> bool:
        """Whether the first chunks are there, so that a killed run can go on behind them.

        Args:
            counts: how many draws they had, from the first on.
        """


class DrawFiles:
    """Draws of chains that run, every ``every``-th of them, in files: a killed run goes on with what it has.

    Args:
        directory: of the files.
        every: 1 keeps all.
    """

    def __init__(self, directory: Path, every: int = 1) -> None:
        self._directory, self._every, self._seen = directory, every, 0

    def write(self, chunk: int, draws: np.ndarray) -> None:
        """See ``DrawKeeper``."""
        if chunk == 0:
            self.clear()
        write_draws(self._directory, chunk, thin(draws, self._seen, self._every))
        self._seen += len(draws)

    def has(self, counts: Sequence[int]) -> bool:
        """See ``DrawKeeper``."""
        ends = np.cumsum([0, *counts])
        kept = np.diff(-(-ends // self._every))
        if not has_draws(self._directory, kept.tolist()):
            return False
        self._seen = int(ends[-1])
        return True

    def load(self) -> np.ndarray | None:
        """All of them, (chains, draws, dim); None where there are none."""
        return load_draws(self._directory) if any(self._directory.glob("*.npy")) else None

    def clear(self) -> None:
        """Removes them."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._seen = 0


def thin(draws: np.ndarray, seen: int, every: int) -> np.ndarray:
    """Every ``every``-th draw, of which the first one of all is one.

    Args:
        draws: (draws, chains, dim), which follow others.
        seen: how many others.
        every: 1 keeps all.
    """
    return draws[-seen % every :: every]


def thinning_to(most: int, draws_per_chain: int, chains: int) -> int:
    """Every how many draws one is kept, so that ``most`` are kept of all chains, but one of each at least."""
    return math.ceil(draws_per_chain / max(1, most // chains))


def write_draws(directory: Path, chunk: int, draws: np.ndarray) -> None:
    """Writes the kept draws of one chunk, (draws, chains, dim), under a name that sorts.

    A chunk without any has a file behind others, so that one that is missing is noticed, but not before the first.
    """
    if not len(draws) and not directory.is_dir():
        return
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, draws, allow_pickle=False)
    buffer.write(checksum.blank(_name(chunk)))
    temporary = directory / f".{chunk:06d}.tmp"
    temporary.write_bytes(checksum.sealed(buffer.getvalue()))
    temporary.replace(directory / f"{chunk:06d}.npy")


def has_draws(directory: Path, counts: Sequence[int]) -> bool:
    """Whether the draws of the first chunks are there as they were written.

    Args:
        directory: of ``write_draws``.
        counts: how many every chunk has, from the first on.
    """
    for chunk, count in enumerate(counts):
        try:
            if count and len(_read(directory / f"{chunk:06d}.npy", is_sealed=True)) != count:
                return False
        except (OSError, DamagedError):
            return False
    return True


def load_draws(directory: str | Path) -> np.ndarray:
    """All draws of a run, (chains, draws, dim): the layout of ArviZ.

    Args:
        directory: the ``draws`` folder of a run with ``target.draws=stream``.

    Raises:
        FileNotFoundError: where there are none.
        DamagedError: where a file is missing between two others or is not as it was written.
    """
    files = sorted(Path(directory).glob("*.npy"))
    if not files:
        raise FileNotFoundError(f"no draws in {directory}: they are kept with target.draws=stream")
    first = int(files[0].stem) if files[0].stem.isdecimal() else 0
    for chunk, file in enumerate(files, first):
        if file.name != f"{chunk:06d}.npy":
            raise DamagedError(Path(directory), f"chunk {chunk:06d}.npy is missing; {_AGAIN}")
    return np.concatenate([_read(file) for file in files]).swapaxes(0, 1)


def _read(file: Path, *, is_sealed: bool = False) -> np.ndarray:
    """Draws of one chunk; those of versions without seals, too, unless they must have one."""
    content = file.read_bytes()
    if (is_sealed or checksum.place(content)) and not checksum.is_sound(content, _name(int(file.stem))):
        raise DamagedError(file, f"its bits have changed since it was written; {_AGAIN}")
    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedError(file, f"{reason}; {_AGAIN}") from None


def _name(chunk: int) -> str:
    return f"draws {chunk}"

"""Draws on disk: one array file per chunk of a run, whole or not there, the same after a kill and resume.

A file is what ``numpy.save`` writes, and behind it a seal (``smile.checksum``), over which ``numpy.load`` passes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smile import checksum
from smile.checksum import DamagedError

__all__ = ["has_draws", "load_draws", "write_draws"]

_AGAIN = "repeat the run with force=true"


def write_draws(directory: Path, chunk: int, draws: np.ndarray) -> None:
    """Writes the kept draws of one chunk, (draws, chains, dim), under a name that sorts."""
    if not len(draws):
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

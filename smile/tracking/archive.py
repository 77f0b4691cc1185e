"""One file with arrays and facts: an npz without pickle, a version, and a digest of every byte that matters."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smile.tracking.files import write_bytes_atomic

__all__ = ["Archive", "ArchiveError", "read_archive", "write_archive"]

_FORMAT = "smile archive"
_FACTS, _DIGEST = "facts.json", "digest"


class ArchiveError(ValueError):
    """A file that cannot be used, in one line that names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {' '.join(reason.split())}")
        self.path, self.reason = path, reason


class Archive(NamedTuple):
    """What is in it.

    Attributes:
        facts: as JSON has it.
        arrays: by name, of numbers.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def write_archive(path: Path, kind: str, version: int, archive: Archive) -> None:
    """Writes the file, whole or not at all.

    Args:
        path: of the file.
        kind: what it holds, ``posterior`` for instance.
        version: of what its facts and arrays mean.
        archive: which; names of arrays are those of Python variables.
    """
    facts = {"format": _FORMAT, "kind": kind, "version": version, **archive.facts}
    text = json.dumps(facts, sort_keys=True, allow_nan=False).encode()
    arrays = {_FACTS: np.frombuffer(text, np.uint8), **archive.arrays}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **{_DIGEST: _digest(arrays)})
    write_bytes_atomic(path, buffer.getvalue())


def read_archive(path: Path, kind: str, version: int) -> Archive:
    """Reads what ``write_archive`` wrote.

    Args:
        path: of the file.
        kind: what it must hold.
        version: the newest that the caller understands.

    Raises:
        ArchiveError: where there is no such file, it is truncated, changed, of another kind or of a newer version.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                arrays[name] = file[name]
    except FileNotFoundError:
        raise ArchiveError(path, "there is no such file") from None
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(
            path, f"no whole file of smile's: truncated, or of another kind ({error})"
        ) from None
    digest = arrays.pop(_DIGEST, None)
    if digest is None or _FACTS not in arrays:
        raise ArchiveError(path, "not a file of smile's")
    if not np.array_equal(_digest(arrays), digest):
        raise ArchiveError(path, "changed since it was written: its digest is another one")
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    if facts["kind"] != kind:
        raise ArchiveError(path, f"holds {facts['kind']}, not {kind}")
    if facts["version"] > version:
        raise ArchiveError(
            path,
            f"version {facts['version']} of the format, written by smile {facts.get('smile', 'of the future')}; this "
            f"one reads up to {version}: upgrade smile-bnn",
        )
    return Archive(facts, arrays)


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """SHA-256 of names, types, shapes and bytes, (32,) uint8."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.data)
    return np.frombuffer(found.digest(), np.uint8)

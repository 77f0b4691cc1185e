"""Files that notice when a bit of them has changed: the CRC-32 of all bytes stands among them.

While it is computed, its place holds zeros. It finds what disks, copies and editors do by accident, every changed bit
among that, and is no signature.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["DamagedError", "blank", "is_sound", "place", "read_json", "sealed", "sealed_json"]

_MARK = b"crc32 of this file with zeros here: "
_ZEROS = b"00000000"
_KEY = "seal"  # of a JSON object


class DamagedError(ValueError):
    """A file that is there and is not as it was written, in one line that names it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} cannot be read: {reason}")
        self.file, self.reason = file, reason


def blank(what: str = "") -> bytes:
    """What is to stand somewhere in a file, after what it is where that matters, until ``sealed`` fills it in."""
    return (f"{what}, ".encode() if what else b"") + _MARK + _ZEROS


def sealed(content: bytes) -> bytes:
    """The content of a file, its last ``blank`` filled in."""
    where = place(content)
    assert where is not None
    return content[: where.start] + checksum(content, where) + content[where.stop :]


def is_sound(content: bytes, what: str = "") -> bool:
    """Whether bytes are those that were sealed, and sealed as ``what``."""
    where = place(content)
    if where is None or content[where] != checksum(content, where):
        return False
    return content[: where.start].endswith(blank(what).removesuffix(_ZEROS))


def place(content: bytes) -> slice | None:
    """Where the checksum stands; None where there is none."""
    start = content.rfind(_MARK)
    return None if start < 0 else slice(start + len(_MARK), start + len(_MARK) + len(_ZEROS))


def checksum(content: bytes, where: slice) -> bytes:
    """What should stand there."""
    view = memoryview(content)
    found = zlib.crc32(view[where.stop :], zlib.crc32(_ZEROS, zlib.crc32(view[: where.start])))
    return b"%08x" % found


def sealed_json(values: Mapping[str, Any]) -> str:
    """A JSON object with one value more, its seal."""
    return sealed(json.dumps({**values, _KEY: blank().decode()}, indent=1).encode()).decode()


def read_json(file: Path) -> dict[str, Any]:
    """What ``sealed_json`` wrote.

    Raises:
        DamagedError: where it is something else.
        OSError: where it cannot be had.
    """
    content = file.read_bytes()
    if not is_sound(content):
        raise DamagedError(file, "its bits have changed since it was written, or it is of another version")
    found = json.loads(content)
    assert isinstance(found, dict)
    return {key: value for key, value in found.items() if key != _KEY}

"""``config.yaml`` in a run's folder, with a seal in its last comment."""

from __future__ import annotations

import re
from pathlib import Path

from smile import checksum
from smile.checksum import DamagedError
from smile.tracking.files import write_bytes_atomic

__all__ = ["CONFIG_FILE", "read_config", "write_config"]

CONFIG_FILE = "config.yaml"

_LAST_WITHOUT_SEAL = re.compile(rb"(^|\n)results_dir: [^\n]*\n\Z")  # line of versions before there were seals


def write_config(run_dir: Path, text: str) -> None:
    """Writes the YAML of a run's config."""
    content = f"{text.rstrip()}\n# ".encode() + checksum.blank(_seal(run_dir)) + b"\n"
    write_bytes_atomic(run_dir / CONFIG_FILE, checksum.sealed(content))


def read_config(run_dir: Path) -> str:
    """The YAML of a run's config; that of versions without seals, too.

    Raises:
        DamagedError: where it is not as it was written, or that of another run.
        OSError: where it cannot be had.
    """
    file = run_dir / CONFIG_FILE
    content = file.read_bytes()
    if checksum.place(content):
        if not checksum.is_sound(content, _seal(run_dir)):
            raise DamagedError(
                file, "its bits have changed since it was written, or it is that of another run"
            )
    elif not _LAST_WITHOUT_SEAL.search(content):
        raise DamagedError(file, "it is truncated, or something else than the config of a run")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise DamagedError(file, "it is no UTF-8 text") from None


def _seal(run_dir: Path) -> str:
    return f"run {run_dir.name}"

"""Files that data is read from: which, whether they are the right ones, and where copies are kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["DataError", "cache_folder", "check_sums", "download", "listed_sums"]

SUMS = "SHA256SUMS"
_TIMEOUT_SECONDS = 60


class DataError(ValueError):
    """Data that is not there or not what it should be, in one line."""


def cache_folder(kind: str) -> Path:
    """Of one kind of data, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smile-bnn" / kind


def listed_sums(files: Sequence[Path]) -> dict[Path, str]:
    """The digests that a file ``SHA256SUMS`` beside the files, or one folder above, has of them."""
    return {file: digest for file in files if (digest := _listed_sum(file)) is not None}


def check_sums(sums: Mapping[Path, str]) -> None:
    """Compares files with their SHA-256.

    Raises:
        DataError: names the first file that differs.
    """
    for file, expected in sums.items():
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != expected:
            raise DataError(
                f"{file} has a wrong checksum (sha256 {found[:16]}, expected {expected[:16]}): fetch it again"
            )


def download(url: str, file: Path, digest: str) -> None:
    """Fetches one file, checks its SHA-256 and moves it into place.

    Raises:
        DataError: where the address cannot be reached or holds something else.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            content = response.read()
    except OSError as error:
        raise DataError(
            f"cannot download {url} ({error}): set data.dir to a folder that holds {file.name}"
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise DataError(f"{url} no longer holds {file.name} (sha256 {found[:16]}, expected {digest[:16]})")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
        temporary.write(content)
    Path(temporary.name).replace(file)


def _listed_sum(file: Path) -> str | None:
    for folder in (file.parent, file.parent.parent):
        if not (folder / SUMS).is_file():
            continue
        for line in (folder / SUMS).read_text().splitlines():
            digest, _, name = line.partition(" ")
            if Path(name.strip().removeprefix("*")) == file.relative_to(folder):
                return digest.lower()
    return None

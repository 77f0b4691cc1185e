"""Files that data is read from: which, whether they are the right ones, and where copies are kept."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = [
    "DataError",
    "cache_folder",
    "check_sums",
    "download",
    "fetch",
    "keep",
    "listed_sums",
    "read_utf8",
]

SUMS = "SHA256SUMS"
_TIMEOUT_SECONDS = 60
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\r|\n")
_SUM_LINE = re.compile(r"([0-9A-Fa-f]{64}) [ *](.+)")


class DataError(ValueError):
    """Data that is not there or not what it should be, in one line.

    Attributes:
        option: of the data set that is to blame, ``target`` for instance; empty where it is the place of the data.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(" ".join(message.splitlines()))
        self.option = option


def read_utf8(path: Path) -> str:
    """The text of a file, line ends as they are, without a byte order mark.

    Raises:
        DataError: where it cannot be read, or holds something else; with the first byte that is none of UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    body = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = _line_at(body[: error.start].decode("utf-8")), body[error.start]
        raise DataError(
            f"{path}, line {line}: byte {len(content) - len(body) + error.start} is 0x{byte:02x}, which is no UTF-8 "
            "text: save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = _line_at(text[: text.index("\0")])
        raise DataError(f"{path}, line {line}: a zero byte, which is no UTF-8 text: save the file as UTF-8")
    return text


def cache_folder(kind: str) -> Path:
    """Of one kind of data, in the user's cache.

    Raises:
        DataError: where there is none, as the user has no home folder.
    """
    try:
        top = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise DataError("there is no home folder for a cache of data: set XDG_CACHE_HOME") from None
    return top / "smile-bnn" / kind


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


def fetch(url: str, name: str) -> bytes:
    """What lies under an address.

    Args:
        url: the address.
        name: of the file that a user may put into ``data.dir`` instead.

    Raises:
        DataError: where the address cannot be reached, or the connection breaks off.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return bytes(response.read())
    except (OSError, http.client.HTTPException) as error:
        reason = error if str(error) else type(error).__name__
        raise DataError(
            f"cannot download {url} ({reason}): set data.dir to a folder that holds {name}"
        ) from None


def download(url: str, file: Path, digest: str) -> None:
    """Fetches one file, checks its SHA-256 and moves it into place.

    Raises:
        DataError: where the address cannot be reached or holds something else, or the file cannot be written.
    """
    content = fetch(url, file.name)
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise DataError(f"{url} no longer holds {file.name} (sha256 {found[:16]}, expected {digest[:16]})")
    keep(file, content)


def keep(file: Path, content: bytes) -> None:
    """Writes what was downloaded, whole or not at all; until it is whole, nobody else may read it.

    Raises:
        DataError: where it cannot be written; nothing of it is left then.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as temporary:
                temporary.write(content)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot keep {file} ({reason}): XDG_CACHE_HOME may name another folder") from None


def _listed_sum(file: Path) -> str | None:
    for folder in (file.parent, file.parent.parent):
        if not (folder / SUMS).is_file():
            continue
        for number, line in enumerate(read_utf8(folder / SUMS).splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if (match := _SUM_LINE.fullmatch(line.rstrip())) is None:  # the file would go unchecked
                raise DataError(f"{folder / SUMS}, line {number}: {line[:40]!r} is no line of sha256sum")
            if Path(match[2]) == file.relative_to(folder):
                return match[1].lower()
    return None


def _line_at(before: str) -> int:
    """The number of the line that follows after some text."""
    return len(_LINE_END.findall(before)) + 1

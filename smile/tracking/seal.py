"""Parquet files that notice when a bit of them has changed.

A value in the footer is the CRC-32 of the whole file, computed with that value blank. It covers the footer, which
Parquet's own page checksums leave out, and looking at it costs 50 µs a run where verifying pages means decoding them,
2 ms, so that even the survey of thousands of runs can afford it. Files from before there were seals have none.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from smile import checksum
from smile.tracking.files import write_bytes_atomic

__all__ = ["UnreadableError", "check", "read_sealed", "write_sealed"]

_KEY = "smile_seal"


class UnreadableError(ValueError):
    """A file that is there and says nothing that can be trusted, in one line that names it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"{file} cannot be read ({reason}); delete it, and the command of its runs computes them again"
        )
        self.file, self.reason = file, reason


def write_sealed(path: Path, table: pa.Table) -> None:
    """Writes a table, whole or not at all."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: checksum.blank().decode()})
    write_bytes_atomic(path, checksum.sealed(buffer.getvalue()))


def read_sealed(
    file: Path, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """The columns of a table; all of them if None.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableError: where its bytes are not those that were written, or cannot be had.
        ValueError: where it has another schema than the given one.
    """
    content = _content(file)
    with _explained(file):
        source = pq.ParquetFile(pa.BufferReader(content))
        given = source.schema_arrow
    if schema is not None and not given.equals(schema):
        different = sorted(str(field.name) for field in set(given) ^ set(schema))
        what = f"differs in {', '.join(different)}" if different else "has its columns in another order"
        raise ValueError(f"{file} {what} from the schema of this version: repeat the run with force=true")
    with _explained(file):
        return source.read(columns)


def check(file: Path) -> None:
    """Looks at the seal alone, or reads the file where it has none.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableError: where its bytes are not those that were written, or cannot be had.
    """
    if checksum.place(_content(file)) is None:
        read_sealed(file)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnreadableError(file, reason) from None


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableError(file, error.strerror or str(error)) from None
    if checksum.place(content) and not checksum.is_sound(content):
        raise UnreadableError(file, "its bits have changed since it was written")
    return content

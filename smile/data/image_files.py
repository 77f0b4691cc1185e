"""Image sets as they are published: Parquet files in the Hugging Face layout, idx files, the Hugging Face hub."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smile.data.files import DataError, check_sums
from smile.extras import need

__all__ = [
    "IDX_FILES",
    "Part",
    "find_idx",
    "find_parquet",
    "from_hub",
    "idx_header",
    "read_idx",
    "read_parquet",
]

_TIMEOUT_SECONDS = 20
_ROWS_AT_ONCE = 1024
_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "fine_label")
_PREFIXES = {"train": ("train-",), "test": ("test-", "val-", "validation-")}

IDX_FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
             "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip


class Part(NamedTuple):
    """Train or test part of an image set.

    Attributes:
        origin: what messages call it.
        labels: (rows,) int64.
        batches: from the first image to the last: their origin, and encoded files or pixels (images, H, W, C) uint8.
    """

    origin: str
    labels: np.ndarray
    batches: Callable[[], Iterator[tuple[str, Sequence[bytes] | np.ndarray]]]


# ---- Parquet -------------------------------------------------------------------------------------


def find_parquet(directory: Path) -> dict[str, list[Path]] | None:
    """The shards of both parts in order; None where there are none of either."""
    shards = {
        part: next((files for prefix in prefixes if (files := sorted(directory.glob(f"{prefix}*.parquet")))), [])
        for part, prefixes in _PREFIXES.items()
    }  # fmt: skip
    return shards if all(shards.values()) else None


def read_parquet(files: Sequence[Path]) -> Part:
    """The rows of some shards.

    Raises:
        DataError: where a file is damaged or has other columns.
    """
    labels = []
    for file in files:
        with _whole(file):
            schema = pq.read_schema(file)
            column = _column(str(file), schema.names, _LABEL_COLUMNS)
            _column(str(file), schema.names, _IMAGE_COLUMNS)
            labels.append(_labels(str(file), pq.read_table(file, columns=[column]).column(column)))

    def batches() -> Iterator[tuple[str, Sequence[bytes]]]:
        for file in files:
            with _whole(file), pq.ParquetFile(file) as opened:
                column = _column(str(file), opened.schema_arrow.names, _IMAGE_COLUMNS)
                for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=[column]):
                    yield str(file), _encoded(str(file), batch.column(0))

    origin = str(files[0]) if len(files) == 1 else f"{files[0]} to {files[-1].name}"
    return Part(origin, np.concatenate(labels), batches)


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Says which file is damaged; behind the footer that shows as an OSError of the decompression."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{file} is no whole Parquet file ({reason}): fetch it again") from None


def _column(origin: str, names: Sequence[str], valid: Sequence[str]) -> str:
    found = [name for name in names if name in valid]
    if len(found) > 1:
        raise DataError(
            f"{origin} has columns {' and '.join(map(repr, found))}: only one of them can be meant"
        )
    if not found:
        raise DataError(
            f"{origin} has no column {' or '.join(map(repr, valid))}: its columns are {', '.join(names)}"
        )
    return found[0]


def _labels(origin: str, column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count or not pa.types.is_integer(column.type):
        raise DataError(f"{origin}: labels must be whole numbers without gaps, not {column.type}")
    return column.to_numpy().astype(np.int64)


def _encoded(origin: str, column: pa.Array) -> list[bytes]:
    if not pa.types.is_struct(column.type) or column.type.get_field_index("bytes") < 0:
        raise DataError(f"{origin}: images must be structs with 'bytes', not {column.type}")
    images = column.field("bytes")
    if images.null_count:
        raise DataError(f"{origin}: an image has no bytes")
    return images.to_pylist()


# ---- idx -----------------------------------------------------------------------------------------


def find_idx(directory: Path) -> dict[str, list[Path]] | None:
    """Images and labels of both parts, gzipped or not; None where one is missing."""
    found = {
        part: [_plain_or_gzipped(directory / name) for name in names] for part, names in IDX_FILES.items()
    }
    if not all(file.is_file() for files in found.values() for file in files):
        return None
    return found


def _plain_or_gzipped(file: Path) -> Path:
    return file if file.is_file() else file.with_name(f"{file.name}.gz")


def read_idx(files: Sequence[Path]) -> Part:
    """Pixels and labels in Y. LeCun's format: big-endian sizes and then bytes.

    Raises:
        DataError: where a file is damaged.
    """
    pixels, labels = (_idx(file, dimensions) for file, dimensions in zip(files, (3, 1), strict=True))
    if len(pixels) != len(labels):
        raise DataError(
            f"{files[0]} has {len(pixels)} images, {files[1]} has {len(labels)} labels: they differ"
        )
    return Part(str(files[0]), labels.astype(np.int64), lambda: iter([(str(files[0]), pixels[..., None])]))


def idx_header(shape: Sequence[int]) -> bytes:
    """What stands before the bytes of an array."""
    return struct.pack(f">{len(shape) + 1}I", 0x800 + len(shape), *shape)


def _idx(file: Path, dimensions: int) -> np.ndarray:
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} is no whole gzip file ({error}): fetch it again") from None
    size = 4 * (1 + dimensions)
    shape = struct.unpack(f">{dimensions}I", content[4:size]) if len(content) >= size else ()
    if content[:size] != idx_header(shape) or len(content) - size != math.prod(shape):
        raise DataError(
            f"{file} is no whole idx file of {dimensions} dimensions ({len(content)} bytes): fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=size).reshape(shape)


# ---- hub -----------------------------------------------------------------------------------------


def from_hub(
    repository: str, revision: str | None, files: Mapping[str, str], sums: Mapping[str, str]
) -> dict[str, Part]:
    """Both parts, downloaded by ``huggingface_hub`` into its own cache, and compared with their SHA-256.

    Args:
        repository: of a data set on the hub.
        revision: a commit; None: the latest.
        files: part -> Parquet file of the repository.
        sums: part -> its SHA-256. Where it is missing, it is that of the commit, by which git-LFS points to the file
            and the cache names it.

    Raises:
        DataError: where the hub cannot be reached or holds something else.
    """
    need("huggingface_hub", f"the download of {repository}")
    from huggingface_hub import constants, hf_hub_download

    try:
        _reach(constants.ENDPOINT)
        found = {
            part: Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
            for part, file in files.items()
        }
    except Exception as error:  # of a dozen libraries: network, authentication
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"cannot download {repository} from the Hugging Face hub ({reason}): "
            "set data.dir to a folder with its Parquet files"
        ) from None
    check_sums({file: sums.get(part) or _sum_of_the_commit(file) for part, file in found.items()})
    return {part: read_parquet([file]) for part, file in found.items()}


def _sum_of_the_commit(file: Path) -> str:
    name = file.resolve().name
    if not re.fullmatch("[0-9a-f]{64}", name):
        raise DataError(
            f"{file} cannot be checked: HF_HOME has to be on a file system with symbolic links, or data.dir to be set"
        )
    return name


def _reach(address: str) -> None:
    """Raises at once without a network, where the hub's own library would try for half a minute."""
    if not os.environ.get("HF_HUB_OFFLINE"):  # then what it downloaded earlier will do
        with suppress(urllib.error.HTTPError):  # an answer is an answer
            urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS).close()

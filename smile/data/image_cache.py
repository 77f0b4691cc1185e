"""Images are decoded once: into plain .npy files, which every process of a machine maps into its memory.

A file of their SHA-256 lies beside them, which a process compares before it maps them for the first time: a disk that
lost a bit changes no number. That takes 0.3 s for CIFAR-10, which is read in full anyway when its rows are split.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from smile import stop
from smile.data.dataset import Split
from smile.data.files import DataError
from smile.data.image_files import Part, idx_header
from smile.extras import need

__all__ = ["cached", "resize"]

_logger = logging.getLogger(__name__)

_PARTS = ("train", "test")
_FILES = tuple(f"{part}_{name}.npy" for part in _PARTS for name in "xy")
_DIGESTS = "sha256.json"
_EIGHT_BITS = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_IMAGES_PER_TASK = 64
_MIB = 2**20

Shape = tuple[int, int, int]
Advance = Callable[[int], None]


def cached(
    folder: Path,
    read: Callable[[], Mapping[str, Part]],
    *,
    channels: int,
    size: int | None,
    digests: Mapping[str, str],
) -> dict[str, Split]:
    """Both parts of an image set from the cache, which is filled first where it is empty or damaged.

    Args:
        folder: of this image set at this size; everything that changes its pixels is in the name.
        read: gives the parts; called where the cache is empty or damaged.
        channels: of the pixels, 1 or 3.
        size: height and width to resize to; None: the images are of one size, and stay.
        digests: SHA-256 of a part's pixels in the idx format at their own size, where it is known.

    Raises:
        DataError: where an image cannot be decoded, or the disk is full.
    """
    try:
        if not _is_whole(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with stop.alone(folder.parent / f"{folder.name}.lock"):
                if not _is_whole(folder):  # another process may have been faster
                    _fill(folder, read(), channels, size, digests)
        return {
            part: Split(
                *(np.load(folder / f"{part}_{name}.npy", mmap_mode="r", allow_pickle=False) for name in "xy")
            )
            for part in _PARTS
        }
    except OSError as error:
        raise DataError(f"the cache {folder} cannot be used: {error.strerror or error}") from None


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, without keeping the aspect ratio; (H, W, C) uint8."""
    need("PIL", "an image of another size")
    from PIL import Image

    channels = [
        np.asarray(Image.fromarray(image[..., c]).resize((width, height), Image.Resampling.BILINEAR))
        for c in range(image.shape[-1])
    ]
    return np.stack(channels, axis=-1)


# ---- files ---------------------------------------------------------------------------------------


def _is_whole(folder: Path) -> bool:
    """Whether the files hold what was written into them."""
    try:
        expected = json.loads((folder / _DIGESTS).read_bytes())
        states = [(folder / name).stat() for name in _FILES]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return bool(expected == _digests_once(folder, tuple(map(_state, states))))


def _state(file: os.stat_result) -> tuple[int, ...]:
    return file.st_ino, file.st_size, file.st_mtime_ns


@cache
def _digests_once(folder: Path, states: tuple[tuple[int, ...], ...]) -> dict[str, str]:
    """In a process, as long as nobody writes to the files, which their states tell."""
    return _digests(folder)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 by file."""
    digests = {}
    for name in _FILES:
        with (folder / name).open("rb") as content:
            digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
    return digests


def _put(temporary: Path, folder: Path) -> None:
    """Moves a whole cache into place, where a damaged one may be; who has that one mapped keeps it."""
    damaged = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(damaged)
    temporary.rename(folder)
    shutil.rmtree(damaged, ignore_errors=True)


def _fill(
    folder: Path, parts: Mapping[str, Part], channels: int, size: int | None, digests: Mapping[str, str]
) -> None:
    shape = (size, size, channels) if size else _first(parts["train"], channels).shape
    needed = sum(len(part.labels) for part in parts.values()) * int(np.prod(shape))
    temporary = folder.parent / f"{folder.name}.part"
    if folder.exists():
        _logger.warning("%s is damaged, or of an older version: decoding the images again", folder)
    # The lock is held: what a killed process left behind may go.
    shutil.rmtree(temporary, ignore_errors=True)
    if shutil.disk_usage(folder.parent).free < needed:
        raise _full(folder, needed)
    try:
        temporary.mkdir()
        with _progress(sum(len(part.labels) for part in parts.values()), folder.name) as advance:
            for name, part in parts.items():
                known = None if size else digests.get(name)
                _write(temporary / f"{name}_x.npy", part, shape, size, known, advance)
                np.save(temporary / f"{name}_y.npy", part.labels.astype(np.int32), allow_pickle=False)
        (temporary / _DIGESTS).write_text(json.dumps(_digests(temporary)))
        _put(temporary, folder)
    except BaseException as error:  # also an interrupt leaves nothing behind
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(folder, needed) from None
        raise


def _full(folder: Path, needed: int) -> DataError:
    return DataError(
        f"no space for the image cache: {folder.parent} needs {math.ceil(needed / _MIB)} MiB free; "
        "XDG_CACHE_HOME may name a folder on another disk"
    )


def _first(part: Part, channels: int) -> np.ndarray:
    origin, images = next(part.batches())
    return _pixels(origin, images[0], channels, None)


def _write(
    file: Path, part: Part, shape: Shape, size: int | None, digest: str | None, advance: Advance
) -> None:
    """Decodes in threads, which Pillow lets run side by side, and writes in order.

    To write through a memory map would be shorter, but there a full disk kills the process.
    """
    rows, written = len(part.labels), 0
    found = hashlib.sha256(idx_header((rows, *shape[:2])))
    with file.open("wb") as output, ThreadPoolExecutor(os.cpu_count()) as pool:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(output, header)
        for origin, images in part.batches():
            pieces = [images[i : i + _IMAGES_PER_TASK] for i in range(0, len(images), _IMAGES_PER_TASK)]
            for pixels in pool.map(partial(_decode, origin, shape, size), pieces):
                output.write(pixels.data)
                if digest is not None:
                    found.update(pixels.data)
                written += len(pixels)
                advance(len(pixels))
    if written != rows:
        raise DataError(f"{part.origin}: {rows} labels for {written} images")
    if digest is not None and found.hexdigest() != digest:
        raise DataError(
            f"{part.origin} does not hold the original images "
            f"(sha256 {found.hexdigest()[:16]}, expected {digest[:16]}): fetch it again"
        )


def _decode(origin: str, shape: Shape, size: int | None, images: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """Pixels of some images, (images, H, W, C)."""
    pixels = np.empty((len(images), *shape), np.uint8)
    for i, image in enumerate(images):
        decoded = _pixels(origin, image, shape[2], size)
        if decoded.shape != shape:
            height, width, _ = decoded.shape
            raise DataError(
                f"{origin}: images of {shape[0]}x{shape[1]} and {height}x{width} pixels: "
                "set data.size to resize them"
            )
        pixels[i] = decoded
    return pixels


def _pixels(origin: str, image: bytes | np.ndarray, channels: int, size: int | None) -> np.ndarray:
    if isinstance(image, np.ndarray):
        return image if size is None else resize(image, size, size)
    need("PIL", f"an image of {origin}")
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.mode not in _EIGHT_BITS:  # which Pillow would cut off at 255
                raise DataError(f"{origin}: an image has pixels of mode {opened.mode}: 8 bits are needed")
            converted = opened.convert("L" if channels == 1 else "RGB")
            if size is not None:
                converted = converted.resize((size, size), Image.Resampling.BILINEAR)
            decoded = np.asarray(converted)
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise DataError(f"{origin}: an image cannot be decoded ({error})") from None
    return decoded[..., None] if channels == 1 else decoded


@contextmanager
def _progress(total: int, name: str) -> Iterator[Advance]:
    """A bar on a terminal, which goes when it is done; nothing elsewhere."""
    columns = (
        TextColumn("decoding {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)
        yield lambda images: progress.advance(task, images)

"""Images with classes: what the published sets are, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smile.data.dataset import Split
from smile.data.files import DataError, cache_folder, check_sums, listed_sums
from smile.data.image_cache import cached, resize
from smile.data.image_files import (
    IDX_FILES,
    Part,
    find_idx,
    find_parquet,
    from_hub,
    idx_header,
    read_idx,
    read_parquet,
)
from smile.extras import need
from smile.paths import local_path

__all__ = ["IMAGE_SETS", "Images", "load_images"]

_DEBIAN = Path("/usr/share/datasets")
_DIGITS_TEST_ROWS = 360


class Images(NamedTuple):
    """An image set in its official parts.

    Attributes:
        name: of the set.
        train: pixels (rows, H, W, C) uint8, mapped from disk, and class numbers (rows,) int32.
        test: the same of the official test part.
        classes: their names.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]


class _Published(NamedTuple):
    """What an image set is known to be.

    Attributes:
        rows: of the train and the test part.
        channels: of an image.
        classes: in the order of their numbers.
        mean: of the pixels in [0, 1] by channel, as networks are given them.
        scale: their standard deviation, or 1.
        repository: on the Hugging Face hub.
        files: of the repository by part, in Parquet.
        revision: of the repository; None: the latest, which the digests check.
        sums: SHA-256 of the files by part; empty: those of the revision.
        digests: SHA-256 of the pixels in the idx format by part.
        label_digests: of the labels.
    """

    rows: tuple[int, int]
    channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    repository: str
    files: Mapping[str, str]
    revision: str | None = None
    sums: Mapping[str, str] = {}
    digests: Mapping[str, str] = {}
    label_digests: Mapping[str, str] = {}


IMAGE_SETS = {
    "fashion_mnist": _Published(
        (60_000, 10_000),
        1,
        ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        (0.0,),
        (1.0,),
        "zalando-datasets/fashion_mnist",
        {
            "train": "fashion_mnist/train-00000-of-00001.parquet",
            "test": "fashion_mnist/test-00000-of-00001.parquet",
        },
        digests={
            "train": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "test": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        },
        label_digests={
            "train": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "test": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "cifar10": _Published(
        (50_000, 10_000),
        3,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        (0.4914, 0.4822, 0.4465),
        (0.247, 0.243, 0.261),
        "uoft-cs/cifar10",
        {
            "train": "plain_text/train-00000-of-00001.parquet",
            "test": "plain_text/test-00000-of-00001.parquet",
        },
        revision="0b2714987fa478483af9968de7c934580d0bb9a2",
        sums={  # as the hub's page of either file says
            "train": "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883",
            "test": "841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de",
        },
    ),
    "imagenette": _Published(
        (9_469, 3_925),
        3,
        (
            "tench", "English springer", "cassette player", "chain saw", "church", "French horn", "garbage truck",
            "gas pump", "golf ball", "parachute",
        ),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        "frgfm/imagenette",
        {
            "train": "160px/train-00000-of-00001.parquet",
            "test": "160px/validation-00000-of-00001.parquet",
        },
        revision="4b23ffb92a8029db9958bdfdbd6978427d09b1a0",
    ),
}  # fmt: skip


def load_images(
    name: str, *, directory: str | None = None, size: int | None = None, cache: Path | None = None
) -> Images:
    """Loads an image set; the first time, its images are decoded into the cache.

    Args:
        name: fashion_mnist, cifar10, imagenette, or digits, which come with scikit-learn.
        directory: folder of ``train-*.parquet`` and ``test-*.parquet`` (or ``val-*``, ``validation-*``) in the Hugging
            Face layout, or of the idx files of Fashion-MNIST, gzipped or not. None: Debian's package of the set where
            it is installed, else the Hugging Face hub.
        size: height and width to resize to, bilinear; None: as they are.
        cache: folder of decoded images; None: the user's cache folder.

    Raises:
        DataError: in one line, what is missing or wrong.
    """
    if name == "digits":
        return _digits(size)
    if name not in IMAGE_SETS:
        raise DataError(f"no image set {name!r}: valid are {', '.join((*IMAGE_SETS, 'digits'))}")
    published = IMAGE_SETS[name]
    debian = _DEBIAN / name.replace("_", "-")
    if directory is None and find_idx(debian) is not None:
        directory = str(debian)
    source, read = _hub(published) if directory is None else _directory(name, local_path(directory))

    def checked() -> Mapping[str, Part]:
        parts = read()
        for (part, found), rows in zip(parts.items(), published.rows, strict=True):
            _check_labels(name, part, found, rows)
        return parts

    folder = (cache or cache_folder("images")) / f"{name}-{size or 'original'}-{source}"
    parts = cached(folder, checked, channels=published.channels, size=size, digests=published.digests)
    return Images(name, parts["train"], parts["test"], published.classes)


# ---- sources -------------------------------------------------------------------------------------


def _hub(published: _Published) -> tuple[str, Callable[[], dict[str, Part]]]:
    """A name of what is read, and the function that reads it."""
    where = (published.repository, published.revision, published.files, published.sums)
    return _digest(where), lambda: from_hub(*where)


def _directory(name: str, directory: Path) -> tuple[str, Callable[[], dict[str, Part]]]:
    if not directory.is_dir():
        raise DataError(
            f"{directory} is no folder: data.dir is the folder of the {name} files, or null to download"
        )
    found, read = find_parquet(directory), read_parquet
    if found is None and name == "fashion_mnist":
        found, read = find_idx(directory), read_idx
    if found is None:
        idx = f", nor {', '.join(sum(IDX_FILES.values(), ()))}" if name == "fashion_mnist" else ""
        raise DataError(
            f"{directory} has no train-*.parquet and test-*.parquet (or val-*, validation-*){idx}"
        )
    files = [file for part in found.values() for file in part]
    sums = listed_sums(files)
    # A file that changes is another source; to hash all files at every start would take longer than to map the cache.
    source = [(file.name, file.stat().st_size, file.stat().st_mtime_ns, sums.get(file)) for file in files]

    def checked() -> dict[str, Part]:
        check_sums(sums)
        return {part: read(shards) for part, shards in found.items()}

    return _digest(source), checked


def _digest(identity: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]


def _check_labels(name: str, part: str, found: Part, rows: int) -> None:
    published = IMAGE_SETS[name]
    classes = len(published.classes)
    outside = np.flatnonzero((found.labels < 0) | (found.labels >= classes))
    if len(outside):
        raise DataError(
            f"{found.origin}, row {outside[0]}: label {found.labels[outside[0]]}, but {name} has {classes} classes, "
            f"0 to {classes - 1}"
        )
    if len(found.labels) != rows:
        raise DataError(
            f"{found.origin}: the {part} part has {len(found.labels)} rows, but that of {name} has {rows}: "
            "is a shard missing?"
        )
    digest = hashlib.sha256(idx_header([rows]) + found.labels.astype(np.uint8).tobytes()).hexdigest()
    if digest != published.label_digests.get(part, digest):
        raise DataError(f"{found.origin} does not hold the original labels of {name}: fetch it again")


def _digits(size: int | None) -> Images:
    """The last 360 rows are the test part."""
    need("sklearn", "data=digits")
    from sklearn import datasets  # takes a second to import

    pixels, y = datasets.load_digits(return_X_y=True)
    x = (pixels.reshape(-1, 8, 8, 1) * (255 / 16)).round().astype(np.uint8)
    if size is not None:
        x = np.stack([resize(image, size, size) for image in x])
    y = y.astype(np.int32)
    train, test = (
        Split(x[:-_DIGITS_TEST_ROWS], y[:-_DIGITS_TEST_ROWS]),
        Split(x[-_DIGITS_TEST_ROWS:], y[-_DIGITS_TEST_ROWS:]),
    )
    return Images("digits", train, test, tuple(str(digit) for digit in range(10)))

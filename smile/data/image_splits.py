"""Images cut into parts by a seed, and images of another kind beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smile.data.dataset import Dataset, Split
from smile.data.files import DataError
from smile.data.image_cache import resize
from smile.data.images import IMAGE_SETS, Images, load_images

__all__ = ["split_images", "unfamiliar"]


def split_images(
    images: Images,
    *,
    seed: int,
    validation: int,
    limit: int | None = None,
    test_limit: int | None = None,
    normalise: bool = True,
) -> Dataset:
    """Shuffles the official train part and cuts the validation rows off it; the official test part stays as it is.

    PROTOCOL 1.1 states fractions of all rows, which give these numbers of validation rows: 11,000 of Fashion-MNIST,
    5,000 of CIFAR-10, 763 of Imagenette.

    Args:
        images: the set.
        seed: of the shuffle.
        validation: rows cut off the train part; the rest is for training.
        limit: most training rows to use; a smaller limit keeps a subset of what a larger one keeps.
        test_limit: most test rows to use, the same for all seeds.
        normalise: whether networks see pixels with the published mean and scale of the set; otherwise from 0 to 255.

    Raises:
        DataError: where a part has no rows.
    """
    rows = len(images.train.y)
    if not 0 < validation < rows:
        raise DataError(
            f"{images.name}: {validation} validation rows: they must leave some of the {rows} rows for training",
            option="validation_rows",
        )
    for name, most in (("limit", limit), ("test_limit", test_limit)):
        if most is not None and most < 1:
            raise DataError(
                f"{images.name}: {name}={most}: at least 1 row is needed, or null for all", option=name
            )
    order = np.random.default_rng(seed).permutation(rows)
    channels = images.train.x.shape[-1]
    published = IMAGE_SETS.get(images.name)
    mean, scale = (published.mean, published.scale) if published else ((0.0,) * channels, (1.0,) * channels)
    return Dataset(
        images.name,
        "classification",
        _rows(images.train, order[: rows - validation][:limit]),
        _rows(images.train, order[rows - validation :]),
        _subset(images.test, test_limit),
        num_classes=len(images.classes),
        x_mean=255 * np.array(mean, np.float32) if normalise else 0.0,
        x_scale=255 * np.array(scale, np.float32) if normalise else 1.0,
    )


def unfamiliar(
    kind: str,
    shape: tuple[int, int, int],
    *,
    rows: int,
    seed: int = 0,
    directory: str | None = None,
    cache: Path | None = None,
) -> Split:
    """Images that belong to no class of a data set, in its shape.

    Args:
        kind: ``noise``, pixels independent and uniform; ``digits``; or another image set, of which the test part is
            taken.
        shape: (H, W, C) of the data.
        rows: how many, or as many as there are.
        seed: chooses them.
        directory: of the image set, as for ``load_images``.
        cache: as for ``load_images``.

    Returns:
        Pixels; y is -1, no class.

    Raises:
        DataError: where there is no such kind.
    """
    if kind == "noise":
        x = np.random.default_rng(seed).integers(0, 256, (rows, *shape), np.uint8)
    elif kind == "digits" or kind in IMAGE_SETS:
        x = _subset(load_images(kind, directory=directory, cache=cache).test, rows, seed).x
        x = np.stack([resize(image, *shape[:2]) for image in x])
        if x.shape[-1] != shape[-1]:  # grey as it is seen, and colour from grey
            grey = x if x.shape[-1] == 1 else (x @ np.array([0.299, 0.587, 0.114]))[..., None].round()
            x = np.repeat(grey.astype(np.uint8), shape[-1], axis=-1)
    else:
        raise DataError(f"no unfamiliar images {kind!r}: valid are noise, digits, {', '.join(IMAGE_SETS)}")
    return Split(x, np.full(len(x), -1, np.int32))


def _rows(part: Split, index: np.ndarray) -> Split:
    """A copy of these rows alone; the rest stays on disk."""
    return Split(part.x[index], part.y[index])


def _subset(part: Split, rows: int | None, seed: int = 0) -> Split:
    """In the order of the part, and not copied where it is all of it."""
    if rows is None or rows >= len(part.y):
        return part
    return _rows(part, np.sort(np.random.default_rng(seed).permutation(len(part.y))[:rows]))

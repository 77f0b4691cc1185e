"""Images cut into parts by a seed, and images of another kind beside them."""

from __future__ import annotations

from typing import Literal, assert_never

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


def unfamiliar(kind: Literal["noise", "digits"], shape: tuple[int, int, int], *, rows: int) -> Split:
    """Images that belong to no class of a data set, in its shape.

    Args:
        kind: pixels that are independent and uniform, or handwritten digits.
        shape: (H, W, C) of the data.
        rows: how many; of digits, as many as there are at most.

    Returns:
        Pixels; y is -1, no class.
    """
    match kind:
        case "noise":
            x = np.random.default_rng(0).integers(0, 256, (rows, *shape), np.uint8)
        case "digits":
            digits = _subset(load_images("digits").test, rows).x
            x = np.stack([resize(image, *shape[:2]) for image in digits])
            x = np.repeat(x, shape[-1], axis=-1)  # colour from grey
        case _:
            assert_never(kind)
    return Split(x, np.full(len(x), -1, np.int32))


def _rows(part: Split, index: np.ndarray) -> Split:
    """A copy of these rows alone; the rest stays on disk."""
    return Split(part.x[index], part.y[index])


def _subset(part: Split, rows: int | None) -> Split:
    """In the order of the part, and not copied where it is all of it."""
    if rows is None or rows >= len(part.y):
        return part
    return _rows(part, np.sort(np.random.default_rng(0).permutation(len(part.y))[:rows]))

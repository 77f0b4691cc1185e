"""Augmentation of image batches, inside the compiled step."""

from __future__ import annotations

import jax
import jax.numpy as jnp

__all__ = ["flip_crop_resize"]

_FLIP_PROBABILITY = 0.5
_CROP_PROBABILITY = 0.95
_CROP_FRACTION = 0.7


def flip_crop_resize(key: jax.Array, x: jax.Array) -> jax.Array:
    """Mirrors half of the images, cuts a window out of most, and stretches it to the full size (PROTOCOL 1.5).

    Every image has a key of its own: mirrored left to right with probability 0.5; with probability 0.95 a window of
    int(0.7 H) x int(0.7 W) pixels, all positions alike, bilinearly resized to H x W.

    Args:
        key: of the batch.
        x: pixels, (rows, H, W, C) of any dtype; whole numbers are cut off, as in the public code.

    Returns:
        Pixels of the same shape and dtype.
    """
    rows, height, width, channels = x.shape
    window = int(_CROP_FRACTION * height), int(_CROP_FRACTION * width)

    def one(key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        key_flip, key_crop, key_top, key_left = jax.random.split(key, 4)
        image = jnp.where(jax.random.bernoulli(key_flip, _FLIP_PROBABILITY), image[:, ::-1], image)
        top = jax.random.randint(key_top, (), 0, height - window[0] + 1)
        left = jax.random.randint(key_left, (), 0, width - window[1] + 1)
        cropped = jax.lax.dynamic_slice(image, (top, left, 0), (*window, channels))
        return image, cropped, jax.random.bernoulli(key_crop, _CROP_PROBABILITY)

    images, cropped, is_cropped = jax.vmap(one)(jax.random.split(key, rows), x)
    # The window has the same size in all images, and so its resize is two products with constant matrices.
    resized = jax.image.resize(cropped.astype(jnp.float32), x.shape, "bilinear")
    return jnp.where(is_cropped[:, None, None, None], resized.astype(x.dtype), images)

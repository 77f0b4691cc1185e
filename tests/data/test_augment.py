"""Augmentation: what it does to single images, and how often."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from smile import random
from smile.data import flip_crop_resize

augment = jax.jit(flip_crop_resize)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shape_and_dtype_stay_and_keys_decide(dtype):
    x = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3)).astype(dtype)
    once = np.asarray(augment(random.key(0), x))
    assert once.shape == x.shape and once.dtype == dtype
    np.testing.assert_array_equal(once, augment(random.key(0), x))
    assert not np.array_equal(once, augment(random.key(1), x))
    assert once.min() >= x.min() and once.max() <= x.max()


def test_every_image_is_a_window_of_its_own_mirrored_or_not():
    """Against Pillow: each result is one of the possible windows, all of which come, each as often as the others."""
    height = width = 10
    image = np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)
    rows = 4000
    found = np.asarray(augment(random.key(2), jnp.tile(image[None, ..., None], (rows, 1, 1, 1))))[..., 0]
    candidates = {}
    for is_flipped, source in ((0, image), (1, image[:, ::-1])):
        candidates[is_flipped, -1, -1] = source.astype(float)
        for top in range(4):
            for left in range(4):
                window = Image.fromarray(source[top : top + 7, left : left + 7].astype(np.float32))
                resized = np.asarray(window.resize((width, height), Image.Resampling.BILINEAR))
                candidates[is_flipped, top, left] = resized
    distance = np.abs(found[:, None].astype(float) - np.stack(list(candidates.values()))[None]).max((2, 3))
    assert distance.min(1).max() <= 1.01  # whole numbers are cut off
    chosen = np.array(list(candidates))[distance.argmin(1)]

    def z(counts, probability):
        return (counts - rows * probability) / np.sqrt(rows * probability * (1 - probability))

    assert abs(z(chosen[:, 0].sum(), 0.5)) < 4
    assert abs(z((chosen[:, 1] < 0).sum(), 0.05)) < 4
    for axis in (1, 2):
        assert np.abs(z(np.bincount(chosen[chosen[:, axis] >= 0, axis], minlength=4), 0.95 / 4)).max() < 4

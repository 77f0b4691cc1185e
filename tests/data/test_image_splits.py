"""Images in three parts, and images of another kind."""

from __future__ import annotations

import numpy as np
import pytest

from smile.data import DataError, Images, Split, load_images, split_images, unfamiliar


@pytest.fixture
def cifar() -> Images:
    """Some rows of CIFAR-10's kind."""
    x, y = (
        np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8),
        np.arange(40, dtype=np.int32) % 10,
    )
    return Images("cifar10", Split(x[:30], y[:30]), Split(x[30:], y[30:]), tuple("abcdefghij"))


@pytest.mark.parametrize(
    ("name", "rows", "fractions", "validation"),
    [
        ("fashion_mnist", (60000, 10000), (0.7, 0.15715), 11000),
        ("cifar10", (50000, 10000), (0.75, 0.08334), 5000),
        ("imagenette", (9469, 3925), (0.65, 0.05696), 763),
    ],
)
def test_sizes_are_the_published_ones(name, rows, fractions, validation):
    parts = [Split(np.zeros((count, 1, 1, 1), np.uint8), np.zeros(count, np.int32)) for count in rows]
    data = split_images(Images(name, *parts, ("a", "b")), seed=1, validation=validation)
    first, second = int(sum(rows) * fractions[0]), int(sum(rows) * sum(fractions))
    sizes = [len(part.y) for part in (data.train, data.validation, data.test)]
    assert sizes == [first, second - first, sum(rows) - second]
    assert data.test is parts[1]


def test_every_row_is_in_one_part_and_keeps_its_label():
    digits = load_images("digits")
    data = split_images(digits, seed=3, validation=200)
    assert data.task == "classification" and data.num_classes == 10
    both = [np.concatenate([data.train[i], data.validation[i]]) for i in (0, 1)]
    order = np.lexsort(both[0].reshape(len(both[0]), -1).T)
    expected = np.lexsort(digits.train.x.reshape(1437, -1).T)
    np.testing.assert_array_equal(both[0][order], digits.train.x[expected])
    np.testing.assert_array_equal(both[1][order], digits.train.y[expected])
    assert not np.array_equal(data.train.y, split_images(digits, seed=4, validation=200).train.y)


def test_limits_keep_subsets():
    digits = load_images("digits")
    large, little = (split_images(digits, seed=0, validation=200, limit=n, test_limit=n) for n in (300, 100))
    np.testing.assert_array_equal(large.train.x[:100], little.train.x)
    np.testing.assert_array_equal(large.validation.x, little.validation.x)
    assert len(little.test.y) == 100 and len(set(little.test.y)) == 10
    other = split_images(digits, seed=1, validation=200, test_limit=100)
    np.testing.assert_array_equal(other.test.x, little.test.x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"validation": 1437},
            "digits: 1437 validation rows: they must leave some of the 1437 rows for training",
        ),
        ({"validation": 0}, "0 validation rows"),
        ({"validation": 9, "limit": 0}, "limit=0: at least 1 row"),
        ({"validation": 9, "test_limit": -1}, "test_limit=-1: at least 1 row"),
    ],
)
def test_a_part_without_rows_is_refused(options, message):
    with pytest.raises(DataError, match=message):
        split_images(load_images("digits"), seed=0, **options)


def test_networks_see_published_moments_or_raw_pixels(cifar):
    data = split_images(cifar, seed=0, validation=5)
    np.testing.assert_allclose(data.x_mean, [125.307, 122.961, 113.8575], rtol=1e-6)
    np.testing.assert_allclose(data.x_scale, [62.985, 61.965, 66.555], rtol=1e-6)
    raw = split_images(cifar, seed=0, validation=5, normalise=False)
    assert (raw.x_mean, raw.x_scale) == (0.0, 1.0)
    digits = split_images(load_images("digits"), seed=0, validation=5)
    assert digits.x_mean == 0 and digits.x_scale == 255


# ---- images of another kind ----------------------------------------------------------------------


def test_unfamiliar_images_have_the_shape_of_the_data():
    noise = unfamiliar("noise", (9, 7, 3), rows=50)
    assert noise.x.shape == (50, 9, 7, 3) and noise.x.dtype == np.uint8 and abs(noise.x.mean() - 127.5) < 3
    assert set(noise.y) == {-1}
    colour = unfamiliar("digits", (32, 32, 3), rows=20)
    assert (
        colour.x.shape == (20, 32, 32, 3) and (colour.x[..., :1] == colour.x).all() and colour.x.max() > 200
    )
    np.testing.assert_array_equal(noise.x, unfamiliar("noise", (9, 7, 3), rows=50).x)
    with pytest.raises(AssertionError, match="svhn"):
        unfamiliar("svhn", (8, 8, 1), rows=1)

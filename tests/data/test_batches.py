"""Batches without state: epochs are permutations, and look random."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from smile import random
from smile.data import Dataset, Split, epoch_batch_indices, rows_of, source


def epochs(key, num_rows: int, batch_size: int, count: int) -> np.ndarray:
    """The first rows of the stream, (count, num_rows)."""
    steps = -(-count * num_rows // batch_size)
    batches = jax.jit(jax.vmap(lambda step: epoch_batch_indices(key, step, num_rows, batch_size)))(
        jnp.arange(steps)
    )
    return np.asarray(batches).ravel()[: count * num_rows].reshape(count, num_rows)


@pytest.mark.parametrize(
    ("num_rows", "batch_size"),
    [(1, 1), (2, 1), (3, 2), (7, 3), (13, 13), (97, 10), (64, 8), (537, 256), (1052, 256), (12165, 256)],
)
def test_every_epoch_is_a_permutation_also_where_batches_straddle(num_rows, batch_size):
    found = epochs(random.key(1), num_rows, batch_size, 3)
    np.testing.assert_array_equal(np.sort(found), np.tile(np.arange(num_rows), (3, 1)))
    if num_rows > 10:
        assert (found[0] != found[1]).mean() > 0.8 and (found[0] != np.arange(num_rows)).mean() > 0.8


def test_chains_have_orders_of_their_own():
    keys = jax.random.split(random.key(0), 3)
    first, second, third = (epochs(key, 200, 50, 1)[0] for key in keys)
    assert (first != second).mean() > 0.9 and (second != third).mean() > 0.9


def test_positions_and_neighbours_are_uniform():
    """Over many epochs, where row 5 comes and which row follows it."""
    found = epochs(random.key(2), 23, 7, 20_000)
    position = np.argmax(found == 5, axis=1)
    assert stats.chisquare(np.bincount(position, minlength=23)).pvalue > 1e-3
    inner = found[position < 22]
    following = inner[np.arange(len(inner)), position[position < 22] + 1]
    counts = np.delete(np.bincount(following, minlength=23), 5)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_batches_of_different_epochs_are_independent():
    """The overlap of the first batches of two epochs is hypergeometric."""
    found = epochs(random.key(3), 100, 20, 4000)[:, :20]
    overlap = [len(np.intersect1d(a, b)) for a, b in zip(found[::2], found[1::2], strict=True)]
    expected = stats.hypergeom(100, 20, 20)
    assert abs(np.mean(overlap) - expected.mean()) < 4 * expected.std() / np.sqrt(len(overlap))
    assert abs(np.var(overlap) / expected.var() - 1) < 0.15


def test_late_steps_are_where_they_should_be():
    """Step s begins at row s B of the stream, beyond 32 bits."""
    key, num_rows, batch_size = random.key(4), 999, 256
    period = 999  # steps, after which batches begin on an epoch's first row again
    start = period * 1_000_000
    one_epoch = [
        np.asarray(epoch_batch_indices(key, jnp.uint32(start + i), num_rows, batch_size)) for i in range(4)
    ]
    np.testing.assert_array_equal(np.sort(np.concatenate(one_epoch)[:num_rows]), np.arange(num_rows))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_must_fit(batch_size):
    with pytest.raises(
        ValueError, match=f"batch size {batch_size} must be at least 1 and at most the 10 rows"
    ):
        epoch_batch_indices(random.key(0), jnp.int32(0), 10, batch_size)


def text(tokens: int, context: int) -> Dataset:
    ids = np.arange(tokens, dtype=np.uint16)
    window = Split(ids[None, :context], ids[None, 1 : context + 1])
    return Dataset("count", "language", Split(ids[:-1], ids[1:]), window, window, tokens, context=context)


def test_batches_of_text_are_windows_and_an_epoch_has_as_many_tokens_as_the_text():
    made = source(text(101, 10))
    assert (made.num_choices, made.num_rows) == (91, 10) and made.steps_per_epoch(4) == 3
    seen, draw = [], jax.jit(lambda step: made.draw(made.data, jax.random.key(0), step, 1))
    for step in range(91):
        x, y = draw(jnp.int32(step))
        np.testing.assert_array_equal(y, x + 1)
        np.testing.assert_array_equal(x[0], x[0, 0] + np.arange(10))
        seen.append(int(x[0, 0]))
    assert sorted(seen) == list(range(91))  # every window once before one comes again


def test_batches_of_rows():
    made = rows_of((np.arange(6.0), np.arange(6)))
    x, y = made.draw(made.data, jax.random.key(0), jnp.int32(0), 6)
    np.testing.assert_array_equal(x, y)
    assert sorted(np.asarray(y)) == list(range(6)) and made.steps_per_epoch(4) == 2
    assert made.draw(made.data, jax.random.key(0), jnp.int32(0), None) is made.data

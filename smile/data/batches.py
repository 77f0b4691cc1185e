"""Mini-batches without state: epoch after epoch, every row once in an order of its own, computed from the step alone.

A permutation of the rows that is sorted or shuffled anew costs more than a small network's gradient. Here a batch
computes its own B entries of the permutation, by a Feistel network with cycle walking (Black & Rogaway 2002, "Ciphers
with arbitrary finite domains"), so that a chain can be continued at any step and no step costs more than another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile.data.dataset import Dataset

__all__ = ["Source", "epoch_batch_indices", "rows_of", "source"]

_ROUNDS = 6
_MAX_ROWS = 2**30


class Source(NamedTuple):
    """What mini-batches are drawn from.

    Attributes:
        data: arrays on the device.
        num_choices: what a batch chooses among: rows, or starts of windows.
        num_rows: N, the rows, or windows of text, that all data amount to.
        take: ``(data, choices (B,) int32) -> batch``, leaves (B, ...).
    """

    data: Any
    num_choices: int
    num_rows: float
    take: Callable[[Any, jax.Array], Any]

    def draw(self, data: Any, key: jax.Array, step: jax.Array, batch_size: int | None) -> Any:
        """One chain's batch of a step; all data where ``batch_size`` is None."""
        if batch_size is None:
            return data
        return self.take(data, epoch_batch_indices(key, step, self.num_choices, batch_size))

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches in which every row appears once, the last one rounded up."""
        return math.ceil(self.num_rows / batch_size)


def rows_of(data: Any) -> Source:
    """Batches of rows of arrays, (rows, ...)."""
    data = jax.tree.map(jnp.asarray, data)
    rows = jax.tree.leaves(data)[0].shape[0]
    return Source(data, rows, rows, lambda data, index: jax.tree.map(lambda leaf: leaf[index], data))


def source(dataset: Dataset) -> Source:
    """Batches ``(x, y)`` of the training rows; of text, windows that start anywhere, whose starts are permuted."""
    train = (jnp.asarray(dataset.train.x), jnp.asarray(dataset.train.y))
    if dataset.context is None:
        return rows_of(train)
    offsets, tokens = np.arange(dataset.context), len(dataset.train.x)

    def windows(data: Any, starts: jax.Array) -> Any:
        return jax.tree.map(lambda text: text[starts[:, None] + offsets], data)

    return Source(train, tokens - dataset.context + 1, tokens / dataset.context, windows)


def epoch_batch_indices(key: jax.Array, step: jax.Array, num_rows: int, batch_size: int) -> jax.Array:
    """The rows of one chain's batch; batches follow each other through the epochs without dropping a row.

    Args:
        key: of the chain, the same at every step.
        step: number of the step, () int.
        num_rows: N, up to 2^30.
        batch_size: B. Where it does not divide N, a batch may end one epoch and begin the next.

    Returns:
        Row numbers in [0, N), (B,) int32.

    Raises:
        ValueError: where B is not in [1, N] or N is too large.
    """
    if not 1 <= batch_size <= num_rows <= _MAX_ROWS:
        raise ValueError(f"batch size {batch_size} must be at least 1 and at most the {num_rows} rows")
    # step B = epoch N + offset, in 32 bits: B / gcd steps make N / gcd epochs.
    common = math.gcd(num_rows, batch_size)
    period, epochs_per_period = num_rows // common, batch_size // common
    step = jnp.asarray(step, jnp.uint32)
    cycle, within = step // np.uint32(period), step % np.uint32(period)
    epoch_within, offset = _divmod_product(within, batch_size, num_rows)
    position = offset + jnp.arange(batch_size, dtype=jnp.uint32)
    is_next = position >= num_rows
    epoch = cycle * np.uint32(epochs_per_period) + epoch_within
    words = jnp.stack([jax.random.bits(jax.random.fold_in(key, e), (2,)) for e in (epoch, epoch + 1)])
    word = jnp.where(is_next, words[1][:, None], words[0][:, None])
    return _permute(jnp.where(is_next, position - np.uint32(num_rows), position), word, num_rows)


def _divmod_product(a: jax.Array, b: int, n: int) -> tuple[jax.Array, jax.Array]:
    """``divmod(a b, n)`` for a, b <= n <= 2^30 without overflow: schoolbook, one bit of b after the other."""
    quotient, rest = jnp.uint32(0), jnp.uint32(0)
    for bit in bin(b)[2:]:
        rest = 2 * rest + (a if bit == "1" else np.uint32(0))
        carried = rest // np.uint32(n)
        quotient, rest = 2 * quotient + carried, rest - carried * np.uint32(n)
    return quotient, rest


def _permute(x: jax.Array, word: jax.Array, n: int) -> jax.Array:
    """A pseudo-random permutation of [0, n), keyed by two 32-bit words per entry, (2, B)."""
    if n == 1:
        return x.astype(jnp.int32)
    a = (
        math.isqrt(n - 1) + 1
    )  # x = left b + right, left < a, right < b, with a b >= n as small as that allows
    b = -(-n // a)

    def once(x: jax.Array) -> jax.Array:
        left, right = x // np.uint32(b), x % np.uint32(b)
        for i in range(_ROUNDS):
            left = _add(left, _mix(right + word[0] + np.uint32(0x9E3779B9 * (2 * i + 1) % 2**32), word[1]), a)
            right = _add(
                right, _mix(left + word[1] + np.uint32(0x9E3779B9 * (2 * i + 2) % 2**32), word[0]), b
            )
        return left * np.uint32(b) + right

    # Entries that land between n and a b walk on until they are back.
    walked = jax.lax.while_loop(lambda y: jnp.any(y >= n), lambda y: jnp.where(y >= n, once(y), y), once(x))
    return walked.astype(jnp.int32)


def _add(value: jax.Array, hashed: jax.Array, modulus: int) -> jax.Array:
    """``value`` plus a number in [0, modulus), modulo ``modulus`` <= 2^15 + 1: without a division, which is slow."""
    total = value + (((hashed >> np.uint32(16)) * np.uint32(modulus)) >> np.uint32(16))
    return jnp.where(total >= modulus, total - np.uint32(modulus), total)


def _mix(x: jax.Array, key: jax.Array) -> jax.Array:
    """A 32-bit hash with full avalanche (constants of H. Mueller and C. Wellons, "lowbias32")."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15)) ^ key) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))

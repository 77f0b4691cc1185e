"""A counter-based generator that XLA fuses: Threefry-2x32 with 13 rounds.

JAX's own Threefry runs 20 rounds and is lowered as a loop on CPUs, which costs more than the rest of an analytic
sampler's step. Thirteen rounds are the smallest number that passes BigCrush with a margin (Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3", Table 2). Keys made here work with all of ``jax.random``.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl

__all__ = ["key"]

_ROUNDS = 13
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)


@partial(jax.jit, inline=True)  # of which each operation would be a program of its own where nobody traces it
def _threefry2x32(key: jax.Array, x0: jax.Array, x1: jax.Array) -> tuple[jax.Array, jax.Array]:
    schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x0, x1 = x0 + schedule[0], x1 + schedule[1]
    for i in range(_ROUNDS):
        rotation = np.uint32(_ROTATIONS[i % 8])
        x0 = x0 + x1
        x1 = ((x1 << rotation) | (x1 >> (np.uint32(32) - rotation))) ^ x0
        if i % 4 == 3:
            j = i // 4 + 1
            x0 = x0 + schedule[j % 3]
            x1 = x1 + schedule[(j + 1) % 3] + np.uint32(j)
    return x0, x1


def _words(key: jax.Array, size: int, stream: int) -> jax.Array:
    """``size`` independent 32-bit words; ``stream`` keeps bits, splits and folds of one key apart."""
    counter = jnp.arange(size, dtype=jnp.uint32)
    return _threefry2x32(key, counter, jnp.uint32(stream))[0]


def _seed(seed: jax.Array) -> jax.Array:
    seed = jnp.asarray(seed)
    high = seed >> 32 if seed.dtype.itemsize > 4 else jnp.zeros_like(seed)
    return jnp.stack([high.astype(jnp.uint32), seed.astype(jnp.uint32)])


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return _words(key, 2 * math.prod(shape), stream=1).reshape(*shape, 2)


def _fold_in(key: jax.Array, data: int) -> jax.Array:
    return jnp.stack(_threefry2x32(key, jnp.asarray(data).astype(jnp.uint32), jnp.uint32(2)))


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    size = math.prod(shape)
    if bit_width == 64:
        high, low = _words(key, 2 * size, stream=0).reshape(2, size).astype(jnp.uint64)
        return ((high << np.uint64(32)) | low).reshape(shape)
    return _words(key, size, stream=0).astype(jnp.dtype(f"uint{bit_width}")).reshape(shape)


_THREEFRY13 = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="threefry13",
    tag="t13",
)


def key(seed: int) -> jax.Array:
    """A ``jax.random`` key of the fast generator.

    Args:
        seed: any integer below 2**32 (2**64 in 64-bit mode).

    Returns:
        A typed key, shape (), for use with every function of ``jax.random``.
    """
    return jax.random.key(seed, impl=_THREEFRY13)

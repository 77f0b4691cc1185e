"""Resets, where kernels and tuners meet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.kernels import smile
from smile.tuners import Tuner, tuned

CHAINS = 4


def logdensity(position, batch):
    return -0.5 * jnp.sum(position**2, 0) + batch


def resets_above(bound: float) -> Tuner:
    """A tuner that undoes steps whose energy error is large."""
    return Tuner(lambda size: size, lambda size, info: (size, size, jnp.abs(info.energy_error) > bound))


@pytest.mark.parametrize("bound", [-1.0, 0.1, 1e9])
@pytest.mark.parametrize("trailing", [False, True])
def test_a_reset_touches_its_own_chain_alone(bound: float, trailing: bool):
    """Under vmap, where a restart is computed only if one chain needs it, as for each chain by itself."""
    algorithm = tuned(smile(logdensity), resets_above(bound))
    keys = jax.random.split(random.key(0), CHAINS)
    positions = jax.random.normal(random.key(1), (CHAINS, 5))
    sizes = jnp.array([0.01, 0.1, 1.0, 5.0])
    batch = jnp.float32(0)
    one_step = jax.jit(algorithm.step)
    alone, undone = [], []
    for key, position, size in zip(keys, positions, sizes, strict=True):
        state = algorithm.init(position, key, batch, size)
        new, info = one_step(key, state, batch)
        undone.append(bool(jnp.abs(info.energy_error) > bound))
        assert (new.kernel.position == position).all() == undone[-1]
        assert (new.kernel.velocity != state.kernel.velocity).any()
        np.testing.assert_allclose(jnp.linalg.norm(new.kernel.velocity), 1, rtol=1e-5)
        alone.append(new)
    assert undone.count(True) in {-1.0: {4}, 0.1: {1, 2, 3}, 1e9: {0}}[bound]
    if trailing:  # the kernel's own chains share a key; positions tell who was undone
        state = algorithm.init(positions.T, keys[0], batch, sizes)
        new, info = one_step(keys[0], state, batch)
        back = (new.kernel.position == positions.T).all(0)
        np.testing.assert_array_equal(back, jnp.abs(info.energy_error) > bound)
        return
    state = jax.vmap(algorithm.init, (0, 0, None, 0))(positions, keys, batch, sizes)
    together, _ = jax.jit(jax.vmap(algorithm.step, (0, 0, None)))(keys, state, batch)
    for i, expected in enumerate(alone):
        jax.tree.map(
            lambda ours, theirs, i=i: np.testing.assert_allclose(ours[i], theirs, rtol=1e-4, atol=1e-6),
            together,
            expected,
        )

"""Step sizes as functions of the step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Info
from smile.tuners import cosine, cyclical, linear

INFO = Info(jnp.nan, jnp.bool_(False), jnp.int32(1))


def step_sizes(tuner, initial: float, num_steps: int) -> np.ndarray:
    """Of every step, (num_steps,)."""

    def one_step(carry, _):
        state, step_size = carry
        state, following, reset = tuner.update(state, INFO)
        assert reset is None
        return (state, following), step_size

    start = (tuner.init(jnp.float32(initial)), jnp.float32(initial))
    return np.asarray(jax.lax.scan(one_step, start, None, length=num_steps)[1])


@pytest.mark.parametrize(
    ("num_steps", "thinning", "initial", "end", "first", "first_value", "last_of_cycle", "last_value"),
    [(15000, 150, 1e-5, 5e-9, 1350, 7.13e-6, 3600, 4.44e-8), (20000, 200, 1e-6, 1e-9, 1800, 7.13e-7, 4800, 4.94e-9)],
)  # fmt: skip
def test_cyclical_is_the_published_csgld(
    num_steps, thinning, initial, end, first, first_value, last_of_cycle, last_value
):
    tuner = cyclical(num_steps, 4, 0.33, end / initial)
    values = step_sizes(tuner, initial, num_steps)
    looked_at = np.arange(0, num_steps, thinning)
    kept = looked_at[np.asarray(jax.vmap(tuner.keeps)(looked_at))]
    assert len(kept) == 64
    assert kept[0] == first and kept[15] == last_of_cycle
    np.testing.assert_allclose(values[first], first_value, rtol=2e-3)
    np.testing.assert_allclose(values[last_of_cycle], last_value, rtol=2e-3)
    np.testing.assert_allclose(values[num_steps // 4], initial, rtol=1e-6)


def test_a_cycle_that_does_not_divide_the_chain_is_cut_short():
    tuner = cyclical(10, 3, 0.5, 0.1)
    values = step_sizes(tuner, 1.0, 10)
    np.testing.assert_allclose(values[[0, 4, 8]], 1.0, rtol=1e-6)
    assert (np.diff(values[:4]) < 0).all()


@pytest.mark.parametrize("make", [linear, cosine])
def test_from_the_initial_step_size_to_a_fraction_of_it(make):
    values = step_sizes(make(100, 0.1), 2.0, 102)
    np.testing.assert_allclose(
        [values[0], values[50], values[100], values[101]], [2.0, 1.1, 0.2, 0.2], rtol=1e-5
    )
    assert (np.diff(values[:100]) <= 0).all()

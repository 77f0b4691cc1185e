"""What holds for every tuner that can be chosen, with the defaults of its YAML: a new one enters by the table."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Build, Info
from smile.preflight import compose
from smile.tuners import TUNERS

STEPS = 30
NAMES = list(TUNERS)


def declared(name):
    overrides = ["sampler=mclmc", "noise=none"] if name == "mclmc" else ["sampler=smile"]
    return compose([*overrides, f"tuner={name}"]).tuner.build(Build(num_steps=STEPS, dimension=10))


def infos(*chains):
    errors = jax.random.normal(jax.random.key(0), (STEPS, *chains))
    return Info(errors, jnp.zeros_like(errors, bool), jnp.ones(STEPS, jnp.int32))


def run(tuner, step_size, info):
    def update(state, info):
        state, step_size, reset = tuner.update(state, info)
        return state, (step_size, jnp.zeros_like(step_size, bool) if reset is None else reset)

    return jax.lax.scan(update, tuner.init(step_size), info)[1]


@pytest.mark.parametrize("name", NAMES)
def test_step_sizes_stay_positive_finite_and_in_their_dtype(name):
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            sizes, resets = map(np.asarray, run(declared(name), jnp.asarray(0.1, dtype), infos()))
        assert sizes.dtype == dtype and resets.dtype == bool
        assert np.isfinite(sizes).all() and (sizes > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_chains_are_a_vmap(name):
    tuner, info, start = declared(name), infos(3), jnp.array([1e-3, 1e-2, 1e-1])
    together = run(tuner, start, info)
    for chain in range(3):
        alone = run(
            tuner,
            start[chain],
            info._replace(energy_error=info.energy_error[:, chain], is_divergent=info.is_divergent[:, chain]),
        )
        np.testing.assert_allclose(together[0][:, chain], alone[0], rtol=1e-5)
        np.testing.assert_array_equal(together[1][:, chain], alone[1])


@pytest.mark.parametrize("name", NAMES)
def test_an_energy_that_is_not_finite_harms_one_step(name):
    info = infos()
    broken = info._replace(energy_error=info.energy_error.at[5].set(jnp.nan))
    sizes, _ = run(declared(name), jnp.float32(0.1), broken)
    assert np.isfinite(sizes).all() and (sizes > 0).all()

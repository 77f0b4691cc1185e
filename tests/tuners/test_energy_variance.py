"""The tuner on errors of a known law, without a kernel: rates, drift, and what outliers and NaN do to it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Info
from smile.tuners import energy_variance

CHAINS, STEPS = 256, 5000

ERRORS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "exponential": lambda key: jax.random.exponential(key, (STEPS, CHAINS)),
    "gamma": lambda key: jax.random.gamma(key, 3.0, (STEPS, CHAINS)),
    "half_normal": lambda key: jnp.abs(jax.random.normal(key, (STEPS, CHAINS))),
    "half_t3": lambda key: jnp.abs(jax.random.t(key, 3.0, (STEPS, CHAINS))),
}


def run(errors: jax.Array, **options: object):
    """Final state, and of every step (STEPS, CHAINS): whether it was undone, and the step size after it."""
    tuner = energy_variance(**options)

    def one_step(state, error):
        info = Info(error, ~jnp.isfinite(error), jnp.int32(2))
        state, step_size, reset = tuner.update(state, info)
        return state, (reset, step_size)

    return jax.jit(lambda e: jax.lax.scan(one_step, tuner.init(jnp.full(e.shape[1:], 1e-3)), e))(errors)


@pytest.mark.parametrize("law", ERRORS)
def test_reset_rate_is_near_nominal(law: str):
    _, (reset, _) = run(ERRORS[law](jax.random.key(0)))
    rate = float(reset[200:].mean())
    assert 0.008 < rate < 0.045, rate


def test_normal_errors_leave_the_step_size_where_it_is_and_heavy_tails_shrink_it():
    """Batch noise alone makes errors normal; tails heavier than that are what the tuner reacts to."""
    drift = {
        law: jnp.log(run(errors(jax.random.key(1)))[0].step_size / 1e-3) for law, errors in ERRORS.items()
    }
    assert abs(float(drift["half_normal"].mean())) < 0.3
    assert float(drift["half_t3"].max()) < -1


def test_no_change_and_no_reset_before_the_tenth_step():
    _, (reset, step_size) = run(ERRORS["half_normal"](jax.random.key(2)))
    assert not reset[:9].any() and (step_size[:9] == jnp.float32(1e-3)).all()


@pytest.mark.parametrize("outlier", [1e3, 1e6, np.inf, -np.inf, np.nan])
def test_an_outlier_neither_freezes_nor_disables_the_tuner(outlier: float):
    errors = ERRORS["half_normal"](jax.random.key(3))
    _, (plain, _) = run(errors)
    state, (reset, step_size) = run(errors.at[1000].set(outlier))
    assert reset[1000].all()
    assert np.isfinite(np.asarray(jax.tree.leaves(state))).all()
    after = slice(1001, 1601)
    assert abs(float(reset[after].mean()) - float(plain[after].mean())) < 0.01
    assert (step_size[-1] != step_size[2000]).mean() > 0.9
    assert int(state.num_non_finite[0]) == (0 if np.isfinite(outlier) else 1)


def test_the_public_rule_freezes_after_one_outlier():
    """Why it is not the default (docs/deviations.md, K3 and K4)."""
    errors = ERRORS["half_normal"](jax.random.key(3)) + 0.1
    _, (reset, _) = run(errors.at[1000].set(1e4), reference=True)
    assert reset[1001:1601].mean() > 0.9
    _, (reset, step_size) = run(errors.at[1000].set(np.nan), reference=True)
    assert not reset[1001:].any() and (step_size[-1] == step_size[1001]).all()


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_fit_follows_a_new_scale_of_the_errors(factor: float):
    errors = ERRORS["half_normal"](jax.random.key(4)).at[2000:].mul(factor)
    _, (reset, _) = run(errors)
    assert reset[2000:2600].mean() < 0.35
    assert 0.005 < reset[3500:].mean() < 0.05


def test_many_divergent_steps_shrink_the_step_size_to_its_floor_and_it_recovers():
    errors = ERRORS["exponential"](jax.random.key(5)).at[100:900].set(jnp.nan)
    state, (_, step_size) = run(errors)
    np.testing.assert_allclose(step_size[899], 1e-8, rtol=1e-5)
    assert (state.num_non_finite == 800).all() and np.isfinite(state.step_size).all()


def test_frozen_step_size_stays_and_resets_go_on():
    _, (reset, step_size) = run(ERRORS["half_normal"](jax.random.key(6)), freeze_after=1000)
    assert (step_size[1000:] == step_size[999]).all()
    assert reset[1000:].mean() > 0.005


def test_switched_off_it_does_nothing():
    options = {"reset_quantile": 1.0, "adaptation_probability": 0.0}
    for reference in (False, True):
        state, (reset, _) = run(ERRORS["half_t3"](jax.random.key(7)), reference=reference, **options)
        assert not reset.any() and (state.step_size == jnp.float32(1e-3)).all()

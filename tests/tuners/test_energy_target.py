"""The tuner that aims at an energy error per dimension, on errors that follow the step size as those of chains do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Info
from smile.kernels import smile
from smile.tuners import energy_target, tuned

DIM, VARIANCE, BEST = 400, 1e-3, 2e-2
DEVIATION = (DIM * VARIANCE) ** 0.5


def run(start: float, scaled_errors: np.ndarray, power: float = 1.0, **options: float):
    """Step sizes and resets where E = scaled error x deviation x (step size / BEST)^power."""
    tuner = energy_target(DIM, desired_energy_variance=VARIANCE, **options)

    def update(carry, scaled):
        state, size = carry
        info = Info(scaled * DEVIATION * (size / BEST) ** power, jnp.array(False), jnp.int32(2))
        state, size, reset = tuner.update(state, info)
        return (state, size), (size, reset)

    size = jnp.float32(start)
    (state, _), (sizes, resets) = jax.lax.scan(update, (tuner.init(size), size), jnp.asarray(scaled_errors))
    return np.asarray(sizes), np.asarray(resets), state


@pytest.mark.parametrize("start", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("power", [1.0, 3.0], ids=["noise", "integrator"])
def test_from_any_start_to_the_step_size_with_the_desired_variance(start: float, power: float):
    errors = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    sizes, resets, _ = run(start, errors, power)
    assert np.exp(np.log(sizes[-5000:]).mean()) == pytest.approx(BEST, rel=0.05)
    assert not resets[2000:].any()


def test_rare_outliers_of_any_size_are_undone_and_move_nothing():
    errors = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    errors[::100] = 1e6
    errors[50::100] = np.nan
    sizes, resets, state = run(1e-2, errors)
    assert np.exp(np.log(sizes[-5000:]).mean()) == pytest.approx(BEST, rel=0.1)
    assert state.num_resets == resets.sum() == 400 and state.num_non_finite == 200


def test_steps_that_do_not_move_say_nothing():
    sizes, resets, state = run(1e-2, np.zeros(500, np.float32))
    assert (sizes == np.float32(1e-2)).all() and not resets.any() and state.num_judged == 0


def test_frozen_it_still_undoes_divergent_steps():
    errors = np.array([0.1] * 5 + [0.1, 100.0], np.float32)
    sizes, resets, _ = run(1e-2, errors, freeze_after=5)
    assert len(set(sizes[4:])) == 1 and resets.tolist() == [False] * 6 + [True]


@pytest.mark.parametrize(
    "wrong", [{"dimension": 0}, {"desired_energy_variance": 0.0}, {"initial_gain": -1.0}, {"freeze_after": 0}]
)
def test_wrong_arguments_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        energy_target(**{"dimension": 3, **wrong})


def logdensity(position, batch):
    return -0.5 * batch * jnp.sum(position**2, 0)


def test_the_energy_error_is_that_of_one_batch():
    """The gradients are those of the batches as they come; the log densities are both of the last one."""
    position, key = jnp.array([1.0, -2.0, 0.5]), jax.random.key(0)
    steps = []
    for same in (False, True):
        kernel = smile(logdensity, same_batch_energy=same)
        state = kernel.init(position, key, jnp.float32(1.0))
        steps.append(kernel.step(key, state, jnp.float32(3.0), jnp.float32(0.1)))
    (before, other), (state, info) = steps
    assert (state.position == before.position).all()
    difference = logdensity(position, 3.0) - logdensity(position, 1.0)
    np.testing.assert_allclose(info.energy_error - other.energy_error, difference, rtol=1e-4)


def test_resets_do_not_narrow_a_gaussian():
    """Noise ten times the gradient, isotropic, on which SMILE is exact; the errors' tails are cut nowhere."""
    dim, chains, steps = 20, 200, 6000
    target_sd = jnp.linspace(0.5, 2.0, dim)[:, None]

    def noisy(position, batch):
        return -0.5 * jnp.sum((position / target_sd) ** 2, 0) + jnp.sum(batch * position, 0)

    algorithm = tuned(
        smile(noisy, momentum_decoherence_length=20.0, same_batch_energy=True),
        energy_target(dim, desired_energy_variance=5e-3),
    )
    keys = jax.random.split(jax.random.key(1), 3)
    position = target_sd * jax.random.normal(keys[0], (dim, chains))

    def batch(key):
        return 5.0 * jax.random.normal(key, (dim, chains))

    state = algorithm.init(position, keys[1], batch(keys[1]), jnp.full(chains, 0.5))

    def step(carry, key):
        state, total = carry
        state, _ = algorithm.step(key, state, batch(jax.random.fold_in(key, 7)))
        return (state, total + state.kernel.position**2), None

    (state, _), _ = jax.lax.scan(step, (state, jnp.zeros((dim, chains))), jax.random.split(keys[1], 1000))
    resets_before = state.tuner.num_resets
    (state, total), _ = jax.lax.scan(
        step, (state, jnp.zeros((dim, chains))), jax.random.split(keys[2], steps)
    )
    ratio = np.asarray(total / steps / target_sd**2).mean(axis=0)
    error = ratio.std(ddof=1) / chains**0.5
    assert int((state.tuner.num_resets - resets_before).sum()) < 1e-4 * chains * steps
    assert error < 0.003 and abs(ratio.mean() - 1) < 0.01 + 3 * error

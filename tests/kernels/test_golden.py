"""Golden values of the public code, executed in float32."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from smile.kernels import adasghmc, gradient_noise, smile
from smile.kernels.microcanonical import kick
from smile.tuners import energy_variance, tuned

OFFSETS = [0, 0.3, -0.2, 0.5, 0.1, -0.4, 0.2, 0, 0.6, -0.1, 0.3, -2, 0.2, 0.1, 0.25, 0]


def logdensity(x, offset):
    return -0.5 * jnp.sum(jnp.array([1.0, 4.0, 9.0]) * x**2) + offset


def test_kick():
    u, kinetic = kick(jnp.array([0.6, 0.8, 0.0]), jnp.array([1.0, -2.0, 3.0]), jnp.float32(0.1), 3)
    np.testing.assert_allclose(u, [0.6710081, 0.7256826, 0.1520953], rtol=1e-6)
    np.testing.assert_allclose(kinetic, -0.066578, atol=1e-6)


def test_tuned_smile_follows_the_whole_trace():
    """Position, velocity, log density, the tuner's mean and deviation, step size, rejections, to the printed digits."""
    lines = (Path(__file__).parent / "golden_trace_smile.txt").read_text().splitlines()[2:]
    algorithm = tuned(smile(logdensity, reference=True), energy_variance(reference=True))
    state = algorithm.init(jnp.ones(3), jax.random.key(0), jnp.float32(0), jnp.float32(0.1))
    for offset, line in zip(OFFSETS, lines, strict=True):
        x, y, z, u, v, w, value, mean, deviation, step_size = map(float, re.findall(r"-?\d+\.\d+", line))
        resets = int(state.tuner.num_resets)
        state, _ = jax.jit(algorithm.step)(jax.random.key(1), state, jnp.float32(offset))
        np.testing.assert_allclose(state.kernel.position, [x, y, z], atol=1.5e-6)
        np.testing.assert_allclose(state.kernel.velocity, [u, v, w], atol=1.5e-6)
        np.testing.assert_allclose(state.kernel.logdensity, value, atol=1.5e-6)
        np.testing.assert_allclose(state.tuner.mean, mean, atol=1.5e-6)
        np.testing.assert_allclose(jnp.sqrt(state.tuner.variance), deviation, atol=1.5e-6)
        np.testing.assert_allclose(state.step_size, step_size, atol=1.5e-6)
        assert bool(state.tuner.num_resets > resets) == line.endswith("True")
    assert int(state.tuner.num_resets) == 3


def test_psmile_first_step_of_the_network_code():
    preconditioner = gradient_noise(reference="network")
    kernel = smile(logdensity, preconditioner=preconditioner, reference=True)
    state = kernel.init(jnp.ones(3), jax.random.key(0), jnp.float32(0))
    state, _ = kernel.step(jax.random.key(0), state, jnp.float32(0), jnp.float32(0.1))
    np.testing.assert_allclose(
        jnp.sqrt(state.preconditioner.variance), [1.014399, 1.107776, 1.375335], rtol=1e-6
    )
    np.testing.assert_allclose(state.preconditioner.mean, [0.980051, 0.950808, 0.904091], rtol=1e-6)


def test_adaptive_sghmc_adapts_as_the_network_code():
    kernel = adasghmc(logdensity, reference=True)
    state = kernel.init(jnp.ones(3), jax.random.key(0), jnp.float32(0))
    state, _ = kernel.step(jax.random.key(0), state, jnp.float32(0), jnp.float32(0.01))
    np.testing.assert_allclose(state.window, 1.0, atol=1e-6)
    np.testing.assert_allclose(state.scale, 0.70711, atol=1e-5)
    # The noise of the first step moved the position a little: the golden values have gradient (1, 4, 9).
    state = state._replace(gradient=jnp.array([-1.0, -4.0, -9.0]))
    state, _ = kernel.step(jax.random.key(0), state, jnp.float32(0), jnp.float32(0.01))
    np.testing.assert_allclose(state.window, 1.5, atol=1e-5)
    np.testing.assert_allclose(state.smooth_gradient, [0.7, 1.9, 3.9], atol=1e-5)
    np.testing.assert_allclose(state.scale, [0.83666, 2.588436, 5.718391], atol=1e-5)

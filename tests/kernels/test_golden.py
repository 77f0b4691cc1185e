"""Golden values of the public code, executed in float32."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from smile.kernels import gradient_noise, smile
from smile.kernels.microcanonical import kick

OFFSETS = [0, 0.3, -0.2, 0.5, 0.1, -0.4, 0.2, 0, 0.6]  # the tuner rejects step 10 and takes over from there


def logdensity(x, offset):
    return -0.5 * jnp.sum(jnp.array([1.0, 4.0, 9.0]) * x**2) + offset


def reference_start(kernel):
    """The public code starts with zero velocity, gradient and log density."""
    state = kernel.init(jnp.ones(3), jax.random.key(0), jnp.float32(0))
    return state._replace(velocity=jnp.zeros(3), gradient=jnp.zeros(3), logdensity=jnp.float32(0))


def test_kick():
    u, kinetic = kick(jnp.array([0.6, 0.8, 0.0]), jnp.array([1.0, -2.0, 3.0]), jnp.float32(0.1), 3)
    np.testing.assert_allclose(u, [0.6710081, 0.7256826, 0.1520953], rtol=1e-6)
    np.testing.assert_allclose(kinetic, -0.066578, atol=1e-6)


def test_smile_follows_the_trace_until_the_first_rejection():
    lines = (Path(__file__).parent / "golden_trace_smile.txt").read_text().splitlines()[2:]
    kernel = smile(logdensity)
    state = reference_start(kernel)
    for offset, line in zip(OFFSETS, lines, strict=False):
        number = r"(-?\d+\.\d+)"
        values = [float(v) for v in re.findall(number, line.split("| m")[0])]
        state, _ = kernel.step(jax.random.key(0), state, jnp.float32(offset), jnp.float32(0.1))
        np.testing.assert_allclose(state.position, values[:3], atol=2e-6)
        np.testing.assert_allclose(state.velocity, values[3:6], atol=5e-6)
        np.testing.assert_allclose(state.logdensity, values[6], atol=5e-6)


def test_psmile_first_step_of_the_network_code():
    kernel = smile(logdensity, preconditioner=gradient_noise(reference="network"))
    state, _ = kernel.step(jax.random.key(0), reference_start(kernel), jnp.float32(0), jnp.float32(0.1))
    np.testing.assert_allclose(
        jnp.sqrt(state.preconditioner.variance), [1.014399, 1.107776, 1.375335], rtol=1e-6
    )
    np.testing.assert_allclose(state.preconditioner.mean, [0.980051, 0.950808, 0.904091], rtol=1e-6)

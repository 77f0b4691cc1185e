"""The compiled loop: which positions count, that nothing grows, and that devices change nothing."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.base import Target
from smile.kernels import sgld, smile
from smile.sampling import sample, trailing_chains
from smile.targets import icg
from smile.tuners import constant, tuned

START = np.array([1.0, -2.0, 3.0], np.float32)


def decay() -> Target:
    """At temperature zero SGLD goes from START to zero, (1 - step size)^t of the way left after t steps."""
    return Target(
        "decay",
        3,
        lambda key: jnp.asarray(START),
        lambda x, batch: -0.5 * jnp.sum(x**2, axis=0),
        handles_chains=True,
    )


def descend(target, steps, **options):
    algorithm = tuned(sgld(target.logdensity, temperature=0.0), constant())
    return sample(target, algorithm, np.asarray(steps), key=random.key(0), **options)


@pytest.mark.parametrize(
    ("num_steps", "thinning", "burn_in"), [(12, 1, 0), (60, 5, 0), (400, 2, 90), (3000, 3, 1000)]
)
def test_thinning_and_burn_in(num_steps, thinning, burn_in):
    steps = np.array([0.001, 0.01])
    samples = descend(decay(), steps, num_steps=num_steps, thinning=thinning, burn_in=burn_in)
    t = np.arange(thinning, num_steps + 1, thinning)
    position = (1 - steps[:, None]) ** t
    counted = position[:, t > burn_in, None] * START
    np.testing.assert_allclose(samples.second_moment, (counted**2).mean(1), rtol=2e-5)
    # Every draw is one of the positions, in order.
    drawn = np.log(samples.draws[..., 0]) / np.log(1 - steps[:, None])
    np.testing.assert_allclose(drawn, np.round(drawn), atol=0.02 * num_steps / 12)
    assert (np.diff(drawn, axis=1) > 0.5).all()
    assert samples.gradient_evaluations == num_steps


def test_nothing_grows_with_the_number_of_steps():
    sizes = [[x.size for x in descend(decay(), [0.001], num_steps=n)[:2]] for n in (128 * 10, 128 * 1000)]
    assert sizes[0] == sizes[1] == [3, 1280 * 3]


def test_the_same_key_gives_the_same_numbers_and_another_key_others():
    target = icg()
    algorithm = tuned(smile(target.logdensity, momentum_decoherence_length=3.0), constant())

    def run(seed):
        return sample(target, algorithm, np.full(4, 0.1), key=random.key(seed), num_steps=500).draws

    np.testing.assert_array_equal(run(1), run(1))
    assert np.abs(run(1) - run(2)).min() > 0
    assert len(np.unique(run(1)[:, -1, 0])) == 4  # chains differ, too


def test_a_target_of_one_chain_gets_a_chain_axis():
    """What a user writes, without a thought for chains, gives the numbers of the vectorised log density."""
    user = Target("user", 3, lambda key: jnp.asarray(START), lambda x, batch: -0.5 * jnp.dot(x, x))
    steps = [0.01, 0.1]
    ours, theirs = (descend(target, steps, num_steps=50) for target in (decay(), trailing_chains(user)))
    np.testing.assert_allclose(ours.draws, theirs.draws, rtol=1e-6)


def test_a_target_with_batches_of_its_own_gets_one_per_chain():
    user = Target(
        "user",
        2,
        lambda key: jnp.zeros(2),
        lambda x, batch: jnp.sum(x * batch["rows"]),
        draw_batch=lambda key, chains: {"rows": jax.random.normal(key, (2,))},
    )
    batch = trailing_chains(user).draw_batch(random.key(0), (500,))["rows"]
    assert batch.shape == (2, 500)
    assert abs(np.corrcoef(batch)[0, 1]) < 0.2 and abs(np.std(batch) - 1) < 0.15


def test_on_chunk_reports_every_step():
    done = []
    descend(decay(), [0.1], num_steps=60, thinning=3, on_chunk=done.append)
    assert sum(done) == 60


DEVICES = """
import sys, numpy as np, jax
from smile import random
from smile.kernels import gradient_noise, smile
from smile.noise import NOISES
from smile.sampling import sample
from smile.targets import icg
from smile.tuners import constant, tuned
target = NOISES.make("correlated").add(icg())
kernel = smile(target.logdensity, momentum_decoherence_length=100.0, preconditioner=gradient_noise())
samples = sample(target, tuned(kernel, constant()), np.full(6, 1e-3), key=random.key(0), num_steps=400)
print(jax.device_count(), *samples.second_moment.ravel().tolist())
"""


def test_devices_change_nothing():
    def run(count):
        environment = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "PATH": ""}
        done = subprocess.run(
            [sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True, check=True
        )
        devices, *values = done.stdout.split()
        assert int(devices) == count
        return np.array(values, float)

    np.testing.assert_allclose(run(1), run(2), rtol=1e-4)


def test_batches_of_steps_follow_each_other_and_what_is_observed_is_measured():
    """A chain that adds up its batches knows in which order they came; two things are observed of it."""
    target = decay().replace(
        logdensity=lambda x, batch: jnp.sum(x * batch, axis=0),
        draw_batch=lambda key, chains: jnp.zeros(chains),
        batch_of_step=lambda key, step, chains: jnp.full(chains, 1.0) * (step % 7),
        observe=lambda x: jnp.stack([x[0] - START[0], x[0] - x[1]]),
    )
    steps = np.array([1.0, 2.0])
    samples = descend(target, steps, num_steps=42, thinning=3, burn_in=21)
    moved = steps[:, None] * np.cumsum(np.arange(42) % 7)[2::3]
    np.testing.assert_allclose(samples.draws[..., 0], moved[:, 7:], rtol=1e-5)
    np.testing.assert_allclose(samples.mean[:, 0], moved[:, 7:].mean(1), rtol=1e-5)
    np.testing.assert_allclose(samples.second_moment[:, 0], (moved[:, 7:] ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(samples.draws[..., 1], START[0] - START[1])
    assert samples.draws.shape[2] == samples.mean.shape[1] == 2

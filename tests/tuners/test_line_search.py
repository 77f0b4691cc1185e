"""The adaptation of MCLMC that a run can stop in: its first step, what BlackJAX finds, the same bits after a stop."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.sampling import Checkpoints, adapt_ensemble
from smile.tuners import Adapted
from smile.tuners.line_search import largest_quiet_step, mclmc_from_line_search
from smile.tuners.mclmc import MCLMCAdaptation

DIM, CHAINS = 10, 40
SD = np.linspace(0.5, 2.0, DIM, dtype=np.float32)


def logdensity(x, batch):
    return -0.5 * jnp.sum((x / SD) ** 2) + 0 * jnp.sum(batch)


def starts(chains: int) -> tuple[jax.Array, jax.Array]:
    keys = jax.random.split(random.key(1), chains)
    return SD * jax.vmap(lambda key: jax.random.normal(key, (DIM,)))(keys), jax.random.split(
        random.key(0), chains
    )


@pytest.mark.parametrize("scale", [0.003, 0.03, 0.3])
def test_the_first_step_follows_the_scale_of_the_density(scale):
    """Energy errors depend on the step over the scale only; candidates are a factor of two apart."""

    def narrow(x, batch):
        return logdensity(x / scale, batch)

    position = scale * jnp.asarray(SD)
    found = float(largest_quiet_step(narrow, position, random.key(3), jnp.zeros(()), 1e-3))
    assert np.isclose(found, 0.01 * 2.0 ** np.arange(-5, 7), rtol=1e-6).any()
    assert 0.3 < found / scale < 3


def test_less_than_two_hundred_gradients():
    calls = []

    def counting(x, batch):
        jax.debug.callback(lambda: calls.append(1))
        return logdensity(x, batch) * 1e-6  # so flat that every step is quiet

    step_size = jax.jit(lambda x: largest_quiet_step(counting, x, random.key(0), jnp.zeros(()), 0.1))(
        jnp.asarray(SD)
    )
    assert float(step_size) == pytest.approx(0.64)
    assert 150 < len(calls) < 200


def test_where_no_step_is_quiet_it_is_the_smallest():
    wall = lambda x, batch: logdensity(x, batch) * 1e12  # noqa: E731
    found = largest_quiet_step(wall, jnp.asarray(SD), random.key(0), jnp.zeros(()), 0.1)
    assert float(found) == pytest.approx(0.01 / 32)


def adapted(algorithm: str, num_steps: int) -> Adapted:
    tuner = MCLMCAdaptation(
        name="mclmc", num_steps=num_steps, desired_energy_variance=5e-3, algorithm=algorithm
    )
    return tuner.adapt(lambda x: logdensity(x, jnp.zeros(())), *starts(CHAINS))


def test_it_finds_what_blackjax_finds():
    """Where BlackJAX's first step does no harm, with other random numbers: within 4 standard errors of the means."""
    ours, theirs = adapted("line_search", 1500), adapted("blackjax", 1500)
    for a, b in ((ours.parameters, theirs.parameters), (ours.step_size, theirs.step_size)):
        error = np.hypot(np.std(a), np.std(b)) / np.sqrt(CHAINS)
        assert abs(np.mean(a) - np.mean(b)) < 4 * error < 0.05 * np.mean(b)
    assert theirs.fall is None and 0 < np.min(ours.fall) < np.max(ours.fall) < 5


class StoppedError(Exception):
    pass


def test_stopped_anywhere_it_ends_with_the_same_bits(tmp_path: Path):
    positions, keys = starts(4)
    adaptation = mclmc_from_line_search(logdensity, num_steps=200, desired_energy_variance=5e-3)
    whole = adapt_ensemble(adaptation, positions, keys, jnp.zeros(()))
    for stops_after in (40, 100):
        done = 0

        def die(num_steps: int) -> None:
            nonlocal done
            done += num_steps
            if done >= stops_after:  # noqa: B023
                raise StoppedError

        saved = Checkpoints(tmp_path / "c", 0.0)
        with pytest.raises(StoppedError):
            adapt_ensemble(adaptation, positions, keys, jnp.zeros(()), checkpoints=saved, on_chunk=die)
    for expected in (100, 200):  # then from the last one, where nothing is left to do
        seen: list[int] = []
        again = adapt_ensemble(
            adaptation,
            positions,
            keys,
            jnp.zeros(()),
            checkpoints=Checkpoints(tmp_path / "c", 1e9),
            on_chunk=seen.append,
        )
        assert sum(seen) == 200 and seen[0] >= expected
        jax.tree.map(np.testing.assert_array_equal, again, whole)

"""Chains of a network: what a monitor sees, devices, checkpoints and draws on disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.checksum import DamagedError
from smile.data import rows_of
from smile.kernels import gradient_noise, smile
from smile.sampling import (
    Batches,
    Chains,
    Checkpoints,
    DrawFiles,
    Length,
    Monitor,
    has_draws,
    load_draws,
    sample_ensemble,
    thinning_to,
    write_draws,
)
from smile.sampling.devices import over_rows
from smile.tuners import constant, energy_variance, tuned

ROWS, DIM, CHAINS = 60, 3, 4
X = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5]) + 0.7 * np.random.default_rng(1).normal(size=ROWS)).astype(np.float32)
DATA = rows_of((X, Y))
# Bayesian linear regression: the posterior is Gaussian.
COVARIANCE = np.linalg.inv(X.T @ X + np.eye(DIM))
MEAN = COVARIANCE @ X.T @ Y


def logdensity(theta, batch):
    x, y = batch
    return -0.5 * jnp.sum(theta**2) - 0.5 * ROWS / y.shape[0] * jnp.sum((y - x @ theta) ** 2)


def all_draws(length: Length) -> Monitor:
    """Keeps every draw and counts them."""
    most = length.num_steps // length.thinning

    def update(state, positions, data):
        draws = jax.lax.dynamic_update_index_in_dim(state["draws"], positions, state["count"], 1)
        return {"draws": draws, "count": state["count"] + 1, "seen": state["seen"] + data}

    def init(chains):
        zero = jnp.zeros((), jnp.int32)
        return {"draws": jnp.zeros((chains, most, DIM)), "count": zero, "seen": jnp.zeros(())}

    return Monitor(init, update, lambda state: {"count": state["count"].astype(float)}, jnp.float32(1))


def run(length: Length, *, tuner=None, batch_size=20, step_size=0.05, **options):
    algorithm = tuned(smile(logdensity, preconditioner=gradient_noise()), tuner or constant())
    positions = jnp.zeros((CHAINS, DIM))
    chains = Chains(
        lambda parameters: algorithm,
        positions,
        jnp.full(CHAINS, step_size),
        at_once=options.pop("at_once", None),
    )
    monitor = options.pop("monitor", all_draws(length))
    return sample_ensemble(chains, Batches(DATA, batch_size), monitor, length, key=random.key(0), **options)


def test_the_posterior_of_a_linear_model():
    """Mean and covariance of the exact posterior, from full batches (mini-batches would add their own variance)."""
    length = Length(20_000, 2_000, 5)
    algorithm = tuned(smile(logdensity, momentum_decoherence_length=1.0), constant())
    chains = Chains(
        lambda parameters: algorithm, jnp.tile(jnp.asarray(MEAN, jnp.float32), (16, 1)), jnp.full(16, 0.1)
    )
    result = sample_ensemble(chains, Batches(DATA, None), all_draws(length), length, key=random.key(0))
    draws = np.asarray(result.accumulators["draws"][:, : int(result.accumulators["count"])], np.float64)
    means = draws.mean(1)
    np.testing.assert_array_less(np.abs(means.mean(0) - MEAN), 4.5 * means.std(0, ddof=1) / 4)
    second = np.einsum("cti,ctj->cij", draws - MEAN, draws - MEAN) / draws.shape[1]
    error = second.std(0, ddof=1) / 4
    np.testing.assert_array_less(np.abs(second.mean(0) - COVARIANCE), 4.5 * error + 0.02 * COVARIANCE.max())


def test_monitor_sees_exactly_the_kept_draws():
    length = Length(430, 130, 10)
    result = run(length)
    assert int(result.accumulators["count"]) == 30 == float(result.accumulators["seen"])
    assert result.steps[-1] == 430 and result.gradients_per_step == 2
    assert result.history["count"][-1] == 30 and (np.diff(result.history["count"]) >= 0).all()
    np.testing.assert_array_equal(result.accumulators["draws"][:, 29], result.state.kernel.position)
    only_late = run(length._replace(keeps=lambda step: step >= 300))
    assert int(only_late.accumulators["count"]) == 13


def test_chunks_do_not_change_a_number(monkeypatch: pytest.MonkeyPatch):
    length = Length(1300, 0, 10)
    expected = run(length, tuner=energy_variance())
    monkeypatch.setattr("smile.sampling.ensemble.MAX_CHUNKS", 7)  # 7 does not divide 130
    again = run(length, tuner=energy_variance())
    assert len(again.steps) == 7 and again.steps[-1] == 1300
    jax.tree.map(np.testing.assert_array_equal, again.state, expected.state)


def test_the_program_is_compiled_once(caplog: pytest.LogCaptureFixture):
    """A carry whose types change in the first chunk costs a second compilation; ``run`` starts from weak types."""
    with jax.log_compiles():
        run(Length(40, 0, 1), tuner=energy_variance())
    assert sum("XLA compilation of jit(chunk)" in record.getMessage() for record in caplog.records) == 1


def test_a_checkpoint_continues_bit_for_bit(tmp_path: Path):
    length = Length(160, 25, 5)
    expected = run(length, tuner=energy_variance())

    class KilledError(Exception):
        pass

    for kill_after in (15, 18, 25):  # each life dies some chunks later than the last checkpoint
        lives = 0

        def die(num_steps: int) -> None:
            nonlocal lives
            lives += num_steps
            if lives >= kill_after * 5:  # noqa: B023
                raise KilledError

        with pytest.raises(KilledError):
            run(length, tuner=energy_variance(), checkpoints=Checkpoints(tmp_path / "c", 0.0), on_chunk=die)
    seen = []
    again = run(
        length, tuner=energy_variance(), checkpoints=Checkpoints(tmp_path / "c", 0.0), on_chunk=seen.append
    )
    assert sum(seen) == 160 and seen[0] >= 75
    for field in ("state", "accumulators", "history", "num_divergent", "steps"):
        jax.tree.map(np.testing.assert_array_equal, getattr(again, field), getattr(expected, field))


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    checkpoints = Checkpoints(tmp_path / "c", 0.0)
    tree = {"a": jnp.arange(3.0)}
    for index in (1, 2):
        checkpoints.save_if_due(index, jax.tree.map(lambda leaf, i=index: leaf + i, tree))
    for file in (tmp_path / "c" / "2").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    index, restored = checkpoints.restore(tree)
    assert index == 1 and restored["a"].tolist() == [1.0, 2.0, 3.0]
    assert "checkpoint 2" in caplog.text and not (tmp_path / "c" / "2").exists()
    checkpoints.clear()
    assert checkpoints.restore(tree) is None


def test_draws_on_disk_are_those_that_the_monitor_saw(tmp_path: Path):
    length = Length(300, 100, 10)
    result = run(length, on_draws=lambda chunk, draws: write_draws(tmp_path, chunk, draws))
    np.testing.assert_array_equal(load_draws(tmp_path), result.accumulators["draws"][:, :20])
    with pytest.raises(FileNotFoundError, match=r"target\.draws=stream"):
        load_draws(tmp_path / "nothing")


def streamed(folder: Path, **options):
    return run(
        Length(300, 100, 10),
        on_draws=lambda chunk, draws: write_draws(folder, chunk, draws),
        has_draws=partial(has_draws, folder),
        **options,
    )


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(file.read_bytes()[:-60]), Path.unlink])
def test_draws_that_were_damaged_before_a_resume_are_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage
):
    """They are not what the checkpoint knows, and nothing else has them."""
    expected = streamed(tmp_path / "whole")

    class KilledError(Exception):
        pass

    def die(index: int) -> None:
        if len(list((tmp_path / "draws").glob("*.npy"))) == 15:
            raise KilledError

    saved = Checkpoints(tmp_path / "c", 0.0)
    with pytest.raises(KilledError):
        streamed(tmp_path / "draws", checkpoints=saved, on_chunk=die)
    seen = []
    damage(tmp_path / "draws/000012.npy")
    again = streamed(tmp_path / "draws", checkpoints=saved, on_chunk=seen.append)
    assert seen == [10] * 30 and "draws from before the checkpoint" in caplog.text
    np.testing.assert_array_equal(again.state.kernel.position, expected.state.kernel.position)
    np.testing.assert_array_equal(load_draws(tmp_path / "draws"), load_draws(tmp_path / "whole"))


@pytest.mark.parametrize("every", [1, 3, 7])
def test_thinned_draws_do_not_depend_on_where_a_run_was_killed(tmp_path: Path, every: int):
    counts = [0, 2, 5, 0, 3, 1]
    draws = np.arange(11 * 2 * 1.0).reshape(11, 2, 1)
    chunks = np.split(draws, np.cumsum(counts)[:-1])
    for killed_after in range(len(counts)):
        files = DrawFiles(tmp_path / "d", every)
        for chunk in range(killed_after + 1):
            files.write(chunk, chunks[chunk])
        files = DrawFiles(tmp_path / "d", every)
        known = counts[: max(1, killed_after)]  # by the last checkpoint
        assert files.has(known) and not DrawFiles(tmp_path / "d", every).has([1, *known])
        for chunk in range(len(known), len(counts)):
            files.write(chunk, chunks[chunk])
        np.testing.assert_array_equal(files.load(), draws[::every].swapaxes(0, 1))
    files.write(0, chunks[0])
    assert files.load() is None


def test_thinning_keeps_one_draw_of_every_chain_at_least():
    assert [thinning_to(most, 100, 8) for most in (800, 799, 400, 9, 1, 0)] == [1, 2, 2, 100, 100, 100]


def test_damaged_draws_are_named(tmp_path: Path):
    for chunk in range(3):
        write_draws(tmp_path, chunk, np.full((2, 3, 1), float(chunk)))
    assert has_draws(tmp_path, [2, 2, 2]) and not has_draws(tmp_path, [2, 2, 1])
    file = tmp_path / "000001.npy"
    content = file.read_bytes()
    for damaged in (
        content[:140] + b"\1" + content[141:],
        content[:100],
        b"",
        (tmp_path / "000002.npy").read_bytes(),
    ):
        file.write_bytes(damaged)
        with pytest.raises(DamagedError, match=r"000001\.npy cannot be read"):
            load_draws(tmp_path)
        assert not has_draws(tmp_path, [2, 2])
    file.unlink()
    with pytest.raises(DamagedError, match=r"chunk 000001\.npy is missing"):
        load_draws(tmp_path)


def test_a_checkpoint_whose_digest_a_kill_forestalled_is_passed_over(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, 0.0)
    tree = {"a": jnp.arange(3.0)}
    for index in (1, 2):
        checkpoints.save(index, tree)
    (tmp_path / "2.sha256").unlink()
    index, _ = checkpoints.restore(tree)
    assert index == 1


def test_a_chain_that_leaves_the_numbers_is_counted_and_harms_no_other():
    def breaks(theta, batch):
        return logdensity(theta, batch) + jnp.where(theta[0] > 1e3, jnp.nan, 0.0)

    length = Length(100, 0, 10)
    algorithm = tuned(smile(breaks), constant())
    start = jnp.zeros((CHAINS, DIM)).at[1, 0].set(2e3)
    result = sample_ensemble(
        Chains(lambda parameters: algorithm, start, jnp.full(CHAINS, 0.01)),
        Batches(DATA, 20),
        all_draws(length),
        length,
        key=random.key(0),
    )
    assert result.num_divergent.tolist() == [0, 100, 0, 0]
    assert np.isfinite(result.state.kernel.position[np.array([0, 2, 3])]).all()


@pytest.mark.parametrize("at_once", [1, 3])
def test_chains_a_few_at_a_time_are_the_same_chains(at_once):
    """Four chains in groups of three: the last group is a smaller one."""
    length = Length(60, 20, 10)
    together = run(length, tuner=energy_variance())
    apart = run(length, tuner=energy_variance(), at_once=at_once)
    np.testing.assert_allclose(
        apart.state.kernel.position, together.state.kernel.position, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(apart.state.tuner.num_resets, together.state.tuner.num_resets)


@pytest.mark.parametrize("at_once", [None, 1, 4, 5, 10, 11])
def test_rows_a_few_at_a_time(at_once):
    x = jnp.arange(20.0).reshape(10, 2)
    one, two = over_rows(lambda rows: (rows.sum(1), rows**2), x, at_once)
    np.testing.assert_array_equal(one, x.sum(1))
    np.testing.assert_array_equal(two, x**2)

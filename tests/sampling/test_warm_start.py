"""The deep ensemble: each member stops by itself and keeps its best state."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from smile import random
from smile.data import rows_of
from smile.sampling import Checkpoints, Member, Training, train_ensemble

X = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
Y = (X @ np.array([1.0, 0.0, -1.0, 2.0]) + 0.1 * np.random.default_rng(1).normal(size=90)).astype(np.float32)
TRAIN, VALIDATION = (X[:60], Y[:60]), (X[60:], Y[60:])


def init(key):
    return {"w": jax.random.normal(key, (4,))}


def loss(params, batch):
    x, y = batch
    return jnp.mean((y - x @ params["w"]) ** 2)


def train(
    learning_rate=0.05, *, max_epochs=60, patience=5, seed=0, loss=loss, at_once=None, augment=None, **options
):
    member = Member(init, loss, loss, optax.adamw(learning_rate), augment)
    training = Training(3, 16, max_epochs, patience, at_once)
    return train_ensemble(member, rows_of(TRAIN), VALIDATION, training, key=random.key(seed), **options)


def test_members_are_trained_apart_and_learn():
    trained = train(max_epochs=200, patience=20)
    assert (trained.validation_loss < 0.02).all()
    assert len(np.unique(trained.params["w"][:, 0])) == 3


def test_the_state_with_the_lowest_validation_loss_is_kept():
    """A rate so high that the loss jumps about."""
    trained = train(1.5, patience=8)
    again = jax.vmap(lambda w: loss({"w": w}, VALIDATION))(trained.params["w"])
    np.testing.assert_allclose(again, trained.validation_loss, rtol=1e-5)
    shorter = train(1.5, patience=8, max_epochs=int(trained.best_epoch.max()))
    np.testing.assert_allclose(shorter.validation_loss, trained.validation_loss, rtol=1e-4)


def test_a_member_stops_when_its_own_patience_is_over():
    epochs = []
    trained = train(1.0, patience=4, on_epoch=epochs.append)
    stopped = trained.num_epochs < 60
    assert stopped.any()
    np.testing.assert_array_equal((trained.num_epochs - trained.best_epoch)[stopped], 4)
    assert epochs == list(range(1, int(trained.num_epochs.max()) + 1))


def test_an_epoch_is_compiled_once(caplog):
    with jax.log_compiles():
        train(max_epochs=3)
    assert sum("Compiling jit(train_epoch)" in record.message for record in caplog.records) == 1


def test_no_epochs_give_the_initialisation():
    trained = train(max_epochs=0)
    assert (trained.best_epoch == 0).all() and np.isinf(trained.validation_loss).all()
    assert np.isfinite(trained.params["w"]).all()


def test_a_loss_that_is_never_finite_keeps_the_initialisation():
    trained = train(loss=lambda params, batch: loss(params, batch) * jnp.nan, patience=3)
    np.testing.assert_array_equal(trained.params["w"], train(max_epochs=0).params["w"])
    assert (trained.num_epochs == 3).all()


def test_seeds_decide():
    np.testing.assert_array_equal(train(max_epochs=3).params["w"], train(max_epochs=3).params["w"])
    assert not np.array_equal(train(max_epochs=3, seed=1).params["w"], train(max_epochs=3).params["w"])


def test_members_one_at_a_time_are_the_same():
    together, apart = train(max_epochs=10), train(max_epochs=10, at_once=1)
    np.testing.assert_allclose(apart.params["w"], together.params["w"], rtol=1e-5)
    np.testing.assert_array_equal(apart.num_epochs, together.num_epochs)


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    class KilledError(Exception):
        pass

    def kill(epoch):
        if epoch == 4:
            raise KilledError

    whole, checkpoints = train(max_epochs=8), Checkpoints(tmp_path / "checkpoints", 0)
    with pytest.raises(KilledError):
        train(max_epochs=8, checkpoints=checkpoints, on_epoch=kill)
    epochs = []
    resumed = train(max_epochs=8, checkpoints=checkpoints, on_epoch=epochs.append)
    assert epochs == [5, 6, 7, 8]
    np.testing.assert_array_equal(resumed.params["w"], whole.params["w"])


def test_augmentation_has_a_key_of_its_own_at_every_step_and_spares_validation():
    keys = []

    def augment(key, batch):
        jax.debug.callback(
            lambda data: keys.append(tuple(np.asarray(data).ravel())), jax.random.key_data(key)
        )
        x, y = batch
        return jnp.zeros_like(x), y

    trained = train(max_epochs=3, augment=augment)
    jax.effects_barrier()
    assert len(set(keys)) == len(keys) == 3 * 3 * 4  # members, epochs, steps
    # features that are always zero teach nothing: only the weight decay moves the parameters
    start = train(max_epochs=0).params["w"]
    moved = np.abs(trained.params["w"]) <= np.abs(start)
    assert moved.all()

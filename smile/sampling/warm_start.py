"""The warm start: a deep ensemble (Lakshminarayanan et al. 2017), one network per chain, trained side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from smile.data import epoch_batch_indices
from smile.sampling.devices import chain_mesh, over_chains, shard_chains

__all__ = ["TrainedEnsemble", "train_ensemble"]


class TrainedEnsemble(NamedTuple):
    """Every member at its lowest validation loss.

    Attributes:
        params: leaves (members, ...).
        validation_loss: that loss, (members,).
        best_epoch: when it was reached, counted from 1; 0: the initialisation, (members,).
        num_epochs: the member trained before it was stopped, (members,).
    """

    params: Any
    validation_loss: np.ndarray
    best_epoch: np.ndarray
    num_epochs: np.ndarray


class _Carry(NamedTuple):
    params: Any
    optimiser: Any
    best_params: Any
    best_loss: jax.Array
    best_epoch: jax.Array
    num_epochs: jax.Array


def train_ensemble(
    init: Callable[[jax.Array], Any],
    loss: Callable[[Any, Any], jax.Array],
    optimiser: optax.GradientTransformation,
    train: Any,
    validation: Any,
    *,
    members: int,
    key: jax.Array,
    batch_size: int,
    max_epochs: int,
    patience: int,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> TrainedEnsemble:
    """Trains all members in one compiled program; a member stops by itself and keeps its best state.

    Args:
        init: ``key -> params`` of one member.
        loss: ``(params, batch) -> ()``, a mean over rows.
        optimiser: of one member; schedules count batches.
        train: leaves (rows, ...).
        validation: leaves (rows, ...), evaluated whole after every epoch.
        members: how many networks.
        key: determines initialisation and order of the batches.
        batch_size: rows per gradient; at most all of them.
        max_epochs: after which training ends; 0 returns the initialisation.
        patience: epochs without a lower validation loss after which a member stops. (The public code compares with the
            loss before the window instead, and restores the best state only where some member stopped early:
            docs/deviations.md, W1 and W2.)
        on_epoch: called after every epoch with its number.

    Returns:
        The best members. A member whose validation loss was never finite keeps its initialisation.
    """
    num_rows = jax.tree.leaves(train)[0].shape[0]
    batch_size = min(batch_size, num_rows)
    steps = -(-num_rows // batch_size)
    mesh = chain_mesh(members)
    key_init, key_batch = jax.random.split(key)

    def run_epoch(carry: _Carry, key: jax.Array, train: Any, validation: Any, epoch: jax.Array) -> _Carry:
        def one_step(state: tuple[Any, Any], step: jax.Array) -> tuple[tuple[Any, Any], None]:
            params, opt_state = state
            rows = epoch_batch_indices(key, epoch * steps + step, num_rows, batch_size)
            gradient = jax.grad(loss)(params, jax.tree.map(lambda leaf: leaf[rows], train))
            updates, opt_state = optimiser.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        (params, opt_state), _ = jax.lax.scan(one_step, (carry.params, carry.optimiser), jnp.arange(steps))
        value = loss(params, validation)
        is_better = value < carry.best_loss
        trained = _Carry(
            params,
            opt_state,
            _where(is_better, params, carry.best_params),
            jnp.where(is_better, value, carry.best_loss),
            jnp.where(is_better, epoch + 1, carry.best_epoch),
            epoch + 1,
        )
        return _where(_is_training(carry, patience), trained, carry)

    def all_members(carry: Any, keys: Any, train: Any, validation: Any, epoch: Any) -> _Carry:
        return jax.vmap(run_epoch, in_axes=(0, 0, None, None, None))(carry, keys, train, validation, epoch)

    @partial(jax.jit, donate_argnums=0)
    def train_epoch(carry: _Carry, keys: Any, train: Any, validation: Any, epoch: jax.Array) -> Any:
        split = (True, True, False, False, False)
        carry = over_chains(all_members, mesh, split)(carry, keys, train, validation, epoch)
        return carry, jnp.any(_is_training(carry, patience))

    @jax.jit
    def start(keys: jax.Array) -> _Carry:
        params = jax.vmap(init)(keys)
        zeros = jnp.zeros(members, jnp.int32)
        # a copy, because the carry is donated
        best = jax.tree.map(jnp.copy, params)
        return _Carry(
            params, jax.vmap(optimiser.init)(params), best, jnp.full(members, jnp.inf), zeros, zeros
        )

    carry = shard_chains(start(jax.random.split(key_init, members)), mesh)
    keys = shard_chains(jax.random.split(key_batch, members), mesh)
    for epoch in range(max_epochs):
        carry, goes_on = train_epoch(carry, keys, train, validation, jnp.int32(epoch))
        on_epoch(epoch + 1)
        if not goes_on:
            break
    return TrainedEnsemble(
        carry.best_params,
        np.asarray(carry.best_loss),
        np.asarray(carry.best_epoch),
        np.asarray(carry.num_epochs),
    )


def _is_training(carry: _Carry, patience: int) -> jax.Array:
    return carry.num_epochs - carry.best_epoch < patience


def _where(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(partial(jnp.where, condition), new, old)

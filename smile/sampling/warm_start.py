"""The warm start: a deep ensemble (Lakshminarayanan et al. 2017), one network per chain, trained side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from smile.data import Source
from smile.sampling.checkpoint import Checkpoints
from smile.sampling.devices import chain_mesh, map_chains, over_chains, shard_chains

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
    validation_loss: Callable[[Any, Any], jax.Array],
    optimiser: optax.GradientTransformation,
    train: Source,
    validation: Any,
    *,
    members: int,
    key: jax.Array,
    batch_size: int,
    max_epochs: int,
    patience: int,
    augment: Callable[[jax.Array, Any], Any] | None = None,
    chains_at_once: int | None = None,
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> TrainedEnsemble:
    """Trains all members in one compiled program; a member stops by itself and keeps its best state.

    Args:
        init: ``key -> params`` of one member.
        loss: ``(params, batch) -> ()``, a mean over rows.
        validation_loss: ``(params, validation) -> ()``, evaluated after every epoch.
        optimiser: of one member; schedules count batches.
        train: what batches are drawn from.
        validation: leaves (rows, ...).
        members: how many networks.
        key: determines initialisation and order of the batches.
        batch_size: rows per gradient; at most all of them.
        max_epochs: after which training ends; 0 returns the initialisation.
        patience: epochs without a lower validation loss after which a member stops. (The public code compares with the
            loss before the window instead, and restores the best state only where some member stopped early:
            docs/deviations.md, W1 and W2.)
        augment: ``(key, batch) -> batch``, what is done to batches of training, but never to those of validation.
        chains_at_once: see ``map_chains``.
        checkpoints: where to continue from and what a killed run continues from.
        on_epoch: called after every epoch with its number.

    Returns:
        The best members. A member whose validation loss was never finite keeps its initialisation.
    """
    batch_size = min(batch_size, train.num_choices)
    steps = train.steps_per_epoch(batch_size)
    mesh = chain_mesh(members, jax.local_devices())  # one host trains, where there are several
    key_init, key_batch = jax.random.split(key)

    def run_epoch(data: Any, validation: Any, epoch: jax.Array, carry: _Carry, key: jax.Array) -> _Carry:
        key_augment = jax.random.split(key)[
            1
        ]  # which batches, that fold the number of their epoch in, do not use

        def one_step(state: tuple[Any, Any], step: jax.Array) -> tuple[tuple[Any, Any], None]:
            params, opt_state = state
            batch = train.draw(data, key, epoch * steps + step, batch_size)
            if augment is not None:
                batch = augment(jax.random.fold_in(key_augment, epoch * steps + step), batch)
            gradient = jax.grad(loss)(params, batch)
            updates, opt_state = optimiser.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        def trained() -> _Carry:
            state = (carry.params, carry.optimiser)
            (params, opt_state), _ = jax.lax.scan(one_step, state, jnp.arange(steps))
            value = validation_loss(params, validation)
            is_better = value < carry.best_loss
            return _Carry(
                params,
                opt_state,
                jax.tree.map(partial(jnp.where, is_better), params, carry.best_params),
                jnp.where(is_better, value, carry.best_loss),
                jnp.where(is_better, epoch + 1, carry.best_epoch),
                epoch + 1,
            )

        return jax.lax.cond(_is_training(carry, patience), trained, lambda: carry)

    def all_members(carry: Any, keys: Any, data: Any, validation: Any, epoch: Any) -> _Carry:
        return map_chains(partial(run_epoch, data, validation, epoch), chains_at_once)(carry, keys)

    @partial(jax.jit, donate_argnums=0)
    def train_epoch(carry: _Carry, *arguments: Any) -> Any:
        carry = over_chains(all_members, mesh, (True, True, False, False, False))(carry, *arguments)
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
    done = 0
    if checkpoints and (found := checkpoints.restore(carry)):
        done, carry = found
    for epoch in range(done, max_epochs):
        carry, goes_on = train_epoch(carry, keys, train.data, validation, jnp.int32(epoch))
        on_epoch(epoch + 1)
        if not goes_on:
            break
        if checkpoints:
            checkpoints.save_if_due(epoch + 1, carry)
    return TrainedEnsemble(
        carry.best_params,
        np.asarray(carry.best_loss),
        np.asarray(carry.best_epoch),
        np.asarray(carry.num_epochs),
    )


def _is_training(carry: _Carry, patience: int) -> jax.Array:
    return carry.num_epochs - carry.best_epoch < patience

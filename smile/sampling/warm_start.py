"""The warm start: a deep ensemble (Lakshminarayanan et al. 2017), one network per chain, trained side by side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import optax

from smile.choices import Choices
from smile.data import Source
from smile.options import Options, choice, integer, number, option, optional
from smile.sampling.checkpoint import Checkpoints
from smile.sampling.devices import chain_mesh, map_chains, over_chains, shard_chains

__all__ = ["WARM_STARTS", "Member", "TrainedEnsemble", "Training", "WarmStartOptions", "train_ensemble"]


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


class Member(NamedTuple):
    """One network and how it learns.

    Attributes:
        init: ``key -> params``.
        loss: ``(params, batch) -> ()``, a mean over rows.
        validation_loss: ``(params, validation) -> ()``, evaluated after every epoch.
        optimiser: whose schedules count batches.
        augment: ``(key, batch) -> batch``, what is done to batches of training, but never to those of validation.
    """

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any], jax.Array]
    validation_loss: Callable[[Any, Any], jax.Array]
    optimiser: optax.GradientTransformation
    augment: Callable[[jax.Array, Any], Any] | None = None


class Training(NamedTuple):
    """How much is trained.

    Attributes:
        members: how many networks.
        batch_size: rows per gradient; at most all of them.
        max_epochs: after which training ends; 0 returns the initialisation.
        patience: epochs without a lower validation loss after which a member stops. (The public code compares with the
            loss before the window instead, and restores the best state only where some member stopped early:
            docs/deviations.md, W1 and W2.)
        at_once: see ``map_chains``.
    """

    members: int
    batch_size: int
    max_epochs: int
    patience: int
    at_once: int | None = None


def train_ensemble(
    member: Member,
    train: Source,
    validation: Any,
    training: Training,
    *,
    key: jax.Array,
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> TrainedEnsemble:
    """Trains all members in one compiled program; a member stops by itself and keeps its best state.

    Args:
        member: one of them.
        train: what batches are drawn from.
        validation: leaves (rows, ...).
        training: how much.
        key: determines initialisation and order of the batches.
        checkpoints: where to continue from and what a killed run continues from.
        on_epoch: called after every epoch with its number.

    Returns:
        The best members. A member whose validation loss was never finite keeps its initialisation.
    """
    members, patience, optimiser = training.members, training.patience, member.optimiser
    batch_size = min(training.batch_size, train.num_choices)
    steps = train.steps_per_epoch(batch_size)
    mesh = chain_mesh(members, jax.local_devices())  # one host trains, where there are several
    key_init, key_batch = jax.random.split(key)

    def run_epoch(data: Any, validation: Any, epoch: jax.Array, carry: _Carry, key: jax.Array) -> _Carry:
        # The other half is what batches make of the key, which fold the number of their epoch in.
        key_augment = jax.random.split(key)[1]

        def one_step(state: tuple[Any, Any], step: jax.Array) -> tuple[tuple[Any, Any], None]:
            params, opt_state = state
            batch = train.draw(data, key, epoch * steps + step, batch_size)
            if member.augment is not None:
                batch = member.augment(jax.random.fold_in(key_augment, epoch * steps + step), batch)
            gradient = jax.grad(member.loss)(params, batch)
            updates, opt_state = optimiser.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        def trained() -> _Carry:
            state = (carry.params, carry.optimiser)
            (params, opt_state), _ = jax.lax.scan(one_step, state, jnp.arange(steps))
            value = member.validation_loss(params, validation)
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
        return map_chains(partial(run_epoch, data, validation, epoch), training.at_once)(carry, keys)

    @partial(jax.jit, donate_argnums=0)
    def train_epoch(carry: _Carry, *arguments: Any) -> Any:
        carry = over_chains(all_members, mesh, (True, True, False, False, False))(carry, *arguments)
        return carry, jnp.any(_is_training(carry, patience))

    @jax.jit
    def start(keys: jax.Array) -> _Carry:
        params = jax.vmap(member.init)(keys)
        zeros = jnp.zeros(members, jnp.int32)
        # a copy, because the carry is donated
        best = jax.tree.map(jnp.copy, params)
        return _Carry(
            params, jax.vmap(optimiser.init)(params), best, jnp.full(members, jnp.inf, float), zeros, zeros
        )

    carry = shard_chains(start(jax.random.split(key_init, members)), mesh)
    keys = shard_chains(jax.random.split(key_batch, members), mesh)
    done = 0
    if checkpoints and (found := checkpoints.restore(carry)):
        done, carry = found
    for epoch in range(done, training.max_epochs):
        carry, goes_on = train_epoch(carry, keys, train.data, validation, jnp.int32(epoch))
        if checkpoints:
            checkpoints.save_if_due(epoch + 1, carry)
        on_epoch(epoch + 1)  # may raise: what was trained is on disk by then
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


# ---- options -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WarmStartOptions(Options):
    """How the deep ensemble is trained.

    Attributes:
        learning_rate: at its highest.
        schedule: of the learning rate, after the warm-up.
        end_fraction: of the learning rate, at the end of its schedule.
        warmup_epochs: of a linear warm-up from zero.
        decay_epochs: after which the schedule has ended, warm-up included; None: ``max_epochs``.
        batch_size: rows per gradient.
        max_epochs: after which training ends.
        patience: epochs without a lower validation loss after which a member stops.
        augmentation: of the batches.
    """

    group: ClassVar[str] = "warm_start"

    learning_rate: float = option(number(0))
    schedule: Literal["constant", "cosine", "linear"] = option(choice("constant", "cosine", "linear"))
    end_fraction: float = option(number(at_least=0, at_most=1))
    warmup_epochs: int = option(integer(0))
    batch_size: int = option(integer(1))
    max_epochs: int = option(integer(0))
    patience: int = option(integer(1))
    decay_epochs: int | None = option(optional(integer(1)), neutral=None)
    augmentation: Literal["none", "flip_crop_resize"] = option(
        choice("none", "flip_crop_resize"), neutral="none"
    )

    @abstractmethod
    def optimiser(self, batches_per_epoch: int) -> optax.GradientTransformation:
        """Of one member, with its schedule counted in batches."""

    def learning_rates(self, batches_per_epoch: int) -> optax.Schedule:
        """The learning rate by batch."""
        warmup = self.warmup_epochs * batches_per_epoch
        total = (self.decay_epochs or self.max_epochs) * batches_per_epoch
        peak, end, rest = self.learning_rate, self.end_fraction, max(1, total - warmup)
        match self.schedule:
            case "cosine":
                schedule = optax.cosine_decay_schedule(peak, rest, end)
            case "linear":
                schedule = optax.linear_schedule(peak, peak * end, rest)
            case "constant":
                schedule = optax.constant_schedule(peak)
            case never:
                assert_never(never)
        if warmup:
            schedule = optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), schedule], [warmup])
        return schedule


@dataclass(frozen=True, kw_only=True)
class AdamW(WarmStartOptions):
    """``warm_start=adamw``."""

    weight_decay: float = option(number(at_least=0))
    b2: float = option(number(0, 1), neutral=0.999)

    def optimiser(self, batches_per_epoch: int) -> optax.GradientTransformation:
        """AdamW."""
        rates = self.learning_rates(batches_per_epoch)
        return optax.adamw(rates, b2=self.b2, weight_decay=self.weight_decay)


WARM_STARTS: Choices[WarmStartOptions] = Choices(
    "warm_start", WarmStartOptions, {"none": None, "adamw": AdamW}
)

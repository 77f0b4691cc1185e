"""The point where kernels and tuners meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from smile.base import Info, SamplingAlgorithm

__all__ = ["TunedState", "Tuner", "constant", "tuned"]


class Tuner(NamedTuple):
    """Step-size control; all shapes are (*chains,).

    Attributes:
        init: ``step_size -> state``.
        update: ``(state, info) -> (state, step_size, reset)``; reset None: this tuner never resets.
        keeps: ``step -> bool``: whether the draw after this step (counted from 0) may be kept; None: every one.
    """

    init: Callable[[jax.Array], Any]
    update: Callable[[Any, Info], tuple[Any, jax.Array, jax.Array | None]]
    keeps: Callable[[jax.Array], jax.Array] | None = None


class TunedState(NamedTuple):
    """Kernel state, tuner state and the step size of the next step, (*chains,)."""

    kernel: Any
    tuner: Any
    step_size: jax.Array


class TunedAlgorithm(NamedTuple):
    """``init(position, key, batch, step_size)``, ``step(key, state, batch)``, ``weight(state)`` of the kernel."""

    init: Callable[..., TunedState]
    step: Callable[..., tuple[TunedState, Info]]
    weight: Callable[[TunedState], jax.Array] | None = None


def constant() -> Tuner:
    """Leaves the step size as it is and never resets."""
    return Tuner(lambda step_size: step_size, lambda state, info: (state, state, None))


def tuned(kernel: SamplingAlgorithm, tuner: Tuner) -> TunedAlgorithm:
    """Composes a kernel with a tuner. A reset undoes the step, as ``kernel.restart`` says."""

    def init(position: Any, key: jax.Array, batch: Any, step_size: jax.Array) -> TunedState:
        return TunedState(kernel.init(position, key, batch), tuner.init(step_size), step_size)

    def undo_some(reset: jax.Array, key: jax.Array, old: Any, new: Any) -> Any:
        # folded: the kernel may have used the key itself
        restarted = kernel.restart(jax.random.fold_in(key, 1), old, new)
        return jax.tree.map(lambda back, on: jnp.where(reset, back, on), restarted, new)

    def go_on(reset: jax.Array, key: jax.Array, old: Any, new: Any) -> Any:
        return new

    @custom_vmap
    def undo(reset: jax.Array, *others: Any) -> Any:
        return jax.lax.cond(jnp.any(reset), undo_some, go_on, reset, *others)

    @undo.def_vmap
    def undo_in_chains(size: int, is_batched: Any, *arguments: Any) -> Any:
        # vmap alone would restart every chain in every step, and a restart costs as much as a small network's gradient.
        reset, *others = jax.tree.map(
            lambda leaf, batched: leaf if batched else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf))),
            arguments,
            tuple(is_batched),
        )
        new = jax.lax.cond(jnp.any(reset), jax.vmap(undo_some), go_on, reset, *others)
        return new, jax.tree.map(lambda leaf: True, new)

    def step(key: jax.Array, state: TunedState, batch: Any) -> tuple[TunedState, Info]:
        new_kernel, info = kernel.step(key, state.kernel, batch, state.step_size)
        new_tuner, step_size, reset = tuner.update(state.tuner, info)
        if reset is not None:
            new_kernel = undo(reset, key, state.kernel, new_kernel)
        return TunedState(new_kernel, new_tuner, step_size), info

    weight = kernel.weight
    return TunedAlgorithm(init, step, None if weight is None else lambda state: weight(state.kernel))

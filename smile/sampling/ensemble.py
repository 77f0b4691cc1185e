"""Chains of a network: compiled chunks of steps, a monitor that looks at every kept draw, checkpoints between chunks.

Chains are the leading axis here. A step is ``vmap`` of one chain's step (or of some chains at a time, where the
activations of all do not fit), devices run their own chains, and what a monitor keeps does not grow with the number of
draws.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from smile.base import Info
from smile.data import Source
from smile.sampling.checkpoint import Checkpoints
from smile.sampling.devices import (
    chain_mesh,
    gather,
    map_chains,
    on_first_host,
    over_chains,
    replicated,
    shard_chains,
)
from smile.sampling.length import Length
from smile.sampling.one_step import Look, gradients_per_step_of, looking
from smile.tuners import TunedState
from smile.tuners.base import TunedAlgorithm

__all__ = ["Batches", "Chains", "EnsembleResult", "Monitor", "sample_ensemble"]

_logger = logging.getLogger(__name__)

MAX_CHUNKS = 128


class Chains(NamedTuple):
    """What runs.

    Attributes:
        algorithm: from the parameters of one chain to its kernel and tuner.
        positions: starts, (chains, dim).
        step_size: initial step sizes, (chains,).
        parameters: leaves (chains, ...); ``()`` where chains share all parameters.
        at_once: see ``map_chains``.
    """

    algorithm: Callable[[Any], TunedAlgorithm]
    positions: jax.Array
    step_size: jax.Array
    parameters: Any = ()
    at_once: int | None = None


class Batches(NamedTuple):
    """What chains see: a source, and how many of its rows at a time; None: all of them in every step."""

    source: Source
    size: int | None


class Monitor(NamedTuple):
    """What is computed from draws as they appear.

    Attributes:
        init: ``(chains) -> accumulators``; every leaf has chains as leading axis or is a scalar for all chains.
        update: ``(accumulators, positions (chains, dim), data) -> accumulators``.
        read: ``accumulators -> pytree of arrays``, recorded after every chunk.
        data: what ``update`` predicts, arrays on the device.
    """

    init: Callable[[int], Any]
    update: Callable[[Any, jax.Array, Any], Any]
    read: Callable[[Any], Any]
    data: Any


class EnsembleResult(NamedTuple):
    """What is left of all chains.

    Attributes:
        state: final states, leaves (chains, ...).
        num_divergent: steps that were divergent, (chains,).
        accumulators: of the monitor.
        history: what the monitor read after each chunk, leaves (chunks, ...).
        steps: made by then, (chunks,).
        gradients_per_step: mini-batch gradients that one step evaluates.
    """

    state: TunedState
    num_divergent: np.ndarray
    accumulators: Any
    history: Any
    steps: np.ndarray
    gradients_per_step: int


class _Carry(NamedTuple):
    tuned: TunedState
    num_divergent: jax.Array
    accumulators: Any


def sample_ensemble(
    chains: Chains,
    batches: Batches,
    monitor: Monitor,
    length: Length,
    *,
    key: jax.Array,
    checkpoints: Checkpoints | None = None,
    on_chunk: Callable[[int], None] = lambda num_steps: None,
    on_draws: Callable[[int, np.ndarray], None] | None = None,
    has_draws: Callable[[Sequence[int]], bool] | None = None,
    on_look: Callable[[Look], None] | None = None,
) -> EnsembleResult:
    """Runs one chain per position.

    Args:
        chains: their starts, kernels and tuners.
        batches: what they see.
        monitor: looks at kept draws.
        length: of the chains.
        key: determines every number that comes out.
        checkpoints: where to continue from and what a killed run continues from.
        on_chunk: called with the steps made, also once for those of a checkpoint.
        on_draws: called with the chunk's index and its kept draws (draws, chains, dim).
        has_draws: called with the number of draws of every chunk before a checkpoint; where it says that they are not
            what ``on_draws`` was given, all begins anew.
        on_look: called after every chunk with what chains look like, also for those before a checkpoint; of one host.

    Returns:
        Final states and what the monitor made of the draws.
    """
    count, data = chains.positions.shape[0], batches.source.data
    mesh = chain_mesh(count)
    key_start, key_batch, key_step = jax.random.split(key, 3)
    batch_keys, step_keys = (shard_chains(jax.random.split(k, count), mesh) for k in (key_batch, key_step))
    step_chain = _step_chain(chains, batches)
    chunk = _chunk(step_chain, chains.at_once, monitor, length, mesh, keeps_draws=on_draws is not None)

    tuned = _start(chains, batches, (jax.random.split(key_start, count), batch_keys))
    gradients_per_step = gradients_per_step_of(
        step_chain, data, chains.parameters, (batch_keys, step_keys), tuned
    )
    carry = _Carry(tuned, jnp.zeros(count, jnp.int32), monitor.init(count))
    # Copied, since donation allows no array twice, and with fixed types: weak ones would make the second chunk compile
    # the program again.
    carry = shard_chains(jax.tree.map(lambda leaf: jnp.array(leaf, leaf.dtype), carry), mesh)

    is_kept = length.kept()
    draws_per_chunk = -(-len(is_kept) // MAX_CHUNKS)
    num_chunks = -(-len(is_kept) // draws_per_chunk)
    history = jax.tree.map(
        lambda leaf: np.full((num_chunks, *leaf.shape), np.nan, leaf.dtype),
        jax.eval_shape(monitor.read, carry.accumulators),
    )
    ends = np.minimum((np.arange(num_chunks) + 1) * draws_per_chunk, len(is_kept))
    done = 0
    if checkpoints and (found := checkpoints.restore((carry, history))):
        counts = [int(part.sum()) for part in np.split(is_kept, ends[:-1])[: found[0]]]
        if has_draws is None or on_first_host(partial(has_draws, counts), np.array(True)):
            done, (carry, history) = found
            on_chunk(int(ends[done - 1]) * length.thinning)
        else:
            _logger.warning(
                "draws from before the checkpoint are missing or damaged: sampling from the start"
            )
            checkpoints.clear()
    look = looking(step_chain, chains.at_once, mesh, (chains.parameters, batch_keys, step_keys, data))
    if on_look is not None:
        for index in range(done):
            on_look(
                Look(int(ends[index]) * length.thinning, jax.tree.map(lambda rows, i=index: rows[i], history))
            )
    for index in range(done, num_chunks):
        first = index * draws_per_chunk
        num_draws = int(ends[index]) - first
        # data are arguments, because what a compiled function closes over becomes part of the program
        carry, draws, values = chunk(
            carry, chains.parameters, batch_keys, step_keys, data, monitor.data, jnp.int32(first),
            num_draws=num_draws,
        )  # fmt: skip
        jax.tree.map(lambda rows, value, i=index: rows.__setitem__(i, np.asarray(value)), history, values)
        if on_draws is not None:
            on_draws(index, np.asarray(gather(draws)).swapaxes(0, 1)[is_kept[first : ends[index]]])
        if on_look is not None:
            on_look(look(carry.tuned, int(ends[index]) * length.thinning, values))
        if checkpoints:
            checkpoints.save_if_due(index + 1, (carry, history))
        on_chunk(num_draws * length.thinning)
    carry = gather(carry)
    return EnsembleResult(
        carry.tuned,
        np.asarray(carry.num_divergent),
        carry.accumulators,
        history,
        ends * length.thinning,
        gradients_per_step,
    )


# ---- programs ------------------------------------------------------------------------------------


def _step_chain(chains: Chains, batches: Batches) -> Callable[..., tuple[TunedState, Info]]:
    """One step of one chain."""

    def step_chain(
        data: Any, parameters: Any, keys: Any, state: TunedState, step: jax.Array
    ) -> tuple[TunedState, Info]:
        batch = batches.source.draw(data, keys[0], step, batches.size)
        return chains.algorithm(parameters).step(jax.random.fold_in(keys[1], step), state, batch)

    return step_chain


def _start(chains: Chains, batches: Batches, keys: tuple[jax.Array, jax.Array]) -> TunedState:
    """First states; keys: of the kernels' own numbers, and of the batches, (chains,) each."""

    def start_chain(data: Any, parameters: Any, position: Any, step_size: Any, keys: Any) -> TunedState:
        batch = batches.source.draw(data, keys[1], jnp.int32(0), batches.size)
        return chains.algorithm(parameters).init(position, keys[0], batch, step_size)

    @jax.jit
    def start(data: Any, *arguments: Any) -> TunedState:
        return map_chains(partial(start_chain, data), chains.at_once)(*arguments)

    state: TunedState = start(
        batches.source.data, chains.parameters, chains.positions, chains.step_size, keys
    )
    return state


def _chunk(
    step_chain: Callable[..., tuple[TunedState, Info]],
    at_once: int | None,
    monitor: Monitor,
    length: Length,
    mesh: Mesh,
    *,
    keeps_draws: bool,
) -> Callable[..., tuple[_Carry, jax.Array, Any]]:
    """``num_draws`` draws of all chains, what the monitor made of them, and what it reads then."""

    def run_chunk(
        carry: _Carry,
        parameters: Any,
        batch_keys: jax.Array,
        step_keys: jax.Array,
        data: Any,
        seen: Any,
        first: jax.Array,
        *,
        num_draws: int,
    ) -> tuple[_Carry, jax.Array]:
        def one_draw(carry: _Carry, draw: jax.Array) -> tuple[_Carry, Any]:
            steps = draw * length.thinning + jnp.arange(length.thinning)

            def advance(parameters: Any, keys: Any, tuned: TunedState) -> tuple[TunedState, jax.Array]:
                def one_step(state: Any, step: jax.Array) -> tuple[Any, None]:
                    tuned, info = step_chain(data, parameters, keys, state[0], step)
                    return (tuned, state[1] + info.is_divergent), None

                return jax.lax.scan(one_step, (tuned, jnp.int32(0)), steps)[0]

            tuned, num_divergent = map_chains(advance, at_once)(
                parameters, (batch_keys, step_keys), carry.tuned
            )
            carry = carry._replace(tuned=tuned, num_divergent=carry.num_divergent + num_divergent)
            position = carry.tuned.kernel.position
            accumulators = jax.lax.cond(
                length.is_kept(steps[-1]),
                lambda: monitor.update(carry.accumulators, position, seen),
                lambda: carry.accumulators,
            )
            return carry._replace(accumulators=accumulators), position if keeps_draws else ()

        carry, draws = jax.lax.scan(one_draw, carry, first + jnp.arange(num_draws))
        # chains lead, as in everything that crosses devices
        return carry, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), draws)

    @partial(jax.jit, static_argnames="num_draws", donate_argnums=0)
    def chunk(carry: _Carry, *arguments: Any, num_draws: int) -> tuple[_Carry, jax.Array, Any]:
        split = (True, True, True, True, False, False, False)
        carry, draws = over_chains(partial(run_chunk, num_draws=num_draws), mesh, split)(carry, *arguments)
        return carry, draws, replicated(monitor.read(carry.accumulators), mesh)

    return chunk

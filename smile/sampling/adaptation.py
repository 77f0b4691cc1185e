"""An adaptation of all chains in compiled chunks of steps: it shows how far it is, and a killed one goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from smile.sampling.checkpoint import Checkpoints
from smile.sampling.devices import chain_mesh, gather, map_chains, over_chains, shard_chains
from smile.tuners import Adaptation, Adapted

__all__ = ["adapt_ensemble"]

_CHUNKS = 64


def adapt_ensemble(
    adaptation: Adaptation,
    positions: jax.Array,
    keys: jax.Array,
    data: Any,
    *,
    at_once: int | None = None,
    checkpoints: Checkpoints | None = None,
    on_chunk: Callable[[int], None] = lambda num_steps: None,
) -> Adapted:
    """Adapts one chain per position.

    Args:
        adaptation: of one chain.
        positions: where chains start, (chains, dim).
        keys: (chains,).
        data: the full batch.
        at_once: see ``map_chains``.
        checkpoints: where to continue from; the last one holds the finished adaptation.
        on_chunk: called with the steps made, also once for those of a checkpoint.

    Returns:
        What was adapted, leaves (chains, ...).
    """
    mesh = chain_mesh(len(keys))
    positions, keys = shard_chains((positions, keys), mesh)
    split = jax.vmap(lambda key: jax.random.split(key))(keys)
    key_start, key_steps = split[:, 0], split[:, 1]

    def of_all(function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` of one chain's arguments, and of the data and a number that all chains share."""

        def on_a_device(per_chain: Any, data: Any, first: Any) -> Any:
            return map_chains(lambda *chain: function(*chain, data, first), at_once)(*per_chain)

        return jax.jit(over_chains(on_a_device, mesh, (True, False, False)))

    def start(position: Any, key: jax.Array, data: Any, first: Any) -> Any:
        return adaptation.init(position, key, data)

    def chunk(state: Any, key: jax.Array, data: Any, first: Any, *, num_steps: int) -> Any:
        def one_step(state: Any, index: jax.Array) -> tuple[Any, None]:
            return adaptation.step(state, jax.random.fold_in(key, index), index, data), None

        return jax.lax.scan(one_step, state, first + jnp.arange(num_steps))[0]

    state = of_all(start)((positions, key_start), data, jnp.int32(0))
    size = -(-adaptation.num_steps // _CHUNKS)
    ends = [*range(size, adaptation.num_steps, size), adaptation.num_steps]
    programs = {
        n: of_all(partial(chunk, num_steps=n)) for n in {size, ends[-1] - (ends[-2] if ends[1:] else 0)}
    }
    done = 0
    if checkpoints and (found := checkpoints.restore(state)):
        done, state = found
        on_chunk(done)
    for end in [end for end in ends if end > done]:
        state = programs[end - done]((state, key_steps), data, jnp.int32(done))
        if checkpoints and end < adaptation.num_steps:
            checkpoints.save_if_due(end, state)
        elif checkpoints:
            checkpoints.save(end, state)
        on_chunk(end - done)
        done = end
    adapted: Adapted = gather(jax.jit(jax.vmap(adaptation.result))(state))
    return adapted

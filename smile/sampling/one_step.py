"""What one more step of chains would say, by programs of its own, so that the chains themselves do not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from smile.sampling.devices import map_chains, over_chains

__all__ = ["Look", "gradients_per_step_of", "looking"]


class Look(NamedTuple):
    """Chains in the middle of a run.

    Attributes:
        steps: made by every chain.
        read: what the monitor reads.
        step_size: (chains,); None of chains before a checkpoint.
        energy_error: of the step that comes next, (chains,), NaN for kernels without an energy; likewise.
    """

    steps: int
    read: Any
    step_size: np.ndarray | None = None
    energy_error: np.ndarray | None = None


def looking(
    step_chain: Callable[..., Any], at_once: int | None, mesh: Mesh, arguments: tuple[Any, ...]
) -> Callable[[Any, int, Any], Look]:
    """``(states, steps, what the monitor reads) -> Look``; its program is compiled at the first call.

    Args:
        step_chain: one step of one chain.
        at_once: see ``map_chains``.
        mesh: over which chains are spread.
        arguments: parameters, keys of batches, keys of steps, each of all chains, and data.
    """

    def of_next(
        tuned: Any, parameters: Any, batch_keys: Any, step_keys: Any, data: Any, step: jax.Array
    ) -> Any:
        def one(tuned: Any, parameters: Any, keys: Any) -> Any:
            return step_chain(data, parameters, keys, tuned, step)[1].energy_error

        return map_chains(one, at_once)(tuned, parameters, (batch_keys, step_keys))

    errors = jax.jit(over_chains(of_next, mesh, (True, True, True, True, False, False)))

    def look(tuned: Any, steps: int, read: Any) -> Look:
        found = errors(tuned, *arguments, jax.numpy.int32(steps))
        return Look(steps, jax.tree.map(np.asarray, read), np.asarray(tuned.step_size), np.asarray(found))

    return look


def gradients_per_step_of(step_chain: Callable[..., Any], data: Any, *chain: Any) -> int:
    """What the first chain's first step says; a constant, so that XLA drops the step around it."""

    @jax.jit
    def count(data: Any, *chain: Any) -> jax.Array:
        first = jax.tree.map(lambda leaf: leaf[0], chain)
        return step_chain(data, *first, jax.numpy.int32(0))[1].gradient_evaluations

    return int(count(data, *chain))

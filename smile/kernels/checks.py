"""What would give wrong numbers without a word is refused, when a kernel or tuner is made or its step is traced.

Values are checked where they are numbers or arrays; what JAX traces has none yet and passes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smile import tree

__all__ = [
    "check_count",
    "check_dimension",
    "check_is_noisy",
    "check_range",
    "check_step_size",
]


def check_range(name: str, value: Any, interval: str) -> None:
    """Refuses what lies outside an interval like ``"(0, 1]"`` or ``"[0, inf)"``; NaN lies outside of all.

    Raises:
        ValueError: naming the argument, the value and the interval.
    """
    if isinstance(value, jax.core.Tracer):
        return
    lowest, highest = map(float, interval[1:-1].split(","))
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r}: give a number in {interval}") from None
    above = values >= lowest if interval[0] == "[" else values > lowest
    below = values <= highest if interval[-1] == "]" else values < highest
    if not np.all(above & below):
        raise ValueError(f"{name}={value}: give a number in {interval}")


def check_count(name: str, value: int | None, *, or_none: bool = False) -> None:
    """Refuses what is no whole number >= 1; ``or_none``: and not None.

    Raises:
        ValueError: naming the argument and the value.
    """
    if value is None and or_none:
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: give a whole number >= 1{', or None' * or_none}")


def _check_chains(position: Any, chains: tuple[int, ...]) -> None:
    """Refuses a position without trailing chain axes of this shape (see ``smile.base``).

    Raises:
        ValueError: naming the shapes.
    """
    for shape in map(jnp.shape, jax.tree.leaves(position)):
        if len(shape) < len(chains) or shape[len(shape) - len(chains) :] != chains:
            raise ValueError(
                f"a position with an array of shape {shape}: chains of shape {chains}, as the log density has them, "
                "must be its last axes"
            )


def check_step_size(step_size: Any, position: Any, logdensity: jax.Array) -> None:
    """Refuses a step size that is not one number for each chain.

    Raises:
        ValueError: naming the shapes.
    """
    chains = logdensity.shape
    if jnp.shape(step_size) != chains:
        raise ValueError(
            f"step_size of shape {jnp.shape(step_size)}: the log density has shape {chains}, one number for each "
            "chain, and so must the step size"
        )
    _check_chains(position, chains)


def check_dimension(position: Any, chains: tuple[int, ...]) -> None:
    """Refuses positions on which the unit velocity of microcanonical dynamics has nowhere to turn.

    Raises:
        ValueError: naming the dimension.
    """
    _check_chains(position, chains)
    dimension = tree.num_scalars(position, len(chains))
    if dimension < 2:
        raise ValueError(
            f"a position of dimension {dimension}: microcanonical dynamics need at least 2; sgld and sghmc need 1"
        )


def check_is_noisy(batch: Any, without: str) -> None:
    """Refuses an empty batch, without which a pure log density has no noise, in dynamics that have none of their own.

    Args:
        batch: of the step.
        without: the argument that leaves the dynamics without noise, and its value.

    Raises:
        ValueError: naming the argument.
    """
    if not jax.tree.leaves(batch):
        raise ValueError(
            f"{without} leaves the noise to the batches, but the batch is empty: on an exact log density the dynamics "
            "are not ergodic and sample another distribution; give a number > 0"
        )

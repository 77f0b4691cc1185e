"""A user's own target, from a dotted path."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from smile.base import Moments, Target
from smile.dotted import import_callable, one_line
from smile.options import dotted_path, option
from smile.targets.options import AnalyticTarget

__all__ = ["Custom", "custom", "from_logdensity"]


def from_logdensity(
    logdensity_fn: Callable[[Any], jax.Array],
    initial_position: Any | Callable[[jax.Array], Any],
    *,
    name: str = "custom",
    sample: Callable[[jax.Array, int], jax.Array] | None = None,
    moments: Moments | None = None,
) -> Target:
    """A target from a log density of one position.

    Args:
        logdensity_fn: ``position -> scalar``, unnormalised.
        initial_position: where chains start, any pytree of numbers or arrays, which become floating-point arrays; or a
            function ``key -> position``, so that chains start apart, without which R-hat is blind to what all of them
            miss.
        name: what tables call it.
        sample: exact draws ``(key, n) -> (n, dim)``, for the Wasserstein bias.
        moments: exact second moments in the order of the flattened leaves, for the second-moment bias.

    Raises:
        ValueError: where the position is empty, or the moments are not one per coordinate.
    """

    def init(key: jax.Array) -> Any:
        start = initial_position(key) if callable(initial_position) else initial_position
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), start)

    dim = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))
    if dim == 0:
        raise ValueError("initial_position has no numbers in it")
    if moments is not None and not jnp.shape(moments.second) == jnp.shape(moments.variance) == (dim,):
        shapes = f"{jnp.shape(moments.second)} and {jnp.shape(moments.variance)}"
        raise ValueError(f"moments must have shape ({dim},), one entry per coordinate, got {shapes}")
    known: Mapping[str, Moments] = {} if moments is None else {"exact": moments}
    return Target(
        name=name,
        dim=dim,
        init=init,
        logdensity=lambda position, batch: logdensity_fn(position),
        sample=sample,
        moments=known,
    )


def custom(factory: str) -> Target:
    """Imports ``package.module.function`` (also from the working directory), calls it and checks the target it returns.

    Raises:
        ValueError: in one line, what is wrong with the path, the call, the log density or its gradient.
    """
    function = import_callable(factory)
    try:
        target = function()
    except Exception as error:
        raise ValueError(f"{factory}() raised {one_line(error)}") from error
    if not isinstance(target, Target):
        raise ValueError(
            f"{factory}() returned {type(target).__name__}, not a Target (see smile.targets.from_logdensity)"
        )
    try:
        key = jax.random.key(0)
        position, batch = target.init(key), target.draw_batch(key, ())
        value = jax.jit(target.logdensity)(position, batch)
    except Exception as error:
        raise ValueError(f"log density of {factory} raised {one_line(error)}") from error
    if jnp.shape(value) != ():
        raise ValueError(f"log density of {factory} has shape {jnp.shape(value)}, not that of a scalar, ()")
    if not jnp.isfinite(value):
        raise ValueError(f"log density of {factory} at its start is {value}, not finite")
    try:
        gradient = jax.jit(jax.grad(target.logdensity))(position, batch)
    except Exception as error:
        raise ValueError(f"gradient of the log density of {factory} raised {one_line(error)}") from error
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)):
        raise ValueError(f"gradient of the log density of {factory} at its start is not finite")
    return target


@dataclass(frozen=True, kw_only=True)
class Custom(AnalyticTarget):
    """``target=custom``."""

    has_known_scales: ClassVar[bool] = False

    factory: str = option(dotted_path)

    def build(self) -> Target:
        """The user's own."""
        return custom(self.factory)

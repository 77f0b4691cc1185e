"""A user's own target, from a dotted path."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from smile.base import Moments, Target
from smile.dotted import import_callable, users_code
from smile.options import dotted_path, option
from smile.targets.control_variates import ESTIMATORS, Estimator, with_control_variates
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
        logdensity_fn: ``position -> scalar``, unnormalised; parameters with a border, such as those that are positive,
            are made of free numbers by the functions of ``smile.targets.supports``.
        initial_position: where chains start, any pytree of numbers or arrays of real ones, which become floating-point
            arrays; or a function ``key -> position``, so that chains start apart, without which R-hat is blind to what
            all of them miss.
        name: what tables call it.
        sample: exact draws ``(key, n) -> (n, dim)``, for the Wasserstein bias.
        moments: exact second moments in the order of the flattened leaves, for the second-moment bias.

    Raises:
        ValueError: where the position is empty or has arrays of integers or of complex numbers, or the moments are not
            one per coordinate.
    """

    def init(key: jax.Array) -> Any:
        start = initial_position(key) if callable(initial_position) else initial_position
        return jax.tree_util.tree_map_with_path(_real, start)

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


def custom(factory: str, digest: str = "") -> Target:
    """Imports ``package.module.function`` (also from the working directory), calls it and checks the target it returns.

    Args:
        factory: the dotted path.
        digest: that its code must have, see ``smile.code``; empty: any.

    Raises:
        ValueError: in one line, what is wrong with the path, the call, the log density or its gradient.
    """
    function = import_callable(factory, digest)
    with users_code(f"{factory}() raised"):
        target = function()
    if not isinstance(target, Target):
        raise ValueError(
            f"{factory}() returned {type(target).__name__}, not a Target (see smile.targets.from_logdensity)"
        )
    key = jax.random.key(0)
    with users_code(f"start of {factory} raised"):
        position = target.init(key)
    for path, leaf in jax.tree_util.tree_leaves_with_path(position):
        if not jnp.issubdtype(dtype := jnp.result_type(leaf), jnp.floating):
            raise ValueError(f"{factory} starts at {_what(path, dtype)}: chains move in real numbers alone")
    with users_code(f"log density of {factory} raised"):
        batch = target.draw_batch(key, ())
        value = jax.jit(target.logdensity)(position, batch)
    if jnp.shape(value) != ():
        raise ValueError(f"log density of {factory} has shape {jnp.shape(value)}, not that of a scalar, ()")
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise ValueError(f"log density of {factory} is {jnp.result_type(value)}, not a real number")
    if not jnp.isfinite(value):
        raise ValueError(f"log density of {factory} at its start is {value}, not finite")
    with users_code(f"gradient of the log density of {factory} raised"):
        gradient = jax.jit(jax.grad(target.logdensity))(position, batch)
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)):
        raise ValueError(f"gradient of the log density of {factory} at its start is not finite")
    _check_known(factory, target, position, key)
    return target


def _check_known(factory: str, target: Target, position: Any, key: jax.Array) -> None:
    """What is known of a target is needed when all is sampled; what is wrong with it is said before."""
    if (dim := sum(jnp.size(leaf) for leaf in jax.tree.leaves(position))) != target.dim:
        raise ValueError(f"{factory} has dim={target.dim}, but starts at {dim} numbers")
    for name, moments in target.moments.items():
        if not jnp.shape(moments.second) == jnp.shape(moments.variance) == (dim,):
            raise ValueError(
                f"{name} moments of {factory} do not have the shape ({dim},), one entry per coordinate"
            )
    if target.sample is not None:
        with users_code(f"sample of {factory} raised"):
            shape = jnp.shape(target.sample(key, 2))
        if shape != (2, dim):
            raise ValueError(
                f"sample of {factory} makes draws of shape {shape}, not (2, {dim}), when asked for 2"
            )


def _real(path: Any, leaf: Any) -> jax.Array:
    """A number, or an array of real ones, in floating point.

    Raises:
        ValueError: naming the leaf, where a conversion would lose a part of it or make a number of what is none.
    """
    dtype = jnp.result_type(leaf)
    is_number = isinstance(leaf, int) and not isinstance(leaf, bool)
    if not is_number and not jnp.issubdtype(dtype, jnp.floating):
        hint = (
            "give its real and imaginary part"
            if jnp.issubdtype(dtype, jnp.complexfloating)
            else "give floats"
        )
        raise ValueError(f"initial_position has {_what(path, dtype)}: {hint}")
    return jnp.asarray(leaf, jnp.result_type(float))


def _what(path: Any, dtype: Any) -> str:
    name = ".".join(jax.tree_util.keystr((key,), simple=True) for key in path)
    return f"{dtype} numbers in {name!r}" if name else f"{dtype} numbers"


@dataclass(frozen=True, kw_only=True)
class Custom(AnalyticTarget):
    """``target=custom``."""

    has_known_scales: ClassVar[bool] = False

    factory: str = option(dotted_path)
    gradient: Estimator = option(ESTIMATORS, neutral="batch")

    def build(self) -> Target:
        """The user's own.

        Raises:
            ConfigError: where there can be no control variates.
        """
        target = custom(self.factory, self.code)
        if self.gradient == "batch":
            return target
        start = target.init(jax.random.key(0))
        if target.subsampling is not None:
            with users_code(f"log density of all rows of {self.factory} raised"):
                jax.eval_shape(target.logdensity, start, target.full_batch)
        return with_control_variates(target, start)

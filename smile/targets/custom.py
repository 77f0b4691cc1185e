"""A user's own target, from a dotted path."""

from __future__ import annotations

import difflib
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from smile.base import Moments, Target

__all__ = ["custom", "from_logdensity"]


def from_logdensity(
    logdensity_fn: Callable[[Any], jax.Array],
    initial_position: Any,
    *,
    name: str = "custom",
    sample: Callable[[jax.Array, int], jax.Array] | None = None,
    moments: Moments | None = None,
) -> Target:
    """A target from a log density of one position.

    Args:
        logdensity_fn: ``position -> scalar``, unnormalised.
        initial_position: where chains start, any pytree of numbers or arrays; they become floating-point arrays.
        name: what tables call it.
        sample: exact draws ``(key, n) -> (n, dim)``, for the Wasserstein bias.
        moments: exact second moments in the order of the flattened leaves, for the second-moment bias.

    Raises:
        ValueError: where the position is empty, or the moments are not one per coordinate.
    """
    initial_position = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), initial_position)
    dim = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(initial_position))
    if dim == 0:
        raise ValueError("initial_position has no numbers in it")
    if moments is not None and not jnp.shape(moments.second) == jnp.shape(moments.variance) == (dim,):
        shapes = f"{jnp.shape(moments.second)} and {jnp.shape(moments.variance)}"
        raise ValueError(f"moments must have shape ({dim},), one entry per coordinate, got {shapes}")
    known: Mapping[str, Moments] = {} if moments is None else {"exact": moments}
    return Target(
        name=name,
        dim=dim,
        init=lambda key: initial_position,
        logdensity=lambda position, batch: logdensity_fn(position),
        sample=sample,
        moments=known,
    )


def custom(factory: str) -> Target:
    """Imports ``package.module.function`` (also from the working directory), calls it and checks the target it returns.

    Raises:
        ValueError: in one line, what is wrong with the path, the call, the log density or its gradient.
    """
    function = _imported(factory)
    try:
        target = function()
    except Exception as error:
        raise ValueError(f"{factory}() raised {_one_line(error)}") from error
    if not isinstance(target, Target):
        raise ValueError(
            f"{factory}() returned {type(target).__name__}, not a Target (see smile.targets.from_logdensity)"
        )
    try:
        key = jax.random.key(0)
        position, batch = target.init(key), target.draw_batch(key, ())
        value = jax.jit(target.logdensity)(position, batch)
    except Exception as error:
        raise ValueError(f"log density of {factory} raised {_one_line(error)}") from error
    if jnp.shape(value) != ():
        raise ValueError(f"log density of {factory} has shape {jnp.shape(value)}, not that of a scalar, ()")
    if not jnp.isfinite(value):
        raise ValueError(f"log density of {factory} at its start is {value}, not finite")
    try:
        gradient = jax.jit(jax.grad(target.logdensity))(position, batch)
    except Exception as error:
        raise ValueError(f"gradient of the log density of {factory} raised {_one_line(error)}") from error
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)):
        raise ValueError(f"gradient of the log density of {factory} at its start is not finite")
    return target


def _imported(factory: str) -> Callable[[], Any]:
    module_name, _, function_name = factory.rpartition(".")
    if not module_name:
        raise ValueError(f"{factory!r} is no dotted path such as my_package.my_module.my_target")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"cannot import {module_name!r}: {_one_line(error)}") from error
    if not hasattr(module, function_name):
        near = difflib.get_close_matches(function_name, dir(module), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{module_name!r} has no function {function_name!r}{hint}")
    if not callable(function := getattr(module, function_name)):
        raise ValueError(f"{factory} is a {type(function).__name__}, not a function that returns a Target")
    return function


def _one_line(error: Exception) -> str:
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {message}"

"""What the rest of the house knows of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import InvalidRngError

__all__ = ["Model", "check_parameters", "from_flax", "standardised"]


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
        init: ``(key, x) -> params``; x: (rows, ...), of which only shape and dtype matter.
        apply: ``(params, x) -> (rows, outputs)``.
    """

    init: Callable[[jax.Array, jax.Array], Any]
    apply: Callable[[Any, jax.Array], jax.Array]


def from_flax(module: nn.Module) -> Model:
    """A flax module whose only variables are parameters.

    Raises:
        ValueError: from ``init``, where the module has other variables, such as the running means of BatchNorm; from
            ``apply``, where it draws random numbers, as Dropout does, or returns something else than one array.
    """

    def init(key: jax.Array, x: jax.Array) -> Any:
        variables = module.init(key, x)
        if others := sorted(set(variables) - {"params"}):
            raise ValueError(
                f"{type(module).__name__} has variables that are not parameters ({', '.join(others)}), "
                "which cannot be sampled"
            )
        return variables.get("params", {})

    def apply(params: Any, x: jax.Array) -> jax.Array:
        try:
            outputs = module.apply({"params": params}, x)
        except InvalidRngError:
            raise ValueError(
                f"{type(module).__name__} draws random numbers (Dropout?), which makes the log density random: leave "
                "it out, or deterministic=True; draws of the posterior stand in for it"
            ) from None
        if not isinstance(outputs, jax.Array):
            raise ValueError(
                f"{type(module).__name__} returns a {type(outputs).__name__}, not one array of outputs"
            )
        return outputs

    return Model(init, apply)


def check_parameters(params: Any) -> None:
    """Raises ValueError where there is nothing to sample, or something that is no real number."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not sum(leaf.size for _, leaf in leaves):
        raise ValueError("the network has no parameters to sample")
    for path, leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ValueError(
                f"parameters {name!r} of the network are {leaf.dtype}: chains move in real numbers alone"
            )


def standardised(model: Model, mean: np.ndarray | float, scale: np.ndarray | float) -> Model:
    """The network of ``(x - mean) / scale``, for pixels that lie in memory as whole numbers."""

    def apply(params: Any, x: jax.Array) -> jax.Array:
        return model.apply(params, (x.astype(jnp.float32) - np.float32(mean)) / np.float32(scale))

    return Model(lambda key, x: model.init(key, x.astype(jnp.float32)), apply)

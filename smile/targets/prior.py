"""Priors of a network's parameters: a product of zero-mean densities, whose scales a rule gives leaf by leaf."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Prior", "ScaleRule", "scales"]

# ``(names of a leaf from the root, its shape) -> scale`` above zero, a number or an array that broadcasts to the shape.
ScaleRule = Callable[[tuple[str, ...], tuple[int, ...]], Any]


class Prior(NamedTuple):
    """A product of zero-mean densities.

    Attributes:
        name: ``normal`` and ``laplace`` have one scale; ``he`` (sd sqrt(2 / fan_in)) and ``glorot``
            (sd sqrt(2 / (fan_in + fan_out))) are normal on leaves named ``kernel``, of which there must be one, and
            have sd one elsewhere.
        scale: multiplies all scales.
        rule: of the scales of every leaf, in place of the one that ``he`` and ``glorot`` name; None: they are equal.
    """

    name: Literal["normal", "laplace", "he", "glorot"] = "normal"
    scale: float = 1.0
    rule: ScaleRule | None = None


def scales(prior: Prior, params: Any) -> Any:
    """The scale of every parameter before ``prior.scale``, leaves like ``params``.

    Args:
        prior: of all of them.
        params: arrays, or what has their shapes and dtypes.

    Raises:
        ValueError: in one line, where the prior has no scale for a leaf.
    """
    rule = _rule(prior, params)
    return jax.tree_util.tree_map_with_path(lambda path, leaf: _scale(rule, path, leaf), params)


def _rule(prior: Prior, params: Any) -> ScaleRule:
    """The scales that the prior names. Raises ValueError where its name means nothing to these leaves."""
    if prior.rule is not None:
        if prior.name not in ("normal", "laplace"):
            raise ValueError(f"a prior with a rule is normal or laplace, not {prior.name}")
        return prior.rule
    if prior.name in ("normal", "laplace"):
        return lambda names, shape: 1.0
    found = [_names(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    if not any(names[-1:] == ("kernel",) for names in found):
        leaves = ", ".join(".".join(names) for names in found[:4])
        raise ValueError(
            f"the prior {prior.name} goes by leaves named kernel, and the network has none ({leaves}, ...): "
            f"smile.priors.{prior.name}() goes by their shapes"
        )

    def rule(names: tuple[str, ...], shape: tuple[int, ...]) -> float:
        """(*receptive field, in, out) for kernels."""
        if names[-1] != "kernel":
            return 1.0
        field = math.prod(shape[:-2])
        fan_in, fan_out = field * shape[-2], field * shape[-1]
        return math.sqrt(2 / (fan_in if prior.name == "he" else fan_in + fan_out))

    return rule


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """From the root to a leaf, as a reader would call them: keys, numbers and attributes."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def _scale(rule: ScaleRule, path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
    """Scales of one leaf before ``prior.scale``. Raises ValueError where they are none."""
    names = _names(path)
    scale = np.asarray(rule(names, leaf.shape), np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"the prior's scale of {'.'.join(names)} is {scale}, not finite and above zero")
    try:
        return jnp.broadcast_to(jnp.asarray(scale, leaf.dtype), leaf.shape)
    except ValueError:
        shapes = f"{scale.shape} for {leaf.shape}"
        raise ValueError(f"the prior's scale of {'.'.join(names)} has the wrong shape, {shapes}") from None

"""Priors of a network's parameters: ``smile.priors.normal(1.0)``, ``he()``, ``by_leaf(rule)``.

All of them give every leaf a scale by its shape, or as a function of yours says: never by a name that may be absent.
"""

from __future__ import annotations

import math
from typing import Literal

from smile.options import number, require
from smile.targets.prior import Prior, ScaleRule

__all__ = ["by_leaf", "glorot", "he", "laplace", "normal"]


def normal(sd: float = 1.0) -> Prior:
    """Normal with the same standard deviation ``sd`` > 0 for all parameters."""
    return _checked(Prior("normal", sd))


def laplace(scale: float = 1.0) -> Prior:
    """Laplace with density exp(-|x| / scale) / (2 scale) for all parameters, scale > 0."""
    return _checked(Prior("laplace", scale))


def he(scale: float = 1.0) -> Prior:
    """Normal with sd ``scale`` sqrt(2 / fan_in) on weights, ``scale`` on biases and all other vectors.

    Weights are leaves with two axes or more, (*receptive field, in, out) as in flax, that are not called embedding:
    those are looked up, not multiplied, and have sd ``scale``. Where yours are (out, in), take ``by_leaf``.
    """
    return _checked(Prior("normal", scale, _he))


def glorot(scale: float = 1.0) -> Prior:
    """Normal with sd ``scale`` sqrt(2 / (fan_in + fan_out)) on weights; else as ``he``."""
    return _checked(Prior("normal", scale, _glorot))


def by_leaf(rule: ScaleRule, density: Literal["normal", "laplace"] = "normal") -> Prior:
    """Scales of your own.

    Args:
        rule: ``(names, shape) -> scale``, where names lead from the root to a leaf, such as ``("Dense_0", "kernel")``;
            a number above zero, or an array that broadcasts to the shape.
        density: normal, or Laplace with density exp(-|x| / scale) / (2 scale).
    """
    if not callable(rule):
        raise ValueError(f"rule: got {type(rule).__name__}; valid: a function (names, shape) -> scale")
    if density not in ("normal", "laplace"):
        raise ValueError(f"density: got {density!r}; valid: normal, laplace")
    return Prior(density, 1.0, rule)


def _checked(prior: Prior) -> Prior:
    require("scale", prior.scale, number(0))
    return prior


def _fans(names: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Numbers that enter and leave a weight; None where the leaf is none."""
    if len(shape) < 2 or names[-1:] == ("embedding",):
        return None
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def _he(names: tuple[str, ...], shape: tuple[int, ...]) -> float:
    fans = _fans(names, shape)
    return math.sqrt(2 / fans[0]) if fans else 1.0


def _glorot(names: tuple[str, ...], shape: tuple[int, ...]) -> float:
    fans = _fans(names, shape)
    return math.sqrt(2 / sum(fans)) if fans else 1.0

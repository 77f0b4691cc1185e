"""Contrasts of the parts of a batch, and the friction that they make (``smile.kernels.contrast_friction``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from smile import tree

__all__ = ["contrasts", "cooled", "divided"]

# Of a direction's temperature: where noise is too strong to be cooled, B still has an inverse.
_LEAST_LEFT = 1e-3


def divided(batch: Any, parts: int) -> list[Any]:
    """Equal parts of a batch along its leading axis; a remainder is left out.

    Raises:
        ValueError: where it has fewer rows than parts.
    """
    rows = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0 for leaf in jax.tree.leaves(batch)}
    if len(rows) != 1 or min(rows) < parts:
        raise ValueError(f"a batch of {min(rows)} rows: contrast friction divides it into {parts}")
    size = rows.pop() // parts
    return [jax.tree.map(lambda leaf, k=k: leaf[k * size : (k + 1) * size], batch) for k in range(parts)]


def contrasts(gradients: Sequence[Any]) -> list[Any]:
    """The mean g and the contrasts d_1, ..., d_(M-1) of M gradients."""
    count = len(gradients)

    def contrast(k: int) -> Any:
        length = math.sqrt(k * (k + 1) * count)
        return jax.tree.map(lambda *parts: (sum(parts[:k]) - k * parts[k]) / length, *gradients)

    mean = jax.tree.map(lambda *parts: sum(parts) / count, *gradients)
    return [mean, *map(contrast, range(1, count))]


def cooled(velocity: Any, contrasts: Sequence[Any], share: jax.Array, chain_ndim: int) -> Any:
    """A v, where A A^T is I less ``share``, h^2 / K, times the sum of the d d^T of the contrasts d."""

    def along(direction: Any, rate: jax.Array, vector: Any) -> Any:
        return tree.axpy(rate * tree.vdot(direction, vector, chain_ndim), direction, vector)

    maps: list[tuple[Any, jax.Array, jax.Array]] = []
    for direction in contrasts:
        for b, rate, left in maps:
            direction = along(b, rate / left, direction)  # B^(-1)
        square = tree.vdot(direction, direction, chain_ndim)
        w = jnp.minimum(share * square, 1.0)
        rate = w / (1 + jnp.sqrt(1 - w)) / jnp.where(square > 0, square, 1.0)  # c / |b|^2, no cancellation
        maps.append((direction, rate, jnp.sqrt(jnp.maximum(1 - w, _LEAST_LEFT))))
    for b, rate, _ in reversed(maps):
        velocity = along(b, -rate, velocity)
    return velocity

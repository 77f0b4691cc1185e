"""Pytree arithmetic that treats trailing axes as chains (see ``smile.base``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["axpy", "num_scalars", "random_normal", "value_and_grad", "vdot"]


def vdot(a: Any, b: Any, chain_ndim: int) -> jax.Array:
    """Inner product over all leaves and all but the last ``chain_ndim`` axes; shape (*chains,)."""
    products = jax.tree.map(lambda x, y: jnp.sum(x * y, axis=tuple(range(x.ndim - chain_ndim))), a, b)
    return jax.tree.reduce(jnp.add, products)


def axpy(alpha: jax.Array, x: Any, y: Any) -> Any:
    """``y + alpha x``, in the dtype of ``y``; ``alpha`` has shape (*chains,)."""
    return jax.tree.map(lambda a, b: b + (alpha * a).astype(b.dtype), x, y)


def num_scalars(tree: Any, chain_ndim: int) -> int:
    """Number of scalars of one chain."""
    return sum(math.prod(leaf.shape[: leaf.ndim - chain_ndim]) for leaf in jax.tree.leaves(tree))


def random_normal(key: jax.Array, like: Any) -> Any:
    """Standard normal variates in the structure, shapes and dtypes of ``like``."""
    leaves, structure = jax.tree.flatten(like)
    keys = [key] if len(leaves) == 1 else jax.random.split(key, len(leaves))
    normals = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, normals)


def value_and_grad(logdensity_fn: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, Any]]:
    """Log density and gradient of every chain: chains are independent, so one backward pass of the sum serves all."""

    def total(position: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
        value = logdensity_fn(position, batch)
        return jnp.sum(value), value

    def value_and_grad_fn(position: Any, batch: Any) -> tuple[jax.Array, Any]:
        gradient, value = jax.grad(total, has_aux=True)(position, batch)
        return value, gradient

    return value_and_grad_fn

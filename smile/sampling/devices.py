"""Chains over devices: the leading axis of every array of a network's chains is split, nothing is communicated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["chain_mesh", "over_chains", "shard_chains"]

_CHAIN = PartitionSpec("chain")


def chain_mesh(chains: int) -> Mesh:
    """All devices, or as many of them as divide the number of chains."""
    count = max(n for n in range(1, jax.device_count() + 1) if chains % n == 0)
    return Mesh(np.array(jax.devices()[:count]), ("chain",))


def over_chains(function: Callable[..., Any], mesh: Mesh, per_chain: tuple[bool, ...]) -> Callable[..., Any]:
    """Lets every device run ``function`` on its own chains.

    Args:
        function: of arrays whose leading axis is chains (scalars: one value for all chains), and of shared arguments.
        mesh: of ``chain_mesh``.
        per_chain: for each argument, whether it is split; the others go to every device as they are.
    """

    def wrapped(*arguments: Any) -> Any:
        in_specs = tuple(
            _specs(a) if split else PartitionSpec() for a, split in zip(arguments, per_chain, strict=True)
        )
        local = tuple(
            jax.tree.map(_local_shape(mesh), a) if split else a
            for a, split in zip(arguments, per_chain, strict=True)
        )
        out_specs = _specs(jax.eval_shape(function, *local))
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)(
            *arguments
        )

    return wrapped


def shard_chains(tree: Any, mesh: Mesh) -> Any:
    """Puts every leaf where ``over_chains`` wants it, so that no call moves it."""
    return jax.tree.map(
        lambda leaf, spec: jax.device_put(leaf, NamedSharding(mesh, spec)), tree, _specs(tree)
    )


def _specs(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: _CHAIN if leaf.ndim else PartitionSpec(), tree)


def _local_shape(mesh: Mesh) -> Callable[[Any], jax.ShapeDtypeStruct]:
    def local(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = (leaf.shape[0] // mesh.size, *leaf.shape[1:]) if leaf.ndim else ()
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    return local

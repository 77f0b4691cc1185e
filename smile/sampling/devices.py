"""Chains over devices: the leading axis of every array of a network's chains is split, nothing is communicated.

The devices may belong to several hosts (``distributed=true``), each of which runs the whole program: arrays over all
devices are made by ``shard_chains`` and become host arrays, the same on every host, by ``gather``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = [
    "chain_mesh",
    "gather",
    "gather_each",
    "map_chains",
    "on_first_host",
    "over_chains",
    "over_rows",
    "replicated",
    "shard_chains",
]

_CHAIN = PartitionSpec("chain")


def chain_mesh(chains: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices, or as many of them as divide the number of chains.

    Raises:
        ValueError: where a host would have none of several hosts' chains.
    """
    devices = jax.devices() if devices is None else devices
    count = max(n for n in range(1, len(devices) + 1) if chains % n == 0)
    hosts = {device.process_index for device in devices}
    if {device.process_index for device in devices[:count]} != hosts:
        raise ValueError(
            f"replications: {chains} chains cannot be split over the {len(devices)} devices of {len(hosts)} hosts: "
            f"a multiple of {len(devices)} is needed"
        )
    return Mesh(np.array(devices[:count]), ("chain",))


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


def replicated(tree: Any, mesh: Mesh) -> Any:
    """Inside of a compiled function: every device, and so every host, has all of it."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, everywhere), tree)


def map_chains(function: Callable[..., Any], at_once: int | None) -> Callable[..., Any]:
    """Lets one device run ``function`` of one chain on all of its chains.

    Args:
        function: of arrays of one chain.
        at_once: how many chains advance together, None: all; their activations must fit into the memory. One at a time
            is the fastest for convolutions on CPUs, where those with kernels of many chains are slow.
    """
    if at_once is None:
        return jax.vmap(function)
    size = None if at_once == 1 else at_once
    return lambda *arguments: jax.lax.map(lambda chain: function(*chain), arguments, batch_size=size)


def over_rows(function: Callable[[jax.Array], Any], x: jax.Array, at_once: int | None) -> Any:
    """``function(x)`` of rows that do not depend on each other, ``at_once`` of them at a time; None: all."""
    rows = x.shape[0]
    if at_once is None or at_once >= rows:
        return function(x)
    whole = rows - rows % at_once
    blocks = jax.lax.map(function, x[:whole].reshape(-1, at_once, *x.shape[1:]))
    values = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), blocks)
    if whole == rows:
        return values
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), values, function(x[whole:]))


def shard_chains(tree: Any, mesh: Mesh) -> Any:
    """Puts every leaf where ``over_chains`` wants it, so that no call moves it."""
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), _specs(tree))
    if jax.process_count() == 1:
        return jax.tree.map(jax.device_put, tree, shardings)
    return jax.jit(lambda tree: tree, out_shardings=shardings)(tree)


def gather(tree: Any) -> Any:
    """What is spread over several hosts, on each of them; with one host the tree itself."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental.multihost_utils import process_allgather

    return jax.tree.map(
        lambda leaf: (
            np.asarray(leaf)
            if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable
            else process_allgather(leaf, tiled=True)
        ),
        tree,
    )


def gather_each(value: np.ndarray) -> np.ndarray:
    """One value of every host, (hosts, ...)."""
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(value))


def on_first_host(make: Callable[[], Any], like: Any) -> Any:
    """What the first host makes, on every host.

    Args:
        make: called on the first host alone; the others wait for it.
        like: a tree with the structure, shapes and dtypes of what it returns.
    """
    if jax.process_count() == 1:
        return make()
    from jax.experimental.multihost_utils import broadcast_one_to_all

    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    return broadcast_one_to_all(make() if jax.process_index() == 0 else blank)


def _specs(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: _CHAIN if leaf.ndim else PartitionSpec(), tree)


def _local_shape(mesh: Mesh) -> Callable[[Any], jax.ShapeDtypeStruct]:
    def local(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = (leaf.shape[0] // mesh.size, *leaf.shape[1:]) if leaf.ndim else ()
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    return local

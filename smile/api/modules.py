"""Modules that hold their numbers among other things, flax nnx and Equinox, as pure functions of their parameters.

Parameters of Equinox's own layers are called and shaped as flax's: the ``weight`` (out, in) of a ``Linear`` is sampled
as ``kernel`` (in, out), that of a norm as a vector ``scale``. So a prior by name or by shape is the same for both.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from smile.code import explained
from smile.models import Model

__all__ = [
    "NetworkError",
    "arguments",
    "check_stateless",
    "from_factory",
    "from_module",
    "is_module",
    "name_of",
]

_NO_STATE = "which cannot be sampled: put LayerNorm or GroupNorm in place of BatchNorm"
_NO_DROPOUT = (
    "has Dropout, which makes the log density random: the posterior is that of a fixed network; leave it out, draws of "
    "the posterior stand in for it"
)


class NetworkError(ValueError):
    """A network that cannot be used, in one line that says why."""


class _Parts(NamedTuple):
    """The parameters of a module, nested in dicts, and what it is without them."""

    params: Any
    apply: Callable[[Any, jax.Array], jax.Array]


def is_module(found: Any) -> bool:
    """Whether it is a module of nnx or Equinox."""
    return isinstance(found, nnx.Module) or _is_equinox(found)


def from_module(module: Any, shown: str) -> Model:
    """A module that has its numbers already: every chain starts in a permutation of those of every leaf.

    Entries that are drawn independently have the same law in any order, and constants stay what they are.

    Raises:
        NetworkError: where it has parts that cannot be sampled.
    """
    params, apply = _split(module, shown)

    def init(key: jax.Array, x: jax.Array) -> Any:
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        flat = [
            jax.random.permutation(k, leaf.ravel()).reshape(leaf.shape)
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(tree, flat)

    return Model(init, apply)


def from_factory(function: Callable[..., Any], argument: Literal["rngs", "key"], shown: str) -> Model:
    """``rngs -> module`` or ``key -> module``: every chain has an initialisation of its own.

    Raises:
        NetworkError: where it returns something else, or a module that has parts that cannot be sampled.
    """

    def make(key: jax.Array) -> Any:
        return function(rngs=nnx.Rngs(key)) if argument == "rngs" else function(key=key)

    try:
        module = make(jax.random.key(0))
    except Exception as error:
        raise NetworkError(f"{shown}({argument}=...) raised {explained(error)}") from None
    check_stateless(module, shown)
    if not is_module(module):
        valid = {"rngs": "nnx", "key": "Equinox"}[argument]
        raise NetworkError(f"{shown}({argument}=...) returned {name_of(module)}, not a module of {valid}")
    apply = _split(module, shown).apply
    return Model(lambda key, x: _split(make(key), shown).params, apply)


def check_stateless(found: Any, shown: str) -> None:
    """Raises NetworkError at what ``equinox.nn.make_with_state`` makes: a module and its state."""
    equinox = sys.modules.get("equinox")
    if equinox and isinstance(found, tuple) and any(isinstance(part, equinox.nn.State) for part in found):
        raise NetworkError(f"{shown} is a module and its state, {_NO_STATE}")


def arguments(function: Callable[..., Any]) -> list[str]:
    """Names of those that must be given."""
    # nnx hides the signatures of classes
    of = inspect.getattr_static(function, "__init__") if isinstance(function, type) else function
    try:
        parameters = inspect.signature(of).parameters.values()
    except ValueError:
        return []
    named = [one.name for one in parameters if one.default is one.empty and one.kind < one.VAR_POSITIONAL]
    keywords = [one.name for one in parameters if one.default is one.empty and one.kind == one.KEYWORD_ONLY]
    return [name for name in (*named, *keywords) if name != "self"]


def name_of(found: Any) -> str:
    """What messages call it."""
    if isinstance(found, type):
        return found.__name__
    return str(getattr(found, "__name__", type(found).__name__))


def _split(module: Any, shown: str) -> _Parts:
    return _split_equinox(module, shown) if _is_equinox(module) else _split_nnx(module, shown)


# ---- nnx -----------------------------------------------------------------------------------------


def _split_nnx(module: nnx.Module, shown: str) -> _Parts:
    graph, *states = nnx.split(module, nnx.Param, ...)
    variables, others = states
    for _, part in nnx.iter_graph(module):
        if isinstance(part, nnx.Dropout) and part.rate > 0:
            raise NetworkError(f"{shown} {_NO_DROPOUT}")
    kinds = {type(variable).__name__ for _, variable in nnx.to_flat_state(others)}
    if kinds := kinds - {"RngKey", "RngCount"}:
        names = ", ".join(sorted(kinds))
        raise NetworkError(f"{shown} has variables that are not parameters ({names}), {_NO_STATE}")

    def apply(params: Any, x: jax.Array) -> jax.Array:
        filled = jax.tree.map(lambda leaf: leaf, variables)
        nnx.replace_by_pure_dict(filled, params)
        outputs: jax.Array = nnx.merge(graph, filled, others)(x)
        return outputs

    return _Parts(nnx.to_pure_dict(variables), apply)


# ---- Equinox -------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where a leaf of an Equinox module lies among the parameters.

    Attributes:
        path: of names.
        shape: in the module.
        is_kernel: whether it is (out, in, *receptive field), and the parameter (*receptive field, in, out).
        is_vector: whether the parameter is one.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    is_kernel: bool = False
    is_vector: bool = False

    def parameter(self, leaf: jax.Array) -> jax.Array:
        if self.is_kernel:
            return jnp.moveaxis(leaf, (0, 1), (-1, -2))
        return leaf.ravel() if self.is_vector else leaf

    def leaf(self, parameter: jax.Array) -> jax.Array:
        if self.is_kernel:
            return jnp.moveaxis(parameter, (-1, -2), (0, 1))
        return parameter.reshape(self.shape)


def _is_equinox(found: Any) -> bool:
    """Whoever has such a module has imported Equinox, which is not installed everywhere."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(found, equinox.Module)


def _split_equinox(module: Any, shown: str) -> _Parts:
    """Arrays of floating-point numbers are parameters; all else, whole numbers included, stays what it is.

    A module maps one row; ``apply`` maps many.
    """
    import equinox

    _check_equinox(module, shown)
    variables, others = equinox.partition(module, equinox.is_inexact_array)
    leaves, tree = jax.tree.flatten(variables)
    places = _places(variables)
    params = unflatten_dict(
        {place.path: place.parameter(leaf) for place, leaf in zip(places, leaves, strict=True)}
    )

    def apply(params: Any, x: jax.Array) -> jax.Array:
        flat = flatten_dict(params)
        filled = jax.tree.unflatten(tree, [place.leaf(flat[place.path]) for place in places])
        outputs: jax.Array = jax.vmap(equinox.combine(filled, others))(x)
        return outputs

    return _Parts(params, apply)


def _places(variables: Any) -> list[_Place]:
    """Of all leaves, in their order."""
    from equinox import nn

    weighted = (nn.Linear, nn.Conv, nn.ConvTranspose)
    norms = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

    def is_layer(node: Any) -> bool:
        return isinstance(node, (*weighted, *norms, nn.Embedding))

    found = []
    for path, node in jax.tree_util.tree_leaves_with_path(variables, is_leaf=is_layer):
        for inner, leaf in jax.tree_util.tree_leaves_with_path(node):
            *before, last = (jax.tree_util.keystr((key,), simple=True) for key in (*path, *inner))
            if last == "weight" and isinstance(node, weighted):
                found.append(_Place((*before, "kernel"), leaf.shape, is_kernel=True))
            elif last == "weight" and isinstance(node, norms):
                found.append(_Place((*before, "scale"), leaf.shape, is_vector=True))
            elif last == "weight" and isinstance(node, nn.Embedding):
                found.append(_Place((*before, "embedding"), leaf.shape))
            else:
                is_bias = last == "bias" and is_layer(node)
                found.append(_Place((*before, last), leaf.shape, is_vector=is_bias))
    return found


def _check_equinox(module: Any, shown: str) -> None:
    from equinox import nn

    for part in jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, nn.StateIndex | nn.Dropout)):
        if isinstance(part, nn.StateIndex):
            raise NetworkError(f"{shown} has a layer that keeps a state, {_NO_STATE}")
        if isinstance(part, nn.Dropout) and part.p > 0 and not part.inference:
            raise NetworkError(f"{shown} {_NO_DROPOUT}")
    asked = arguments(type(module).__call__) if callable(module) else []
    if len(asked) != 1:
        raise NetworkError(
            f"{shown} is called with ({', '.join(asked)}); valid: one argument, a row of X: the posterior is that of a "
            "function of it, without keys or states"
        )

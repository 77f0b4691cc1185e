"""Networks as they come: flax linen, flax nnx, an ``(init, apply)`` pair, a dotted path, or one of ``smile``'s own."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax import nnx

from smile.code import code_digest, explained, module_of
from smile.dotted import import_callable
from smile.execute.posterior import model_facts
from smile.models import MODELS, Model, ModelOptions, from_flax
from smile.options import ConfigError, dotted_path

__all__ = ["Architecture", "NetworkError", "architecture", "from_facts"]

# Of these packages versions are compared, not sources.
_LIBRARIES = ("flax", "jax", "smile")


class NetworkError(ValueError):
    """A network that cannot be used, in one line that says why."""


class Architecture(NamedTuple):
    """A network, and how another process can make it again.

    Attributes:
        make: ``(num_outputs, context) -> network``.
        facts: what ``from_facts`` makes it of, as JSON has it; of kind ``given`` where only the user has it.
        shown: what messages call it.
    """

    make: Callable[[int, int | None], Model]
    facts: Mapping[str, Any]
    shown: str


def architecture(network: Any) -> Architecture:
    """Reads what a user gives for a network.

    Args:
        network: one of

            - a flax linen or nnx module with as many outputs as the likelihood needs: 1 (homoscedastic), 2
              (heteroscedastic: mean, log standard deviation), or the number of classes;
            - a function of the number of outputs that returns any of these, or of ``rngs`` (and that number
              before it) that returns an nnx module; a dotted path to one, such as ``my_nets.make``;
            - a pair ``(init, apply)``: ``init(key, x) -> params``, ``apply(params, x) -> (rows, outputs)``;
            - ``smile.mlp(16, 16)``, or other options of a network of ``smile.models``.

    Raises:
        NetworkError: where it is none of these, or has parts that cannot be sampled, such as batch statistics.
    """
    shown = network if isinstance(network, str) else _name(network)
    if isinstance(network, ModelOptions):
        return Architecture(network.build, model_facts(network), network.name)
    if isinstance(network, str):
        try:
            function = import_callable(dotted_path(network))
        except ValueError as error:
            raise NetworkError(f"network: got {network!r}; valid: {error}") from None
        facts = {"kind": "function", "path": network, "digest": _digest(function)}
        return Architecture(lambda outputs, _: _called(function, outputs, shown), facts, shown)
    if isinstance(network, type) or (callable(network) and not isinstance(network, nn.Module | nnx.Module)):
        facts = _facts_of_function(network)
        return Architecture(lambda outputs, _: _called(network, outputs, shown), facts, shown)
    model = _model(network, shown)
    facts = _facts_of_linen(network) if isinstance(network, nn.Module) else {"kind": "given", "shown": shown}
    return Architecture(lambda outputs, _: model, facts, shown)


def from_facts(facts: Mapping[str, Any]) -> Architecture:
    """The network of a saved fit.

    Raises:
        NetworkError: where this process cannot make it, or the code is not what it was.
    """
    kind = facts["kind"]
    if kind == "given":
        raise NetworkError(f"{facts['shown']} was given as an object that no path leads to")
    if kind == "options":
        return architecture(_declared(facts["name"], facts["options"]))
    try:
        found = import_callable(facts["path"])
    except ValueError as error:
        raise NetworkError(str(error)) from None
    if _digest(found) != facts["digest"]:
        raise NetworkError(f"the code of {facts['path']} is not what it was when the network was fitted")
    if kind == "function":
        return architecture(found)
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in facts["fields"].items()}
    return architecture(found(**fields))


def _declared(name: str, values: Mapping[str, Any]) -> ModelOptions:
    """A choice of ``smile.models``; of another package, with the code that it had."""
    try:
        options = MODELS.make(name, **values)
    except ConfigError as error:
        raise NetworkError(str(error)) from None
    found = code_digest(module_of(options)) if options.code else ""
    if found not in ("", options.code):  # where there is none, building it says so
        raise NetworkError(f"the code of {module_of(options)} is not what it was when the network was fitted")
    return options


# ---- to a Model ----------------------------------------------------------------------------------


def _model(network: Any, shown: str) -> Model:
    if isinstance(network, Model):
        return network
    if isinstance(network, nn.Module):
        return from_flax(network)
    if isinstance(network, nnx.Module):
        return _from_nnx(network, shown)
    if isinstance(network, tuple) and len(network) == 2 and all(callable(part) for part in network):
        return Model(*network)
    raise NetworkError(
        f"network: got {shown}; valid: a flax linen or nnx module, a pair (init, apply), a function of the number of "
        "outputs, a dotted path, smile.mlp(16, 16)"
    )


def _called(function: Callable[..., Any], outputs: int, shown: str) -> Model:
    """What a function makes: of the number of outputs, or an nnx module of ``rngs``, or of both."""
    names = _arguments(function)
    if "rngs" in names:
        return _from_nnx_factory(function if names == ["rngs"] else partial(function, outputs), shown)
    try:
        made = function(outputs)
    except Exception as error:
        raise NetworkError(f"{shown}({outputs}) raised {explained(error)}") from None
    if isinstance(made, ModelOptions):
        return made.build(outputs)
    return _model(made, _name(made))


def _arguments(function: Callable[..., Any]) -> list[str]:
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


def _from_nnx(module: nnx.Module, shown: str) -> Model:
    """A module that has its numbers already: every chain starts in a permutation of those of every leaf.

    Entries that are drawn independently have the same law in any order, and constants stay what they are.
    """
    graph, variables, others = _split(module)
    _check_parameters_only(module, others, shown)

    def init(key: jax.Array, x: jax.Array) -> Any:
        leaves, tree = jax.tree.flatten(nnx.to_pure_dict(variables))
        keys = jax.random.split(key, len(leaves))
        flat = [
            jax.random.permutation(k, leaf.ravel()).reshape(leaf.shape)
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(tree, flat)

    return Model(init, _nnx_apply(graph, variables, others))


def _from_nnx_factory(function: Callable[..., Any], shown: str) -> Model:
    """``rngs -> module``: every chain has an initialisation of its own."""
    try:
        module = function(rngs=nnx.Rngs(0))
    except Exception as error:
        raise NetworkError(f"{shown}(rngs=...) raised {explained(error)}") from None
    if not isinstance(module, nnx.Module):
        raise NetworkError(f"{shown}(rngs=...) returned {_name(module)}, not an nnx module")
    graph, variables, others = _split(module)
    _check_parameters_only(module, others, shown)

    def init(key: jax.Array, x: jax.Array) -> Any:
        return nnx.to_pure_dict(_split(function(rngs=nnx.Rngs(key)))[1])

    return Model(init, _nnx_apply(graph, variables, others))


def _split(module: nnx.Module) -> tuple[Any, Any, Any]:
    """Its graph, its parameters, and all other variables."""
    graph, *states = nnx.split(module, nnx.Param, ...)
    return graph, states[0], states[1]


def _nnx_apply(graph: Any, variables: Any, others: Any) -> Callable[[Any, jax.Array], jax.Array]:
    def apply(params: Any, x: jax.Array) -> jax.Array:
        filled = jax.tree.map(lambda leaf: leaf, variables)
        nnx.replace_by_pure_dict(filled, params)
        outputs: jax.Array = nnx.merge(graph, filled, others)(x)
        return outputs

    return apply


def _check_parameters_only(module: nnx.Module, others: Any, shown: str) -> None:
    for _, part in nnx.iter_graph(module):
        if isinstance(part, nnx.Dropout) and part.rate > 0:
            raise NetworkError(
                f"{shown} has Dropout, which makes the log density random: the posterior is that of a fixed network; "
                "leave it out, draws of the posterior stand in for it"
            )
    kinds = {type(variable).__name__ for _, variable in nnx.to_flat_state(others)}
    if kinds := kinds - {"RngKey", "RngCount"}:
        raise NetworkError(
            f"{shown} has variables that are not parameters ({', '.join(sorted(kinds))}), which cannot be sampled: "
            "put LayerNorm or GroupNorm in place of BatchNorm"
        )


# ---- to facts ------------------------------------------------------------------------------------


def _facts_of_linen(module: nn.Module) -> dict[str, Any]:
    """Class and fields, where both can be written down."""
    given = {"kind": "given", "shown": _name(module)}
    path = _path_of(type(module))
    if path is None:
        return given
    fields = {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if field.name in ("parent", "name") or not field.init or _is_default(field, value):
            continue
        if not _is_plain(value):
            return given
        fields[field.name] = list(value) if isinstance(value, tuple | list) else value
    return {"kind": "module", "path": path, "fields": fields, "digest": _digest(type(module))}


def _facts_of_function(function: Any) -> dict[str, Any]:
    path = _path_of(function)
    if path is None:
        return {"kind": "given", "shown": _name(function)}
    return {"kind": "function", "path": path, "digest": _digest(function)}


def _path_of(found: Any) -> str | None:
    """A dotted path that leads to it from another process; None: there is none."""
    module, name = getattr(found, "__module__", "__main__"), getattr(found, "__qualname__", "")
    if module == "__main__" or "." in name or not name:
        return None
    return f"{module}.{name}" if getattr(sys.modules.get(module), name, None) is found else None


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    return value is field.default or (_is_plain(value) and value == field.default)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(entry) and not isinstance(entry, tuple | list) for entry in value)
    return value is None or isinstance(value, bool | int | float | str)


def _digest(found: Any) -> str:
    """Of the file in which it is defined; of a library, its name."""
    package = str(getattr(found, "__module__", "")).partition(".")[0]
    if package in _LIBRARIES:
        return package
    try:
        file = inspect.getsourcefile(found)
        return hashlib.sha256(Path(file or "").read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""


def _name(found: Any) -> str:
    if isinstance(found, type):
        return found.__name__
    return str(getattr(found, "__name__", type(found).__name__))

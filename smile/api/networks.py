"""Networks as they come: flax linen, nnx, Equinox, ``(init, apply)``, a dotted path, or one of ``smile``'s own."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import flax.linen as nn

from smile.api.modules import (
    NetworkError,
    arguments,
    check_stateless,
    from_factory,
    from_module,
    is_module,
    name_of,
)
from smile.code import code_digest, explained, module_of
from smile.dotted import import_callable
from smile.execute.posterior import model_facts
from smile.extras import EXTRAS, MissingExtraError
from smile.models import MODELS, Model, ModelOptions, from_flax
from smile.options import ConfigError, dotted_path

__all__ = ["Architecture", "NetworkError", "architecture", "from_facts"]

# Of these packages versions are compared, not sources.
_LIBRARIES = ("equinox", "flax", "jax", "smile")

# By what a function takes its random numbers: from nnx, and from Equinox.
_RANDOM: tuple[Literal["rngs", "key"], ...] = ("rngs", "key")


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
            - an Equinox module of one row; its arrays of floating-point numbers are the parameters;
            - a function of the number of outputs that returns any of these, or of ``rngs`` or ``key`` (and that number
              before it) that returns a module of nnx or Equinox; a dotted path to one, such as ``my_nets.make``;
            - a pair ``(init, apply)``: ``init(key, x) -> params``, ``apply(params, x) -> (rows, outputs)``;
            - ``smile.mlp(16, 16)``, or other options of a network of ``smile.models``.

    Raises:
        NetworkError: where it is none of these, or has parts that cannot be sampled, such as batch statistics.
        MissingExtraError: where the module of a dotted path needs a package that is not installed.
    """
    shown = network if isinstance(network, str) else name_of(network)
    if isinstance(network, ModelOptions):
        return Architecture(network.build, model_facts(network), network.name)
    if isinstance(network, str):
        function = _imported(network, f"network: got {network!r}; valid: ")
        facts = {"kind": "function", "path": network, "digest": _digest(function)}
        return Architecture(lambda outputs, _: _called(function, outputs, shown), facts, shown)
    is_instance = isinstance(network, nn.Module) or is_module(network)
    if isinstance(network, type) or (callable(network) and not is_instance):
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
    found = _imported(facts["path"])
    if _digest(found) != facts["digest"]:
        raise NetworkError(f"the code of {facts['path']} is not what it was when the network was fitted")
    if kind == "function":
        return architecture(found)
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in facts["fields"].items()}
    return architecture(found(**fields))


def _imported(path: str, said: str = "") -> Callable[..., Any]:
    """What a dotted path leads to; ``said`` stands before what is wrong with it."""
    try:
        return import_callable(dotted_path(path))
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name in EXTRAS:
            raise MissingExtraError(path, cause.name) from None
        raise NetworkError(f"{said}{error}") from None


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
    if is_module(network):
        return from_module(network, shown)
    check_stateless(network, shown)
    if isinstance(network, tuple) and len(network) == 2 and all(callable(part) for part in network):
        return Model(*network)
    raise NetworkError(
        f"network: got {shown}; valid: a module of flax linen, nnx or Equinox, a pair (init, apply), a function of "
        "the number of outputs, a dotted path, smile.mlp(16, 16)"
    )


def _called(function: Callable[..., Any], outputs: int, shown: str) -> Model:
    """What a function makes: of the number of outputs, or a module of ``rngs`` or a ``key``, or of both."""
    names = arguments(function)
    for argument in _RANDOM:
        if argument in names:
            return from_factory(
                function if names == [argument] else partial(function, outputs), argument, shown
            )
    try:
        made = function(outputs)
    except Exception as error:
        raise NetworkError(f"{shown}({outputs}) raised {explained(error)}") from None
    if isinstance(made, ModelOptions):
        return made.build(outputs)
    return _model(made, name_of(made))


# ---- to facts ------------------------------------------------------------------------------------


def _facts_of_linen(module: nn.Module) -> dict[str, Any]:
    """Class and fields, where both can be written down."""
    given = {"kind": "given", "shown": name_of(module)}
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
        return {"kind": "given", "shown": name_of(function)}
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

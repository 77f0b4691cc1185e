"""How a choice declares its options: a frozen dataclass of ``option`` fields beside the mathematics that it builds.

The ground floor: neither Hydra nor JAX nor files. A converter makes a typed value of one from YAML, or its ValueError
says what would be valid; ``require`` lets the mathematics hold its callers to the same rule.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "MISSING",
    "SEED",
    "ConfigError",
    "MissingOptionError",
    "Options",
    "UnknownOptionError",
    "boolean",
    "choice",
    "converted",
    "dotted_path",
    "either",
    "even",
    "file_name",
    "file_path",
    "integer",
    "number",
    "option",
    "optional",
    "require",
    "text",
    "whole_numbers",
]

Converter = Callable[[Any], Any]


class ConfigError(ValueError):
    """A wrong option, in one line: its name, what was given, what is valid and the nearest valid name."""

    def __init__(self, option: str, given: object, valid: str | Iterable[str]) -> None:
        shown = "null" if given is None else repr(given)
        super().__init__(_one_line(f"{option}: got {shown}", str(given), valid))


class UnknownOptionError(ConfigError):
    """A name that is no option; ``among`` says of what, for example ``sampler=smile``."""

    def __init__(self, option: str, valid: str | Iterable[str], among: str = "") -> None:
        message = f"{option}: no such option{f' of {among}' if among else ''}"
        ValueError.__init__(self, _one_line(message, option.rpartition(".")[2], valid))


class MissingOptionError(ConfigError):
    """An option that has no default and was not given."""

    def __init__(self, option: str, valid: str | Iterable[str]) -> None:
        ValueError.__init__(self, _one_line(f"{option}: not given", "", valid))


def _one_line(message: str, given: str, valid: str | Iterable[str]) -> str:
    names = [] if isinstance(valid, str) else list(valid)
    near = difflib.get_close_matches(given, names, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return " ".join(f"{message}; valid: {', '.join(names) or valid or 'none'}{hint}".split())


# ---- declarations --------------------------------------------------------------------------------

NOT_SAID: Any = object()

# What YAML says of an option that has no default.
MISSING = "???"


@dataclass(frozen=True, kw_only=True)
class Options(ABC):
    """What a choice of a group may be told. Subclasses add ``option`` fields, rules between them in ``__post_init__``.

    Attributes:
        group: on the command line, ``sampler`` for instance.
        code: digest of code that is not smile's own, see ``smile.code``; no option.

    Raises:
        ConfigError: where a value is wrong, however the options are made, or else where one is missing.
    """

    group: ClassVar[str]

    name: str
    code: str = dataclasses.field(default="", metadata={"neutral": ""})

    def __post_init__(self) -> None:
        fields = [field for field in dataclasses.fields(self) if "convert" in field.metadata]
        for field in sorted(fields, key=lambda field: _is_missing(getattr(self, field.name))):  # told last
            value = converted(field, getattr(self, field.name), f"{self.group}.")
            object.__setattr__(self, field.name, value)


def option(
    converter: Converter, *, default: Any = NOT_SAID, neutral: Any = NOT_SAID, in_run_id: bool = True
) -> Any:
    """A dataclass field.

    Args:
        converter: makes a typed value of one from YAML.
        default: for those who build the options in Python; YAML says every one.
        neutral: value that leaves numbers as they were before there was this option, and run ids with them.
        in_run_id: False where numbers do not depend on it.
    """
    metadata = {"convert": converter, "in_run_id": in_run_id}
    if neutral is not NOT_SAID:
        metadata["neutral"] = neutral
        default = neutral if default is NOT_SAID else default
    if default is NOT_SAID:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(metadata=metadata, default=default)


def converted(field: dataclasses.Field[Any], value: Any, prefix: str = "") -> Any:
    """The typed value of a field.

    Raises:
        ConfigError: which names the option, with ``prefix`` before its name.
    """
    if _is_missing(value):
        raise MissingOptionError(prefix + field.name, _valid(field.metadata["convert"]))
    try:
        return field.metadata["convert"](value)
    except _NotAChoiceError as error:
        raise ConfigError(prefix + field.name, value, error.names) from None
    except ValueError as error:
        raise ConfigError(prefix + field.name, value, str(error)) from None


def _is_missing(value: Any) -> bool:
    return isinstance(value, str) and value == MISSING


def _valid(converter: Converter) -> str | Sequence[str]:
    """What a converter takes, in the words with which it refuses what none takes."""
    try:
        converter(NOT_SAID)
    except _NotAChoiceError as error:
        return error.names
    except ValueError as error:
        return str(error)
    return "a value"


def require(name: str, value: Any, converter: Converter) -> None:
    """Holds an argument of the mathematics to the rule of its option.

    Raises:
        ValueError: in one line, what was given and what is valid.
    """
    try:
        converter(value)
    except ValueError as error:
        raise ValueError(f"{name} must be {error}, got {value!r}") from None


# ---- converters ----------------------------------------------------------------------------------


class _NotAChoiceError(ValueError):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def number(
    low: float = -math.inf, high: float = math.inf, *, at_least: float = -math.inf, at_most: float = math.inf
) -> Converter:
    """A finite number strictly between ``low`` and ``high``, from ``at_least`` to ``at_most``."""
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", low), (">=", at_least), ("<", high), ("<=", at_most))
        if math.isfinite(bound)
    ]
    valid = " ".join(("a finite number", *filter(None, [" and ".join(bounds)])))

    def convert(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not (low < value < high and at_least <= value <= at_most):
            raise ValueError(valid)
        return float(value)

    return convert


def integer(low: int, high: int | None = None) -> Converter:
    """A whole number in [low, high]; 1e6 is one, too."""
    valid = f"a whole number >= {low}" + (f" and <= {high}" if high is not None else "")

    def convert(value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < low or (high is not None and value > high):
            raise ValueError(valid)
        return int(value)

    return convert


def even(low: int) -> Converter:
    """An even number of ``low`` at least."""

    def convert(value: Any) -> int:
        try:
            whole: int = integer(low)(value)
        except ValueError:
            whole = 1
        if whole % 2:
            raise ValueError(f"an even number >= {low}")
        return whole

    return convert


def choice(*names: str) -> Converter:
    """One of some words."""

    def convert(value: Any) -> str:
        if value not in names:
            raise _NotAChoiceError(names)
        return str(value)

    return convert


def either(special: Mapping[Any, Any], converter: Converter) -> Converter:
    """Values with a meaning of their own, such as null or a word, beside ordinary ones."""
    words = dict.fromkeys("null" if word is None else str(word) for word in special)

    def convert(value: Any) -> Any:
        if (value is None or isinstance(value, str | float)) and value in special:
            return special[value]
        try:
            return converter(value)
        except ValueError as error:
            raise ValueError(" or ".join([*words, str(error)])) from None

    return convert


def optional(converter: Converter) -> Converter:
    """Null, or what the converter says."""
    return either({None: None}, converter)


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true, false")
    return value


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def file_path(value: Any) -> str:
    """A path; ``~`` is filled in where it is opened, so that no config names a user's home."""
    if not isinstance(value, str) or not value:
        raise ValueError("a path")
    return value


def file_name(value: Any) -> str:
    """A name that is safe as that of a file."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z0-9_]", value):
        raise ValueError("a name of letters, digits, '_', '-' and '.'")
    return value


def dotted_path(value: Any) -> str:
    """A path to a function in a module."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        raise ValueError("a dotted path such as my_package.my_module.my_target")
    return value


def whole_numbers(value: Any) -> tuple[int, ...]:
    """A list of positive whole numbers."""
    if not isinstance(value, list | tuple):
        raise ValueError("a list of whole numbers >= 1, such as [16,16,16]")
    return tuple(integer(1)(entry) for entry in value)


SEED = integer(0, 2**32 - 1)

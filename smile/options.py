"""How a choice declares its options: a frozen dataclass of ``option`` fields beside the mathematics that it builds.

The ground floor: neither Hydra nor JAX nor files. A converter makes a typed value of one from YAML, or its ValueError
says what would be valid; ``require`` lets the mathematics hold its callers to the same rule.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from smile.converters import (
    SEED,
    Converter,
    NotAChoiceError,
    SecretError,
    boolean,
    choice,
    dotted_path,
    either,
    even,
    file_name,
    file_path,
    integer,
    number,
    optional,
    text,
    whole_numbers,
)

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


class ConfigError(ValueError):
    """A wrong option, in one line: its name, what was given, what is valid and the nearest valid name."""

    def __init__(self, option: str, given: object, valid: str | Iterable[str]) -> None:
        super().__init__(_one_line(f"{option}: got {_shown(given)}", given, valid))


class UnknownOptionError(ConfigError):
    """A name that is no option; ``among`` says of what, for example ``sampler=smile``."""

    def __init__(self, option: str, valid: str | Iterable[str], among: str = "") -> None:
        message = f"{option}: no such option{f' of {among}' if among else ''}"
        ValueError.__init__(self, _one_line(message, option.rpartition(".")[2], valid))


class MissingOptionError(ConfigError):
    """An option that has no default and was not given."""

    def __init__(self, option: str, valid: str | Iterable[str]) -> None:
        ValueError.__init__(self, _one_line(f"{option}: not given", "", valid))


def _shown(given: object) -> str:
    try:
        return "null" if given is None else repr(given)
    except ValueError:  # of Python, which writes no longer ones
        return f"a whole number of more than {sys.get_int_max_str_digits()} digits"


def _one_line(message: str, given: object, valid: str | Iterable[str]) -> str:
    names = [] if isinstance(valid, str) else list(valid)
    near = difflib.get_close_matches(str(given), names, 1) if names else []
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
    except NotAChoiceError as error:
        raise ConfigError(prefix + field.name, value, error.names) from None
    except SecretError as error:
        raise ConfigError(prefix + field.name, error.shown, str(error)) from None
    except ValueError as error:
        raise ConfigError(prefix + field.name, value, str(error)) from None


def _is_missing(value: Any) -> bool:
    return isinstance(value, str) and value == MISSING


def _valid(converter: Converter) -> str | Sequence[str]:
    """What a converter takes, in the words with which it refuses what none takes."""
    try:
        converter(NOT_SAID)
    except NotAChoiceError as error:
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
        raise ValueError(f"{name} must be {error}, got {_shown(value)}") from None

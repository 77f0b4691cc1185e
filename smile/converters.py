"""What makes a typed value of one from YAML; a ValueError says what would be valid."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = [
    "SEED",
    "Converter",
    "NotAChoiceError",
    "SecretError",
    "boolean",
    "choice",
    "dotted_path",
    "either",
    "even",
    "file_name",
    "file_path",
    "integer",
    "number",
    "optional",
    "text",
    "whole_numbers",
]

Converter = Callable[[Any], Any]

# What is smaller or larger would be zero or infinite in float32, or run over in an int32.
SMALLEST, LARGEST = 2.0**-126, 3.4e38
MOST = 2**31 - 1


class NotAChoiceError(ValueError):
    """None of some names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class SecretError(ValueError):
    """What was given holds a secret, which no message may show.

    Attributes:
        shown: in its place.
    """

    def __init__(self, shown: str, valid: str) -> None:
        super().__init__(valid)
        self.shown = shown


def number(
    low: float = -math.inf, high: float = math.inf, *, at_least: float = -math.inf, at_most: float = math.inf
) -> Converter:
    """A finite number strictly between ``low`` and ``high``, from ``at_least`` to ``at_most``; float32 can hold it."""
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", low), (">=", at_least), ("<", high), ("<=", at_most))
        if math.isfinite(bound)
    ]
    valid = " ".join(("a finite number", *filter(None, [" and ".join(bounds)])))

    def convert(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        if not is_number or not (low < value < high and at_least <= value <= at_most):
            raise ValueError(valid)
        if value and not SMALLEST <= abs(value) <= LARGEST:
            raise ValueError(f"{valid}, of a size from {SMALLEST:g} to {LARGEST:g}")
        return float(value)

    return convert


def integer(low: int, high: int | None = None) -> Converter:
    """A whole number in [low, high], or up to what a counter holds; 1e6 is one, too."""
    valid = f"a whole number >= {low}" + (f" and <= {high}" if high is not None else "")

    def convert(value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < low or (high is not None and value > high):
            raise ValueError(valid)
        if high is None and value > MOST:
            raise ValueError(f"{valid} and <= {MOST}")
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
            raise NotAChoiceError(names)
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

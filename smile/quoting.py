"""Quotes for what Hydra's grammar cannot read, or takes for something else, though people mean it as it stands."""

from __future__ import annotations

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

__all__ = ["in_quotes", "quoted"]

_OUR_FUNCTIONS = re.compile(r"(\+{0,2}step_size)=(logspace\b[^'\"]*)")
# Options that are text and nothing else: paths, and names of columns.
_TEXTS = re.compile(r"(\+{0,2}(?:data\.path|data\.dir|data\.target|results_dir))=(.*)", re.DOTALL)


def quoted(argument: str) -> str:
    """An override with quotes where they are needed: around ``logspace(...)``, paths and names of columns.

    A comma is between the values of a sweep, as in all options; where it belongs to a name, the user quotes it.
    """
    if match := _OUR_FUNCTIONS.fullmatch(argument):
        return f"{match[1]}='{match[2]}'"
    if match := _TEXTS.fullmatch(argument):
        return f"{match[1]}={_readable(match[2])}"
    return argument


def _readable(value: str) -> str:
    """What Hydra reads as this text; null, what is quoted, functions and sweeps stay what they are."""
    try:
        override = OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, ValueError):  # the latter of int(), for thousands of digits
        return _each(value) if "," in value else in_quotes(value)
    if override.is_sweep_override():
        is_list = not any(character in value for character in "'\"()")
        return _each(value) if is_list else value
    read = override.value()
    is_read_as_text = read is None or (isinstance(read, str) and (read == value or read != value.strip()))
    return value if is_read_as_text else in_quotes(value)


def _each(values: str) -> str:
    return ",".join(_readable(value.strip()) for value in values.split(","))


def in_quotes(value: str) -> str:
    """In single quotes; Hydra halves backslashes before a quote."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"

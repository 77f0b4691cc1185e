"""Conditions on rows and columns: ``target = icg and noise in [diagonal, correlated]``.

A space in a value after ``=`` is written as ``+``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Where", "covers", "parse_where"]

# Key -> allowed values; all keys must agree.
Where = Mapping[str, tuple[str, ...]]

_CONDITION = re.compile(r"(\w+) (?:= (\S+)|in \[([^\[\]]+)\])")


def parse_where(text: str) -> Where:
    """Parses conditions joined by ``and``; an empty text has none.

    Raises:
        ValueError: where one is no condition.
    """
    where = {}
    for condition in text.split(" and ") if text else ():
        match = _CONDITION.fullmatch(condition)
        if not match:
            raise ValueError(f"{condition!r} is neither 'key = value' nor 'key in [value, value]'")
        key, value, values = match.groups()
        where[key] = (
            (value.replace("+", " "),) if value else tuple(entry.strip() for entry in values.split(","))
        )
    return where


def covers(where: Where, place: Mapping[str, str]) -> bool:
    """Whether the conditions hold at a place, given by its keys."""
    return all(place[key] in allowed for key, allowed in where.items())

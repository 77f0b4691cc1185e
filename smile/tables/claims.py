"""Sentences about a table: its paper's claims.

Two forms: ``psmile < smile where noise in [diagonal, correlated]`` (or ``beats``, which is > where the highest value is
the best) and ``smile within factor 3 of baseline where noise = isotropic and target = icg``. Both names are values of
the column key, or both of one row key; a space in a name is written as ``+``. On the right may stand several,
``psmile < each of [smile, sgld]``: the best of them, whichever that is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smile.tables.conditions import Where, parse_where

__all__ = ["Claim", "holds", "parse_claim"]

_CLAIM = re.compile(r"(\S+) (?:(<|beats)|within factor (\S+) of) (each of \[[^\[\]]+\]|\S+)(?: where (.+))?")


@dataclass(frozen=True)
class Claim:
    """``left < right``, ``left beats right``, or both within ``factor`` of each other, in the cells of ``where``."""

    text: str
    key: str  # of which left and right are values
    left: str
    right: str  # as it is written
    rights: tuple[str, ...]  # what it stands for
    sign: str  # < or beats, or ≈ with a factor
    factor: float | None
    where: Where


def parse_claim(text: str, names: Mapping[str, Collection[str]]) -> Claim:
    """Parses one sentence.

    Args:
        text: the sentence.
        names: the values of every key of the table, those of its columns first.

    Raises:
        ValueError: where it is no sentence of this grammar, or does not compare two values of one key.
    """
    match = _CLAIM.fullmatch(text)
    if not match:
        raise ValueError(
            f"claim {text!r} is neither 'a < b' nor 'a within factor 2 of b', with 'where key = value'"
        )
    left, sign, factor, right, conditions = match.groups()
    left, right = left.replace("+", " "), right.replace("+", " ")
    is_list = right.startswith("each of ")
    rights = tuple(map(str.strip, right.partition("[")[2][:-1].split(","))) if is_list else (right,)
    key = next((key for key, valid in names.items() if {left, *rights} <= {*valid}), None)
    if key is None:
        columns, *others = names
        valid = f"{', '.join(sorted(names[columns]))}, or two values of {' or '.join(others)}"
        raise ValueError(f"claim {text!r} compares {left!r} with {right!r}: valid are two of {valid}")
    try:
        where = parse_where(conditions or "")
    except ValueError as error:
        raise ValueError(f"claim {text!r}: {error}") from None
    return Claim(text, key, left, right, rights, sign or "≈", float(factor) if factor else None, where)


def holds(claim: Claim, left: float, right: float, highest: bool = False) -> bool | None:
    """Whether two values agree with a claim, or None where one of them is not a finite number.

    Args:
        claim: the sentence.
        left: value of its left side.
        right: value of its right side.
        highest: whether the highest value is the best.
    """
    if not (math.isfinite(left) and math.isfinite(right)):
        return None
    if claim.factor is None:
        return left > right if highest and claim.sign == "beats" else left < right
    return left <= claim.factor * right and right <= claim.factor * left

"""The space of a search: what intervals, ranges and lists of values on a command line mean to Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from smile.options import ConfigError
from smile.overrides import num_values

__all__ = ["flat", "probes", "read_space"]

_VALID = (
    "interval(low,high), tag(log,interval(low,high)), int(interval(low,high)), range(low,stop,step) or values"
)

# With these a search would find the easiest problem, the luckiest seed or the longest run.
_PROBLEM = ("target", "noise", "data", "seed", "replications", "scale", "experiment")

_GOLDEN = 0.6180339887  # of the way from low to high: a number that is whole nowhere


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``hydra.sweeper.params`` under full names of options, as YAML has them or as they were given one by one."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def read_space(overrides: Iterable[Override]) -> dict[str, BaseDistribution]:
    """What an option is chosen from, by its name as an override says it; of values, their texts.

    Raises:
        ConfigError: where nothing can be chosen from it, or it is no option to choose.
    """
    space = {}
    for override in overrides:
        name = override.get_key_element()
        given = str(override.input_line).partition("=")[2]
        key = override.key_or_group
        if key in _PROBLEM or key.partition(".")[0] in ("noise", "data"):
            raise ConfigError(key, given, "one value: a search compares runs of one problem")
        try:
            space[name] = _distribution(override)
        except ValueError as error:
            raise ConfigError(key, given, f"{_VALID}; {error}") from None
    return space


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    tags = set(getattr(value, "tags", ()))
    if tags - ({"log"} if isinstance(value, IntervalSweep) else set()):
        raise ValueError("log is the only tag, and one of intervals")
    match value:
        case IntervalSweep(start=low, end=high):
            assert low is not None and high is not None
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError("low is less than high, and both are finite")
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log="log" in tags)
            return FloatDistribution(low, high, log="log" in tags)
        case RangeSweep(start=low, step=step):
            assert low is not None
            last = low + (num_values(override) - 1) * step
            if not low < last < math.inf:
                raise ValueError("a range has two values at least, and rises")
            if isinstance(low, int) and isinstance(step, int):
                return IntDistribution(low, int(last), step=step)
            return FloatDistribution(low, last, step=step)
        case ChoiceSweep():
            return CategoricalDistribution(tuple(dict.fromkeys(override.sweep_string_iterator())))
        case _:
            raise ValueError("this is none of them")


def probes(space: Mapping[str, BaseDistribution]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Points of a space with which what is wrong about it shows: a first one, and those that differ in one option.

    Yields:
        The option, which is empty for the first point, and the values of all options.
    """
    values = {name: _typical(distribution) for name, distribution in space.items()}
    first = {name: of_one[0] for name, of_one in values.items()}
    yield "", first
    for name, of_one in values.items():
        for value in of_one[1:]:
            yield name, first | {name: value}


def _typical(distribution: BaseDistribution) -> list[Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return list(choices)
        case IntDistribution(low=low, high=high):
            return [low, high]
        case FloatDistribution(low=low, high=high, step=step):
            return [low, low + _GOLDEN * (high - low) if step is None else low + step, high]
        case _:
            raise AssertionError(distribution)

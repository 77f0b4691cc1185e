"""From what Hydra composed to one typed, frozen config, or the one-line answer to a wrong option."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smile.choices import Choices
from smile.code import code_digest, module_of
from smile.config import lengths as lengths  # its resolvers
from smile.config.rules import check_together, check_tuner
from smile.config.run import RunConfig
from smile.converters import Converter
from smile.data import DATA
from smile.kernels import SAMPLERS
from smile.models import MODELS
from smile.noise import NOISES
from smile.options import MISSING, ConfigError, UnknownOptionError, converted, integer, number
from smile.sampling import WARM_STARTS
from smile.targets import TARGETS
from smile.tracking.trackers import TRACKERS, TrackerConfig
from smile.tuners import TUNERS, AdaptingTuner

__all__ = ["from_dict", "parse", "parse_resolved", "parse_step_size"]

GROUPS: Mapping[str, Choices[Any]] = {
    choices.group: choices for choices in (DATA, MODELS, WARM_STARTS, TARGETS, NOISES, SAMPLERS, TUNERS)
}

MOST_STEP_SIZES = 10_000  # each of which has chains of its own

# Nodes that only feed other options: the grid gives step_size, compat gives defaults of its groups, study a name.
_HELPER_NODES = ("grid", "compat", "protocol", "study")


def parse(cfg: DictConfig) -> RunConfig:
    """Converts and checks a composed config.

    Args:
        cfg: what Hydra composed from ``conf/`` (without its ``hydra`` node).

    Returns:
        The typed config of one run.

    Raises:
        ConfigError: in one line, the first wrong option, what was given and what is valid.
    """
    return parse_resolved(cfg)[0]


def parse_resolved(cfg: DictConfig) -> tuple[RunConfig, dict[str, Any]]:
    """The config, see ``parse``, and what ``parse`` makes the same of: plain dictionaries, lists and scalars."""
    fields = {field.name: field for field in dataclasses.fields(RunConfig)}
    given = {str(key): _resolve(cfg, str(key)) for key in cfg if key not in _HELPER_NODES}
    values = copy.deepcopy(given)
    if (study := cfg.get("study")) is not None:
        values["experiment"] = study
    for key in values:
        if key not in fields:
            raise UnknownOptionError(key, fields)
    nested: dict[str, Any] = {group: _choose(group, values.pop(group, None)) for group in GROUPS}
    nested["tracker"] = _tracker(values.pop("tracker", None))
    if (data := nested["data"]) is not None:
        nested["data"] = dataclasses.replace(data, digest=data.content_digest())
    check_tuner(nested["tuner"], nested["sampler"])  # decides what a step size may be
    nested["step_size"] = _step_sizes(values.pop("step_size", None), cfg, nested)
    plain = (field for name, field in fields.items() if name not in nested)
    config = RunConfig(**nested, **_convert(plain, values))
    check_together(config)
    return config, given | {"step_size": list(config.step_size) or None, "experiment": config.experiment}


def from_dict(plain: Mapping[str, Any]) -> RunConfig:
    """The config of which ``to_dict`` made ``plain``, such as the ``config.yaml`` of a run.

    Raises:
        ConfigError: where another version of the schema wrote it.
    """
    try:
        trackers: dict[str, Any] = {
            name: TRACKERS[name](**values) for name, values in plain["tracker"].items() if values is not None
        }
        nested: dict[str, Any] = {"tracker": TrackerConfig(**trackers)}
        for group, choices in GROUPS.items():
            values = plain.get(group, {"name": "none"})
            cls = choices[values["name"]]
            nested[group] = cls(**values) if cls else None
        return RunConfig(**{**plain, **nested, "step_size": tuple(plain["step_size"])})
    except (KeyError, TypeError) as error:
        raise ConfigError("config.yaml", str(error), "one that this version of smile wrote") from None


# ---- groups --------------------------------------------------------------------------------------


def _resolve(cfg: DictConfig, key: str) -> Any:
    """One top-level value with its interpolations resolved; what was not given is ``MISSING`` in it."""
    try:
        value = MISSING if OmegaConf.is_missing(cfg, key) else cfg[key]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raise ConfigError(error.full_key or key, "nothing usable", str(error).splitlines()[0]) from None


def _choose(group: str, values: Any) -> Any:
    choices = GROUPS[group]
    name = values.get("name") if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in choices:
        raise ConfigError(group, name if isinstance(values, dict) else values, choices)
    cls = choices[name]
    fields = [field for field in dataclasses.fields(cls) if "convert" in field.metadata] if cls else []
    declared = [field.name for field in fields]
    for key in values:
        if key not in declared and key != "name":
            raise UnknownOptionError(f"{group}.{key}", declared, f"{group}={name}")
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    given = {option: values.get(option) for option in declared if option in values or option in required}
    if cls is None:
        return None
    chosen = cls(name=name, **given)
    return dataclasses.replace(chosen, code=code_digest(module)) if (module := module_of(chosen)) else chosen


def _tracker(given: Any) -> TrackerConfig:
    """Several trackers are several nodes of the group, whose files each bring one."""
    if not (given is None or isinstance(given, dict)) or (given and not set(given) <= set(TRACKERS)):
        raise ConfigError("tracker", given, ("none", *TRACKERS))
    return TrackerConfig(
        **{name: _options_of_tracker(name, values) for name, values in (given or {}).items()}
    )


def _options_of_tracker(name: str, values: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(TRACKERS[name])}  # type: ignore[arg-type]
    for key in values if isinstance(values, dict) else [str(values)]:
        if key not in fields:
            raise UnknownOptionError(f"tracker.{name}.{key}", fields)
    wanted = [
        field for field in fields.values() if field.name in values or field.default is dataclasses.MISSING
    ]
    return TRACKERS[name](**_convert(wanted, values, f"tracker.{name}."))


def _convert(
    fields: Iterable[dataclasses.Field[Any]], values: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    return {field.name: converted(field, values.get(field.name), prefix) for field in fields}


# ---- step sizes ----------------------------------------------------------------------------------


def parse_step_size(value: Any) -> tuple[float, ...]:
    """A number, a list of numbers or ``"logspace(low, high, num)"`` as increasing, distinct step sizes.

    Raises:
        ConfigError: where ``value`` is none of these or a step size is not positive and finite.
    """
    valid = "a number > 0, a list of different ones or logspace(low, high, num)"
    if isinstance(value, str):
        match = re.fullmatch(r"\s*logspace\(([^,()]+),([^,()]+),([^,()]+)\)\s*", value)
        try:
            low, high, num = (float(part) for part in match.groups()) if match else (math.nan,) * 3
        except ValueError:
            low = high = num = math.nan
        if not (0 < low < high < math.inf and num.is_integer() and 2 <= num <= MOST_STEP_SIZES):
            needs = f"0 < low < high and a whole num from 2 to {MOST_STEP_SIZES}"
            raise ConfigError("step_size", value, f"{valid}; logspace needs {needs}")
        return tuple(float(x) for x in np.geomspace(low, high, int(num)))
    entries = list(value) if isinstance(value, list | tuple) else [value]
    try:
        steps = tuple(sorted(number(0)(entry) for entry in entries))
    except ValueError:
        raise ConfigError("step_size", value, valid) from None
    if not steps or len(set(steps)) < len(steps):
        raise ConfigError("step_size", value, valid)
    return steps


def _step_sizes(given: Any, cfg: DictConfig, groups: Mapping[str, Any]) -> tuple[float, ...]:
    """The explicit ``step_size``, or the grid where it is null."""
    if isinstance(groups["tuner"], AdaptingTuner):
        if given is not None:
            valid = f"null with tuner={groups['tuner'].name}, because it adapts one step size itself"
            raise ConfigError("step_size", given, valid)
        return ()
    if given is not None:
        return parse_step_size(given)
    choice = " ".join(f"{group}={groups[group].name}" for group in ("target", "noise", "sampler"))
    for key in cfg.grid:
        if key not in ("name", "min", "max", "num", "ranges"):
            raise UnknownOptionError(f"grid.{key}", ("min", "max", "num"))
    try:
        low, high, num = cfg.grid.min, cfg.grid.max, cfg.grid.num
    except OmegaConfBaseException:
        raise ConfigError(
            "grid", cfg.grid.name, f"grid=common or a step_size, as there is no range for {choice}"
        ) from None
    low, high = _of_grid("min", low, number(0)), _of_grid("max", high, number(0))
    num = _of_grid("num", num, integer(2, MOST_STEP_SIZES))
    if not low < high:
        raise ConfigError("grid.min", low, f"a number > 0 below grid.max={high}")
    return parse_step_size(f"logspace({low}, {high}, {num})")


def _of_grid(name: str, given: Any, convert: Converter) -> Any:
    try:
        return convert(given)
    except ValueError as error:
        raise ConfigError(f"grid.{name}", given, str(error)) from None

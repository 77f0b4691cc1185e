"""Which run a config is: a hash of everything that determines its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from smile.config.run import RunConfig

__all__ = ["identify", "run_id", "to_dict"]

GROUPS = ("data", "model", "warm_start", "target", "noise", "sampler", "tuner")

# What a run's numbers do not depend on.
_NOT_IN_RUN_ID = (
    "tracker",
    "scale",
    "experiment",
    "variant",
    "force",
    "dry_run",
    "max_minutes",
    "devices",
    "distributed",
    "results_dir",
)


class _Historical(NamedTuple):
    """Values that version 0.1.0 hashed for choices that do not have the option: one class served all of a group."""

    choices: tuple[str, ...]
    values: Mapping[str, Any]


_HISTORICAL = MappingProxyType(
    {
        "target": _Historical(
            ("icg", "rosenbrock", "funnel", "custom"),
            {"dim": 0, "condition_number": 1.0, "rotation": None, "moments": "exact", "factory": ""},
        ),
        "data": _Historical(
            (
                "airfoil", "energy", "bikesharing", "diabetes", "csv", "digits", "fashion_mnist", "cifar10",
                "imagenette", "modern_shakespeare", "text",
            ),
            {"train": 0.0, "validation": 0.0, "target": None, "task": "auto"},
        ),
        "model": _Historical(
            ("fcn", "lenet", "resnet7", "resnet18", "vit", "gpt", "custom"),
            {"widths": (), "activation": "relu", "factory": ""},
        ),
        "noise": _Historical(
            ("none", "isotropic", "diagonal", "correlated", "spatially_varied"),
            {
                "source": "none", "distribution": "none", "parameter": None, "scale": 0.0, "rotation": "aligned",
                "kappa": None, "num_rows": 0, "batch_size": 0,
            },
        ),
        "tuner": _Historical(("linear", "cosine"), {"num_cycles": 1, "exploration": 0.0}),
    }
)  # fmt: skip


def run_id(config: RunConfig) -> str:
    """Twelve hexadecimal digits, equal exactly where everything that determines a run's numbers is equal."""
    canonical = json.dumps(identify(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identify(config: RunConfig) -> dict[str, Any]:
    """The part of the resolved config that determines a run's numbers."""
    identity = {key: value for key, value in to_dict(config).items() if key not in _NOT_IN_RUN_ID}
    for group in GROUPS:
        if chosen := getattr(config, group):
            identity[group] = _identify(group, chosen)
    return identity


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The resolved config as plain nested dictionaries, lists and scalars."""
    plain = {key: value for key, value in dataclasses.asdict(config).items() if value is not None}
    for group in GROUPS:
        if not plain.get(group, {}).get("code", "?"):
            del plain[group]["code"]
    return plain | {"step_size": list(config.step_size)}


def _identify(group: str, chosen: Any) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        is_neutral = "neutral" in field.metadata and value == field.metadata["neutral"]
        if field.metadata.get("in_run_id", True) and not is_neutral:
            values[field.name] = value
    history = _HISTORICAL.get(group)
    if history and chosen.name in history.choices:
        own = {field.name for field in dataclasses.fields(chosen)}
        values |= {name: value for name, value in history.values.items() if name not in own}
    return values

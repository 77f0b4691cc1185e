"""Runs that are others than before only because code or data of the user's have changed, which people are told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from yaml import YAMLError

from smile.config.identity import GROUPS, identify, run_id
from smile.config.run import RunConfig
from smile.sweep.attempt import run_dir

__all__ = ["changed_since"]


class _Contents(NamedTuple):
    """Digests of what a run was made of.

    Attributes:
        code: of its groups.
        data: empty where no option names a file.
    """

    code: tuple[str, ...]
    data: str


def changed_since(configs: Iterable[RunConfig]) -> list[str]:
    """One line for every run that differs from finished ones in nothing but contents of files.

    Args:
        configs: of runs that are to start.
    """
    lines, known = [], dict[Path, dict[str, list[tuple[str, _Contents]]]]()
    for config in configs:
        options, contents = _split(config)
        if not any((*contents.code, contents.data)):
            continue
        folder = run_dir(config).parent
        if folder not in known:
            known[folder] = _finished(folder)
        before = known[folder].get(options, [])
        if not before or run_id(config) in (name for name, _ in before):
            continue
        name, old = before[-1]
        what = [word for word, now, then in zip(("code", "data"), contents, old, strict=True) if now != then]
        lines.append(
            f"{config.label}: {' and '.join(what)} changed since run {name}; this one is {run_id(config)}"
        )
    return lines


def _finished(folder: Path) -> dict[str, list[tuple[str, _Contents]]]:
    """Options -> name and contents of the runs that have them, the last one last."""
    from smile.config.parse import from_dict  # here, because it imports jax

    found: dict[str, list[tuple[str, _Contents]]] = {}
    for file in sorted(folder.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime):
        try:
            plain: Any = OmegaConf.to_container(OmegaConf.create(file.read_text()))
            options, contents = _split(from_dict(plain))
        except (OSError, ValueError, YAMLError):  # of another version of smile, or no config
            continue
        found.setdefault(options, []).append((file.parent.name, contents))
    return found


def _split(config: RunConfig) -> tuple[str, _Contents]:
    """All that determines a run's numbers but the contents of files, and those."""
    identity = identify(config)
    groups = [identity[group] for group in GROUPS if isinstance(identity.get(group), dict)]
    code = tuple(group.pop("code", "") for group in groups)
    data = (identity.get("data") or {}).pop("digest", "")
    return json.dumps(identity, sort_keys=True), _Contents(code, data)

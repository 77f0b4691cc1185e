"""Runs that had the same options and other code or data: they have another id, and their results stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf
from yaml import YAMLError

from smile.config.identity import GROUPS, run_id
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import experiment_dir
from smile.runs.compact import CONFIG_FILE, read_configs
from smile.sweep.attempt import is_done

__all__ = ["changed_since"]

_DIGESTS = {"code": "the code", "digest": "the data"}  # field of a choice -> what it is a digest of


def changed_since(configs: Sequence[RunConfig]) -> list[str]:
    """One line for every run that is to be done and was done with other code, or on other data."""
    wanted: dict[Path, dict[str, RunConfig]] = {}
    for config in configs:
        if any(_digests(config).values()) and not is_done(config):
            folder = experiment_dir(config.results_dir, config.experiment, config.scale)
            wanted.setdefault(folder, {})[_without_digests(config)] = config
    lines = []
    for folder, by_options in wanted.items():
        for name, old in _with_digests(folder):
            new = by_options.get(_without_digests(old))
            if new is None or name == run_id(new):
                continue
            before = _digests(old)
            what = dict.fromkeys(
                _DIGESTS[key[1]] for key, now in _digests(new).items() if now != before.get(key)
            )
            lines.append(
                f"{new.label}: {' and '.join(what)} changed since run {name}, which stays; this is run {run_id(new)}"
            )
    return lines


def _with_digests(folder: Path) -> Iterator[tuple[str, RunConfig]]:
    """Id and config of every run of an experiment that has a digest in its config."""
    from smile.config.parse import from_dict  # here, because it imports jax

    texts = dict(read_configs(folder))
    for file in sorted(folder.glob(f"runs/*/{CONFIG_FILE}")):
        try:
            texts[file.parent.name] = file.read_text()
        except OSError:  # merged since it was listed
            continue
    for name, text in texts.items():
        if not any(f"{key}: " in text for key in _DIGESTS):
            continue
        try:
            plain = OmegaConf.to_container(OmegaConf.create(text))
            assert isinstance(plain, dict)
            yield name, from_dict({str(key): value for key, value in plain.items()})
        except (ConfigError, ValueError, YAMLError):  # of another version
            continue


def _digests(config: RunConfig) -> Mapping[tuple[str, str], str]:
    chosen = {group: one for group in GROUPS if (one := getattr(config, group)) is not None}
    return {(group, key): getattr(one, key, "") for group, one in chosen.items() for key in _DIGESTS}


def _without_digests(config: RunConfig) -> str:
    blank = {}
    for group in GROUPS:
        if (chosen := getattr(config, group)) is not None:
            blank[group] = replace(chosen, **{key: "" for key in _DIGESTS if hasattr(chosen, key)})
    return run_id(replace(config, **blank))

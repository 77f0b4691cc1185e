"""Composes configs as Hydra does, so that a sweep of a hundred runs is known within a second or two.

Hydra reads and merges all files anew for each run. Here every file is read once for a command, and runs that differ
only in values, such as seeds, share what is composed of files.

``hydra._internal`` may change with any minor release, see ``smile.preflight``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from smile.choices import config_folders
from smile.config import recommended as recommended  # its resolvers, which lists of defaults use

__all__ = ["CONFIG_NAME", "Loader"]

CONFIG_NAME = "config"


class _PackagesOfChoices(SearchPathPlugin):
    """YAML of packages that register choices as entry points stands beside ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders():
            search_path.append(provider="entry points of smile", path=f"file://{folder}")


Plugins.instance().register(_PackagesOfChoices)


class _Repository(ConfigRepository):
    """Reads every file once, although each composition of a sweep reads it."""

    def __init__(self, config_search_path: ConfigSearchPath):
        super().__init__(config_search_path)
        self._read: dict[tuple[str, ...], ConfigResult | None] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> _Repository:
        return copy.copy(self)  # each composition asks for a copy, whose folders hydra.searchpath may change

    def load_config(self, config_path: str) -> ConfigResult | None:
        key = (config_path, *(source.path for source in self.sources))
        if key not in self._read:
            self._read[key] = super().load_config(config_path)
        return copy.deepcopy(self._read[key])


class Loader(ConfigLoaderImpl):
    """The loader of one command."""

    def __init__(self, config_search_path: ConfigSearchPath):
        super().__init__(config_search_path)
        self.repository = _Repository(config_search_path)
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """What ``load_configuration`` composes for one run, without ``hydra``."""
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        self.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)
        values = [override for override in parsed if self._is_value(override)]
        groups = tuple(str(override.input_line) for override in parsed if override not in values)
        if groups not in self._composed:
            cfg = self.load_configuration(CONFIG_NAME, list(groups), RunMode.RUN)
            OmegaConf.set_struct(cfg, False)
            cfg.pop("hydra")
            OmegaConf.set_struct(cfg, True)  # an unknown option is refused
            self._composed[groups] = cfg
        cfg = copy.deepcopy(self._composed[groups])
        self._apply_overrides_to_config(values, cfg)
        OmegaConf.set_struct(cfg, False)
        return cfg

    def _is_value(self, override: Override) -> bool:
        """Whether an override changes the composed config instead of what it is composed of."""
        key = override.key_or_group
        is_of_hydra = key == "hydra" or key.startswith(("hydra.", "hydra/"))
        return not is_of_hydra and (
            isinstance(override.value(), dict) or not self.repository.group_exists(key)
        )

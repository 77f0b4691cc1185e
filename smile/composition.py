"""Composes configs as Hydra does, so that a sweep of a hundred runs is known within a second or two.

Hydra reads and merges all files anew for each run. Here every file is read once for a command, and runs that differ
only in values, such as seeds, share what is composed of files.

``hydra._internal`` may change with any minor release, see ``smile.preflight``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from smile.choices import config_folders
from smile.config import recommended as recommended  # its resolvers, which lists of defaults use
from smile.options import ConfigError, UnknownOptionError

__all__ = ["CONFIG_NAME", "Loader", "explained", "guarded", "without_hydra"]

CONFIG_NAME = "config"
_PROTOCOL = "protocol@_global_"


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

    def load_configuration(self, *arguments: Any, **options: Any) -> DictConfig:
        """What Hydra composes.

        Raises:
            ConfigError: where the scale has no protocol of the experiment or the network, whose lengths would be those
                of analytic targets.
        """
        cfg = super().load_configuration(*arguments, **options)
        chosen = cfg.hydra.runtime.choices
        name, protocols = chosen.get(_PROTOCOL), self.get_group_options("protocol")
        experiment = str(name).removesuffix(f"_{chosen.scale}")
        is_needed = chosen.get("model") not in (None, "none") or experiment != chosen.target
        if name and name not in protocols and is_needed:
            scales = [p.removeprefix(f"{experiment}_") for p in protocols if p.startswith(f"{experiment}_")]
            raise ConfigError("scale", chosen.scale, scales or f"one with conf/protocol/{name}.yaml")
        return cfg

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """What ``load_configuration`` composes for one run, without ``hydra``."""
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        self.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)
        values = [override for override in parsed if self._is_value(override)]
        groups = tuple(str(override.input_line) for override in parsed if override not in values)
        if groups not in self._composed:
            cfg = without_hydra(self.load_configuration(CONFIG_NAME, list(groups), RunMode.RUN))
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


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A copy of what Hydra composes that holds what is ours."""
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, False)
    cfg.pop("hydra")
    return cfg


# ---- from Hydra's exceptions to one line ---------------------------------------------------------


def guarded(compose: Callable[[], DictConfig]) -> DictConfig:
    """What Hydra composes.

    Raises:
        HydraException, OmegaConfBaseException: where it cannot, also for a reason that it has no exception for.
    """
    try:
        return compose()
    except (HydraException, OmegaConfBaseException, ConfigError):
        raise
    except Exception as error:
        raise HydraException(_first_line(error)) from error


def explained(loader: Loader, overrides: Sequence[str], action: Callable[[], Any]) -> Any:
    """What an action returns.

    Raises:
        ConfigError: in place of Hydra's exceptions.
    """
    try:
        return action()
    except ConfigError:
        raise
    except OverrideParseException as error:
        key, equals, value = error.override.partition("=")
        if re.search(r"(^|[.+~])\d", key):  # of which Hydra makes no name
            raise UnknownOptionError(key.lstrip("+~"), "the options that smile --help lists") from None
        what = f"a value that Hydra can read; {error.message.splitlines()[0]}" if equals else "option=value"
        raise ConfigError(key, value if equals else "no value", what) from None
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        valid = error.options or loader.get_group_options(group) or _first_line(error)
        raise ConfigError(group or "config", name, valid) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain_key(loader, overrides, error) from None


def _explain_key(loader: Loader, overrides: Sequence[str], error: Exception) -> ConfigError:
    """An override whose name Hydra refused."""
    match = re.search(r"(Could not override|already at) '([^']+)'", str(error))
    key = match[2].split("@")[0] if match else ""
    wrong = [o for o in overrides if o.partition("=")[0].lstrip("+~").split("@")[0] == key]
    if not match or not wrong:
        return ConfigError("command line", " ".join(overrides), _first_line(error))
    name, value = wrong[0].partition("=")[::2]
    if match[1] == "already at":
        return ConfigError(name, value, f"{key}={value}, without a plus")
    if choices := loader.get_group_options(key):
        return ConfigError(name, value, [f"+{key}={choice}" for choice in choices])
    parent, _, _ = key.rpartition(".")
    try:
        cfg = loader.compose([o for o in overrides if o not in wrong])
        node = OmegaConf.select(cfg, parent) if parent else cfg
    except Exception:  # another override is wrong, too; this one is reported first
        node = None
    if not isinstance(node, DictConfig):
        return UnknownOptionError(key, "the options that smile --help lists")
    names = sorted({str(k) for k in node} | ({"scale"} if not parent else set()))
    among = f"{parent}={node.name}" if "name" in node else parent
    return UnknownOptionError(key, [n for n in names if n != "name"], among)


def _first_line(error: BaseException) -> str:
    """What an exception says, or the one it came from, and of which option or where in which file."""
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark):
        return f"valid YAML in {mark.name}, line {mark.line + 1} ({error.problem})"
    if not (text := str(error).strip()):
        return _first_line(error.__cause__) if error.__cause__ else type(error).__name__
    return text.splitlines()[0] + (f" ({option})" if (option := getattr(error, "full_key", None)) else "")

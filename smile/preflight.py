"""Composes and checks every job of a command before the first one runs, and explains what is wrong in one line.

Hydra composes a sweep's jobs one after the other, so a typo in the last would be found after hours, as a traceback.

Hydra has no public way to compose what its sweeper would: ``hydra._internal`` may change with any minor release.
Therefore pyproject.toml holds hydra-core below 1.4; raising that means reading this module again.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hydra import version
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from smile import __version__
from smile.composition import CONFIG_NAME, Loader
from smile.config.run import RunConfig
from smile.options import ConfigError, UnknownOptionError
from smile.overrides import check_name, num_values, of_first_run, quote_functions
from smile.paths import conf_dir
from smile.sweep.frozen import Job

__all__ = [
    "Command",
    "choices_of",
    "compose",
    "compose_command",
    "compose_jobs",
    "parse_arguments",
    "quote_functions",
]

_MOST_RUNS = 100_000
_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class Command(NamedTuple):
    """What a command asks for.

    Attributes:
        jobs: one per run; none where another sweeper than Hydra's basic one chooses them as it goes along.
        launcher: ``hydra.launcher``, without what its interpolations stand for.
        logging: ``hydra.job_logging``.
    """

    jobs: list[Job]
    launcher: Any
    logging: DictConfig


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags and overrides.

    Raises:
        ConfigError: where a flag is unknown.
    """
    # Hydra's own --version shows Hydra's.
    parser = argparse.ArgumentParser(
        parents=[get_args_parser()], add_help=False, conflict_handler="resolve", prog="smile"
    )

    def fail(message: str) -> NoReturn:
        raise ConfigError("command line", message, "option=value and the flags that smile --hydra-help lists")

    parser.error = fail  # type: ignore[method-assign]
    parser.add_argument("--version", action="version", version=f"smile {__version__}")
    parsed = parser.parse_args(list(arguments))
    for flag in ("config_name", "config_path", "package"):
        if (given := getattr(parsed, flag)) is not None:
            valid = "nothing: there is one config.yaml; --config-dir adds a folder of choices of your own"
            raise ConfigError(f"--{flag.replace('_', '-')}", given, valid)
    return parsed


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """The config of one run, as ``smile <overrides>`` composes it; for notebooks, tests and benchmarks.

    Raises:
        ConfigError: in one line, what is wrong.
    """
    return compose_jobs(parse_arguments(quote_functions(overrides)))[0]


def choices_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Group -> choice of the first run of a command, whatever else it lacks.

    Raises:
        ConfigError: in one line, what is wrong.
    """
    with _config_loader(arguments.config_dir) as loader:

        def read() -> DictConfig:
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(arguments.overrides)
            return _guarded(partial(loader.compose, [of_first_run(loader, override) for override in parsed]))

        cfg = _explained(loader, arguments.overrides, read)
        nodes = {str(key): cfg._get_node(key) for key in cfg}
        return {
            k: str(node.name) for k, node in nodes.items() if isinstance(node, DictConfig) and "name" in node
        }


def compose_jobs(arguments: argparse.Namespace) -> list[RunConfig]:
    """The configs of all runs of a command, in the order in which Hydra's basic sweeper runs them; see ``Command``."""
    return [job.config for job in compose_command(arguments).jobs]


def compose_command(arguments: argparse.Namespace) -> Command:
    """What a command asks for, see ``compose_jobs``."""
    with _config_loader(arguments.config_dir) as loader:
        master, batch = _jobs(loader, arguments.overrides, arguments.multirun)
        jobs = []
        for number, overrides in enumerate(batch, 1):
            try:
                jobs.append(_explained(loader, overrides, partial(_parse, loader, overrides)))
            except ConfigError as error:
                if len(batch) == 1:
                    raise
                values = " ".join(overrides[len(master.hydra.overrides.hydra) :])
                error.args = (f"{error} (run {number} of {len(batch)}: {values})",)
                raise
        if not isinstance(master.hydra.launcher, DictConfig):
            raise ConfigError(
                "hydra.launcher", master.hydra.launcher, "hydra/launcher=name, or one of its options"
            )
        return Command(jobs, OmegaConf.to_container(master.hydra.launcher), master.hydra.job_logging)


def _jobs(loader: Loader, overrides: list[str], multirun: bool) -> tuple[DictConfig, list[list[str]]]:
    """What the sweeper and the launcher read, and override lists, one per job."""
    parser = OverridesParser.create(config_loader=loader)

    def read() -> list[Override]:
        parsed: list[Override] = parser.parse_overrides(overrides)
        for override in parsed:
            check_name(loader, override)
        return parsed

    parsed = _explained(loader, overrides, read)
    first = [of_first_run(loader, override) for override in parsed]

    def split() -> tuple[DictConfig, list[list[str]]]:
        master = _guarded(
            partial(
                loader.load_configuration,
                CONFIG_NAME,
                first,
                RunMode.MULTIRUN,
                validate_sweep_overrides=False,
            )
        )
        if master.hydra.job.chdir:
            raise ConfigError("hydra.job.chdir", True, "false; results_dir= says where results go")
        if not multirun and OmegaConf.select(master, "hydra.mode") != RunMode.MULTIRUN:
            for override in parsed:
                if override.is_sweep_override():
                    given = str(override.input_line).partition("=")[2]
                    valid = "one value, [a,b] for a list, \"'a,b'\" for a text, or -m for a sweep"
                    raise ConfigError(override.key_or_group, given, valid)
            return master, [overrides]
        if master.hydra.sweeper._target_ != _BASIC_SWEEPER:
            return master, []
        params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
        for override in parsed if params else ():
            if override.key_or_group == "experiment" and override.is_sweep_override():
                given = str(override.input_line).partition("=")[2]
                raise ConfigError("experiment", given, "one preset a command, as each is a sweep of its own")
        task = parser.parse_overrides(params) + [o for o in parsed if not o.is_hydra_override()]
        if not 0 < (runs := math.prod(map(num_values, task))) <= _MOST_RUNS:
            given = " ".join(override.input_line or "" for override in task if override.is_sweep_override())
            raise ConfigError("command line", given, f"1 to {_MOST_RUNS} runs, not {runs}")
        batch = BasicSweeper.split_arguments(task, None)[0]
        return master, [list(master.hydra.overrides.hydra) + job for job in batch]

    return _explained(loader, first, split)


def _guarded(compose: Callable[[], DictConfig]) -> DictConfig:
    """What Hydra composes.

    Raises:
        HydraException, OmegaConfBaseException: where it cannot, also for a reason that it has no exception for.
    """
    try:
        return compose()
    except (HydraException, OmegaConfBaseException):
        raise
    except Exception as error:
        raise HydraException(_first_line(error)) from error


def _parse(loader: Loader, overrides: Sequence[str]) -> Job:
    cfg = _guarded(partial(loader.compose, overrides))
    from smile.config.parse import parse_resolved  # here: a wrong name is answered before jax is imported

    return Job(*parse_resolved(cfg))


@contextmanager
def _config_loader(extra: str | None) -> Iterator[Loader]:
    """The loader that Hydra will use, with the user's ``--config-dir`` in front."""
    version.setbase("1.3")
    search_path = create_config_search_path(str(conf_dir()))
    assert isinstance(search_path, ConfigSearchPathImpl)
    if extra is not None:
        if not Path(extra).is_dir():
            raise ConfigError("--config-dir", extra, "an existing folder")
        search_path.prepend(
            "command-line", f"file://{Path(extra).resolve()}", SearchPathQuery(provider="schema")
        )
    hydra_of_caller = GlobalHydra.instance().hydra  # such as a script's that composes from Python
    GlobalHydra.instance().clear()
    try:
        loader = Loader(search_path)
        GlobalHydra.instance().initialize(Hydra("smile", loader))
        yield loader
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().hydra = hydra_of_caller


# ---- from Hydra's exceptions to one line ---------------------------------------------------------


def _explained(loader: Loader, overrides: Sequence[str], action: Callable[[], Any]) -> Any:
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

"""Composes and checks every job of a command before the first one runs, and explains what is wrong in one line.

Hydra composes a sweep's jobs one after the other, so a typo in the last would be found after hours, as a traceback.

Hydra has no public way to compose what its sweeper would: ``hydra._internal`` may change with any minor release.
Therefore pyproject.toml holds hydra-core below 1.4; raising that means reading this module again.
"""

from __future__ import annotations

import argparse
import math
import sys
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
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from smile import __version__
from smile.composition import CONFIG_NAME, Loader, explained, guarded, without_hydra
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.overrides import check_basic, check_name, check_params, num_values, of_first_run, quote_functions
from smile.paths import conf_dir
from smile.sweep.frozen import Job

__all__ = [
    "Command",
    "choices_of",
    "compose",
    "compose_batch",
    "compose_command",
    "compose_jobs",
    "flags_first",
    "parse_arguments",
    "quote_functions",
]

_MOST_RUNS = 100_000
SEARCH = "smile.search.find"  # the sweeper that smile calls itself
_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class Command(NamedTuple):
    """What a command asks for.

    Attributes:
        jobs: one per run; none where another sweeper than Hydra's basic one chooses them as it goes along.
        sweeper: ``hydra.sweeper``, as the next.
        launcher: ``hydra.launcher``, without what its interpolations stand for.
        logging: ``hydra.job_logging``.
    """

    jobs: list[Job]
    sweeper: Any
    launcher: Any
    logging: DictConfig


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags and overrides, in any order.

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
    parsed, others = parser.parse_known_intermixed_args(list(arguments))
    if others:  # and what follows them
        fail(f"unrecognized arguments: {' '.join(word for word in others if word.startswith('-'))}")
    for flag in ("config_name", "config_path", "package"):
        if (given := getattr(parsed, flag)) is not None:
            valid = "nothing: there is one config.yaml; --config-dir adds a folder of choices of your own"
            raise ConfigError(f"--{flag.replace('_', '-')}", given, valid)
    return parsed


def flags_first(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """The same command with its overrides last, as Hydra itself reads no others after a flag."""
    flags = list(reversed(arguments))
    for override in overrides:
        flags.remove(override)
    return [*reversed(flags), *overrides]


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
            parsed = _overrides(loader, arguments.overrides)
            return guarded(partial(loader.compose, [of_first_run(loader, override) for override in parsed]))

        cfg = explained(loader, arguments.overrides, read)
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
        if batch is None:
            jobs = [explained(loader, arguments.overrides, partial(_parse, partial(without_hydra, master)))]
        else:
            jobs = _composed(loader, batch, len(master.hydra.overrides.hydra))
        for name in ("sweeper", "launcher"):
            if not isinstance(given := master.hydra[name], DictConfig):
                raise ConfigError(f"hydra.{name}", given, f"hydra/{name}=name, or one of its options")
        sweeper, launcher = map(OmegaConf.to_container, (master.hydra.sweeper, master.hydra.launcher))
        return Command(jobs, sweeper, launcher, master.hydra.job_logging)


def compose_batch(config_dir: str | None, batch: Sequence[list[str]], num_shared: int) -> list[Job]:
    """Runs by their overrides, for a sweeper that chooses them as it goes along.

    Args:
        config_dir: of the command, ``--config-dir``.
        batch: the overrides of each.
        num_shared: how many of them, the first ones, all runs share.

    Raises:
        ConfigError: in one line, what is wrong with the first wrong one.
    """
    with _config_loader(config_dir) as loader:
        return _composed(loader, batch, num_shared)


def _composed(loader: Loader, batch: Sequence[list[str]], num_shared: int) -> list[Job]:
    """Jobs; an error says of which run it is, without the overrides that all share."""
    jobs = []
    for number, overrides in enumerate(batch, 1):
        try:
            compose = partial(guarded, partial(loader.compose, overrides))
            jobs.append(explained(loader, overrides, partial(_parse, compose)))
        except ConfigError as error:
            if len(batch) > 1:
                values = " ".join(overrides[num_shared:])
                error.args = (f"{error} (run {number} of {len(batch)}: {values})",)
            raise
    return jobs


def _jobs(loader: Loader, overrides: list[str], multirun: bool) -> tuple[DictConfig, list[list[str]] | None]:
    """What the sweeper and the launcher read, and override lists, one per job; None: it is the one run itself."""

    def read() -> list[Override]:
        parsed = _overrides(loader, overrides)
        for override in parsed:
            check_name(loader, override)
        return parsed

    parsed = explained(loader, overrides, read)
    first = [of_first_run(loader, override) for override in parsed]

    def split() -> tuple[DictConfig, list[list[str]] | None]:
        load = partial(
            loader.load_configuration, CONFIG_NAME, first, RunMode.MULTIRUN, validate_sweep_overrides=False
        )
        try:
            master = guarded(load)
        except HydraException:
            check_params(parsed)  # which Hydra cannot add to a sweeper that has none
            raise
        if master.hydra.job.chdir:
            raise ConfigError("hydra.job.chdir", True, "false; results_dir= says where results go")
        sweeper = OmegaConf.select(master, "hydra.sweeper._target_")
        is_sweep = multirun or sweeper == SEARCH or OmegaConf.select(master, "hydra.mode") == RunMode.MULTIRUN
        if sweeper == _BASIC_SWEEPER:
            check_basic(parsed)
        if not is_sweep:
            for override in parsed:
                if override.is_sweep_override():
                    given = str(override.input_line).partition("=")[2]
                    valid = "one value, [a,b] for a list, \"'a,b'\" for a text, or -m for a sweep"
                    raise ConfigError(override.key_or_group, given, valid)
            return master, None
        if sweeper != _BASIC_SWEEPER:
            return master, []
        params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
        for override in parsed if params else ():
            if override.key_or_group == "experiment" and override.is_sweep_override():
                given = str(override.input_line).partition("=")[2]
                raise ConfigError("experiment", given, "one preset a command, as each is a sweep of its own")
        task = _overrides(loader, params) + [o for o in parsed if not o.is_hydra_override()]
        if not 0 < (runs := math.prod(map(num_values, task))) <= _MOST_RUNS:
            given = " ".join(override.input_line or "" for override in task if override.is_sweep_override())
            raise ConfigError("command line", given, f"1 to {_MOST_RUNS} runs, not {runs}")
        batch = BasicSweeper.split_arguments(task, None)[0]
        return master, [list(master.hydra.overrides.hydra) + job for job in batch]

    return explained(loader, first, split)


def _overrides(loader: Loader, given: list[str]) -> list[Override]:
    """What Hydra reads.

    Raises:
        HydraException: where its grammar knows nothing like it.
        ConfigError: where it has more digits than Python reads.
    """
    try:
        parsed: list[Override] = OverridesParser.create(config_loader=loader).parse_overrides(given)
    except ValueError:
        key, _, value = max(given, key=len).partition("=")
        raise ConfigError(key, f"{value[:20]}...", f"at most {sys.get_int_max_str_digits()} digits") from None
    return parsed


def _parse(compose: Callable[[], DictConfig]) -> Job:
    cfg = compose()
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

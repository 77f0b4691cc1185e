"""Overrides before Hydra reads them: what people mean by them, and what Hydra has a traceback for."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from smile.choices import config_folders
from smile.options import ConfigError
from smile.paths import conf_dir
from smile.quoting import in_quotes, quoted

__all__ = [
    "check_basic",
    "check_hydra",
    "check_name",
    "check_once",
    "num_values",
    "of_first_run",
    "quote_functions",
]

# Of Hydra's own options, those that do something where smile starts the runs itself.
_EFFECTIVE = ("launcher", "sweeper", "mode", "job_logging", "searchpath", "job.chdir", "help")


def quote_functions(arguments: Sequence[str]) -> list[str]:
    """Quotes what Hydra's grammar cannot read, see ``smile.quoting``; a name for an experiment becomes an option.

    Hydra takes ``experiment=name`` for one of ``conf/experiment``, which it is only with a plus.
    """
    return [_study(quoted(argument)) for argument in arguments]


def _study(argument: str) -> str:
    key, _, value = argument.partition("=")
    if key != "experiment":
        return argument
    presets = [
        file.stem for folder in (conf_dir(), *config_folders()) for file in folder.glob("experiment/*.yaml")
    ]
    names = value.split(",")
    if any(name in ("", "null") or difflib.get_close_matches(name, presets, 1) for name in names):
        return argument  # one of ours, which needs a plus, or no name
    return f"study={','.join(map(in_quotes, names))}"


def check_name(loader: ConfigLoaderImpl, override: Override) -> None:
    """Raises ConfigError where a group is given what is no name; Hydra has tracebacks for that."""
    key = override.key_or_group
    if not key:
        raise ConfigError("command line", override.input_line, "option=value")
    if override.is_delete() or not loader.repository.group_exists(key):
        return
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, int | float | dict) or one is None:
            raise ConfigError(
                key, one, loader.get_group_options(key) or "one of its options, such as hydra.launcher.n_jobs"
            )


def check_basic(overrides: Sequence[Override]) -> None:
    """Raises ConfigError for what Hydra's basic sweeper has no use for, or only a traceback."""
    check_params(overrides)
    for override in overrides:
        if override.is_interval_sweep():
            given = str(override.input_line).partition("=")[2]
            valid = "-m option=value,value for a sweep; hydra/sweeper=optuna searches an interval"
            raise ConfigError(override.key_or_group, given, valid)


def check_params(overrides: Sequence[Override]) -> None:
    """Raises ConfigError where ``hydra.sweeper.params`` is given, which only some sweepers have."""
    for override in overrides:
        if override.key_or_group.startswith("hydra.sweeper.params"):
            given = str(override.input_line).partition("=")[2]
            raise ConfigError(override.key_or_group, given, "-m option=value,value for a sweep")


def check_once(overrides: Sequence[str]) -> None:
    """Raises ConfigError where a command says an option twice, of which Hydra would take the last, or says nothing."""
    seen: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.strip().lstrip("+~")
        if not override.strip():
            raise ConfigError(
                "command line", override, "option=value; an argument is empty, a variable of the shell?"
            )
        if key in seen:
            raise ConfigError(key, f"{seen[key]} and {value}", "one value; -m and commas make a sweep")
        seen[key] = value


def check_hydra(overrides: Sequence[str]) -> None:
    """Raises ConfigError for options of Hydra's that do nothing where smile starts the runs itself."""
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.strip().lstrip("+~")
        if not key.startswith(("hydra.", "hydra/")):
            continue
        name = key[len("hydra.") :].split("@")[0]
        if not any(name == known or name.startswith((f"{known}.", f"{known}@")) for known in _EFFECTIVE):
            instead = {
                "verbose": "hydra.job_logging.root.level=DEBUG",
                "run.dir": "results_dir=<folder>",
                "sweep.dir": "results_dir=<folder>",
            }
            valid = f"{instead[name]}; it" if name in instead else "nothing; this"
            raise ConfigError(key, value, f"{valid} has no effect where smile starts the runs")


def of_first_run(loader: ConfigLoaderImpl, override: Override) -> str:
    """An override with the first value of a sweep over a group, as whose choices other overrides name options."""
    line = str(override.input_line)
    is_swept = isinstance(override.value(), ChoiceSweep) and loader.repository.group_exists(
        override.key_or_group
    )
    if not is_swept or override.is_hydra_override():
        return line
    runs: list[list[str]] = BasicSweeper.split_arguments([override], None)[0]
    return runs[0][0]


def num_values(override: Override) -> int:
    """How many values of a sweep an override has."""
    match override.value():
        case RangeSweep() as sweep:
            assert sweep.start is not None and sweep.stop is not None
            return max(0, math.ceil((sweep.stop - sweep.start) / sweep.step))
        case ChoiceSweep() as sweep:
            return len(sweep.list)
        case _:
            return 1

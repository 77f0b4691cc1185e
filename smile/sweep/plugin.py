"""What is left to Hydra: its help, a config, and the runs of a sweeper or a launcher of another package."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import conf_dir
from smile.sweep.attempt import attempt, run_dir
from smile.tracking import read_run
from smile.tracking.statistics import reached, summarise

__all__ = ["run_hydra"]

_logger = logging.getLogger(__name__)

_TRACEBACKS = "HYDRA_FULL_ERROR"


class _HydraError(ConfigError):
    """What went wrong in Hydra or in a plugin of it, in one line."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, " ".join(message.split()))


class _WrongRunError(BaseException):
    """A sweeper chose a run that is wrong; no ``Exception``, of which Hydra would print more than a line."""


def run_hydra(configs: Sequence[RunConfig]) -> None:
    """Does what Hydra makes of the arguments of the process.

    Args:
        configs: of all runs, as they were when the command started; none where a sweeper chooses them.

    Raises:
        ConfigError: where a run is wrong that a sweeper has chosen, or Hydra or a plugin fails. With
            ``HYDRA_FULL_ERROR=1`` what fails is raised as it is.
    """

    def task(cfg: DictConfig) -> float:
        job = HydraConfig.get().job
        number = 0 if OmegaConf.is_missing(job, "num") else job.num
        config = configs[number] if configs else _parse(cfg)
        outcome = attempt(config, config.label)
        if outcome.state == "failed":
            _logger.error("%s: %s", config.label, outcome.reason)
        return _objective(read_run(run_dir(config))) if outcome.state == "done" else math.nan

    with _one_line():
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()


@contextmanager
def _one_line() -> Iterator[None]:
    """Hydra itself would print a traceback and end the program."""
    given = os.environ.get(_TRACEBACKS)
    os.environ[_TRACEBACKS] = "1"
    try:
        yield
    except _WrongRunError as error:
        raise _HydraError(str(error)) from None
    except MissingConfigException as error:
        if given == "1":
            raise
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        raise ConfigError(group or "config", name, error.options or "a choice that there is") from None
    except Exception as error:
        if given == "1":
            raise
        lines = list(filter(None, str(error).splitlines()))[:2]
        said = f"{type(error).__name__}: {' '.join(lines)}"
        raise _HydraError(f"Hydra: {said}; {_TRACEBACKS}=1 shows where") from None
    finally:
        os.environ.pop(_TRACEBACKS)
        if given is not None:
            os.environ[_TRACEBACKS] = given


def _parse(cfg: DictConfig) -> RunConfig:
    """A run that a sweeper has chosen."""
    from smile.config.parse import parse  # here, because it imports jax

    try:
        return parse(cfg)
    except ConfigError as error:
        chosen = " ".join(HydraConfig.get().overrides.task)
        raise _WrongRunError(f"{error} (a run of the sweeper: {chosen})") from None


def _objective(metrics: Any) -> float:
    """What a sweeper minimises: the lowest mean bias over the step sizes, or minus the highest validation LPPD."""
    summary = summarise(metrics)
    found = reached(summary)
    if found is None or found.step_size is None:
        return math.nan
    metric, best = found
    return (-1 if metric.highest else 1) * float(summary.loc[(metric.chosen_by, best), "mean"])

"""``hydra/sweeper=optuna``: every run is chosen by what the runs before it reached.

Nothing is kept beside the runs. Optuna's samplers choose the same runs again where they have the same seed and are
told the same values, and a finished run is skipped: the same command goes through what is there and goes on after it.
"""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from smile import stop
from smile.config.identity import run_id
from smile.config.run import RunConfig
from smile.options import SEED, ConfigError, Options, UnknownOptionError, choice, integer, option
from smile.preflight import Command, compose_batch
from smile.quantities import METRICS, VALIDATION, Metric, metric
from smile.runs import progress
from smile.runs.lock import holder
from smile.sweep.attempt import is_done, run_dir
from smile.sweep.frozen import Job
from smile.sweep.launcher import Launcher
from smile.sweep.space import flat, probes, read_space
from smile.sweep.together import run_all
from smile.tracking import is_finished, read_run
from smile.tracking.small_table import shown
from smile.tracking.statistics import reached, summarise

__all__ = ["Search", "SearchOptions", "find"]

# What a search may go by, besides metrics of validation data: what no test row has a part in.
_WITHOUT_TEST_ROWS = [
    one.name
    for one in METRICS.values()
    if one.comparable and one.chosen_by == one.name and not one.name.startswith(("num_", VALIDATION))
]


def _objective(value: Any) -> Metric | None:
    if value is None or isinstance(value, Metric):
        return value
    try:
        found = metric(str(value))
    except ValueError:
        found = None
    if found is None or not _is_allowed(found.name):
        others = ", ".join(_WITHOUT_TEST_ROWS)
        raise ValueError(f"null, a metric of validation data such as validation_lppd, or one of {others}")
    return found


def _is_allowed(name: str) -> bool:
    return name in _WITHOUT_TEST_ROWS or name.startswith(VALIDATION)


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """``hydra.sweeper``, see conf/hydra/sweeper/optuna.yaml."""

    group: ClassVar[str] = "hydra.sweeper"
    n_trials: int = option(integer(1))
    objective: Metric | None = option(_objective)
    sampler: str = option(choice("tpe", "random"))
    seed: int = option(SEED)


class Trial(NamedTuple):
    """A run of a search.

    Attributes:
        job: the run.
        values: of the options that were searched, as texts.
        score: the objective, as text.
    """

    job: Job
    values: Mapping[str, str]
    score: str = ""


@dataclass
class Search:
    """One search.

    Attributes:
        options: of the sweeper.
        config_dir: the command's ``--config-dir``.
        shared: overrides of every run.
        space: what the other options are chosen from, by name.
        probes: runs with which every end of the space has been checked.
        by: what the runs are compared by; None: not known before the first run is finished.
        configs: the runs so far.
        best: the best of them, if any.
    """

    options: SearchOptions
    config_dir: str | None
    shared: list[str]
    space: Mapping[str, BaseDistribution]
    probes: list[Job]
    by: Metric | None = None
    configs: list[RunConfig] = field(default_factory=list)
    best: Trial | None = None
    _best_value: float = float("inf")

    def __str__(self) -> str:
        """For ``dry_run``."""
        space = [f"  {name}: {distribution}" for name, distribution in self.space.items()]
        return "\n".join([f"{self.options.n_trials} runs, chosen one after the other from", *space])

    def run(self, at_once: int, since: float) -> set[int]:
        """Chooses runs and computes those that are not finished.

        Args:
            at_once: how many are chosen, and computed, together.
            since: time of the command, by the clock of the file system.

        Returns:
            The numbers of the processes that computed.

        Raises:
            ConfigError: where the objective is none that runs record, or values do not go together.
            Preempted: where it was asked to stop.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study, pids = optuna.create_study(sampler=self._sampler()), set[int]()
        while (left := self.options.n_trials - len(self.configs)) > 0:
            if self.configs:
                stop.request_if_over()
                stop.check()
            asked = [study.ask(dict(self.space)) for _ in range(min(at_once, left))]
            trials = self.composed([trial.params for trial in asked])
            new = {run_dir(job.config): job for job, *_ in trials if not is_done(job.config)}
            self.configs += [trial.job.config for trial in trials]
            if new:
                with progress.watch(list(new)):
                    pids |= run_all(list(new.values()), at_once, since)[0]
            for suggestion, trial in zip(asked, trials, strict=True):
                if not is_finished(directory := run_dir(trial.job.config)) and holder(directory):
                    return pids  # another process is at it, which the end of the command says
                value = self._value(trial, suggestion.number + 1)
                if value is None:
                    study.tell(suggestion, state=TrialState.FAIL)
                elif math.isnan(value):  # worse than all others; of those that failed, Optuna learns nothing
                    study.tell(suggestion, state=TrialState.PRUNED)
                else:
                    study.tell(suggestion, value)
        return pids

    def report(self) -> None:
        """Prints the best values, and the command of their run."""
        if self.best is None or self.by is None:
            print(f"none of {len(self.configs)} runs has reached anything")
            return
        which = "highest" if self.by.highest else "lowest"
        run = f"run {run_id(self.best.job.config)}"
        print(f"best of {len(self.configs)} runs, {which} {self.by.name}: {self.best.score}, {run}")
        print("\n".join(f"  {name}={value}" for name, value in self.best.values.items()))
        values = [f"{name}={value}" for name, value in self.best.values.items()]
        shared = [text for text in self.shared if not text.startswith("hydra")]
        print(f"again: smile {shlex.join([*shared, *values])}", flush=True)

    def _sampler(self) -> optuna.samplers.BaseSampler:
        seed = self.options.seed
        if self.options.sampler == "random":
            return optuna.samplers.RandomSampler(seed)
        return optuna.samplers.TPESampler(seed=seed)

    def composed(self, points: Sequence[Mapping[str, Any]]) -> list[Trial]:
        """Runs with these values.

        Raises:
            ConfigError: where one is wrong.
        """
        values = [{name: str(value) for name, value in point.items()} for point in points]
        batch = [[*self.shared, *(f"{n}={v}" for n, v in of_one.items())] for of_one in values]
        return list(map(Trial, compose_batch(self.config_dir, batch, len(self.shared)), values))

    def _value(self, trial: Trial, number: int) -> float | None:
        """What a run has reached, the lower the better; NaN where nothing, None where it failed."""
        values = " ".join(f"{name}={_short(value)}" for name, value in trial.values.items())
        line = f"trial {number} of {self.options.n_trials}: {values}"
        if not is_finished(run_dir(trial.job.config)):
            print(f"{line}: failed", flush=True)
            return None
        summary = summarise(read_run(run_dir(trial.job.config)))
        found = reached(summary, self.options.objective)
        if found is None:
            known = filter(_is_allowed, sorted(set(summary.index.get_level_values("metric"))))
            given = self.options.objective and self.options.objective.name
            raise ConfigError("hydra.sweeper.objective", given, known)
        self.by = METRICS.get(found.metric.chosen_by, found.metric)
        if found.step_size is None:
            print(f"{line}: diverged", flush=True)
            return float("nan")
        row = summary.loc[(self.by.name, found.step_size)]
        value = (-1 if self.by.highest else 1) * float(row["mean"])
        trial = trial._replace(score=shown(self.by.name, row))
        is_best = value < self._best_value
        if is_best:
            self.best, self._best_value = trial, value
        print(f"{line}: {self.by.name} {trial.score}{', the best so far' if is_best else ''}", flush=True)
        return value


def find(flags: argparse.Namespace, command: Command, launcher: Launcher) -> Search:
    """The search that a command asks for.

    Args:
        flags: of the command line.
        command: without jobs.
        launcher: where its runs go.

    Raises:
        ConfigError: in one line, what is wrong with its options or its space.
    """
    if launcher.kind != "here":
        given = launcher.options.get("_target_")
        raise ConfigError("hydra/launcher", given, "basic or cores with a search, which waits for its runs")
    options = {name: value for name, value in command.sweeper.items() if name not in ("_target_", "params")}
    known = [one.name for one in fields(SearchOptions) if one.name not in ("name", "code")]
    if unknown := options.keys() - set(known):
        raise UnknownOptionError(f"hydra.sweeper.{min(unknown)}", [*known, "params"], "hydra/sweeper=optuna")
    shared, swept = _overrides(flags.overrides, flat(command.sweeper["params"] or {}))
    if not swept:
        valid = "an option to search, such as 'sampler.L=tag(log,interval(1,1000))'"
        raise ConfigError("hydra/sweeper", "optuna", valid)
    settings = SearchOptions(name="optuna", **options)
    search = Search(settings, flags.config_dir, shared, read_space(swept), [])
    names, points = zip(*probes(search.space), strict=True)
    search.probes = [job for job, *_ in search.composed(points)]
    ids = [run_id(job.config) for job in search.probes]
    for override in swept:
        name = override.get_key_element()
        if {of_one for of_one, of in zip(ids, names, strict=True) if of == name} <= {ids[0]}:
            given = str(override.input_line).partition("=")[2]
            raise ConfigError(name, given, "two values at least, with which a run has other numbers")
    if search.probes[0].config.distributed:
        raise ConfigError("distributed", True, "false with a search")
    return search


def _overrides(own: Sequence[str], params: Mapping[str, Any]) -> tuple[list[str], list[Override]]:
    """Those of every run, and those that say what a search chooses from; a command overrules a preset."""
    parser, found = OverridesParser.create(), dict[str, Override]()
    for name, value in params.items():
        try:
            found[name] = parser.parse_override(f"{name}={value}")
        except HydraException as error:
            valid = f"a value that Hydra can read; {str(error).splitlines()[0]}"
            raise ConfigError(f"hydra.sweeper.params.{name}", value, valid) from None
    found |= {override.key_or_group: override for override in parser.parse_overrides(list(own))}
    of_runs = [
        o for key, o in found.items() if not key.startswith(("hydra/sweeper", "hydra.sweeper", "hydra.mode"))
    ]
    swept = [override for override in of_runs if override.is_sweep_override()]
    return [str(override.input_line) for override in of_runs if override not in swept], swept


def _short(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value

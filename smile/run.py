"""The ``smile`` command: checks every run of a command before the first one starts, and runs, queues or skips them."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf

from smile import stop
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import conf_dir, experiment_dir
from smile.preflight import Command, compose_command, parse_arguments, quote_functions
from smile.sweep.attempt import Outcome, attempt, is_done, prepare_jax, reason_of, run_dir
from smile.sweep.frozen import Job, freeze
from smile.sweep.plan import make_plan, print_plan
from smile.sweep.report import failure_table
from smile.sweep.submit import SCRATCH_FOLDER, Launcher, submit
from smile.sweep.workers import supervise
from smile.tracking import console, is_finished, read_run, status
from smile.tracking.owner import this_process
from smile.tracking.statistics import best_step_size, criterion, summarise
from smile.tracking.status import Status
from smile.tracking.survey import survey

__all__ = ["main", "run_dir"]

_logger = logging.getLogger(__name__)

_CLOCK_TOLERANCE_SECONDS = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: overrides and flags; those of the process if None.

    Returns:
        The exit code: 0 all is done or queued, 1 a run failed, 2 the command is wrong, 130 interrupted, 143 asked to
        stop.
    """
    arguments = quote_functions(sys.argv[1:] if arguments is None else arguments)
    sys.argv = [sys.argv[0], *arguments]
    command = Command([], {}, OmegaConf.create())
    try:
        flags = parse_arguments(arguments)
        shows_help = flags.help or flags.hydra_help or flags.shell_completion or flags.info
        if not shows_help:
            command = compose_command(flags)
        if shows_help or flags.cfg is not None:
            _run_hydra(command)
            return 0
        configs = [job.config for job in command.jobs]
        if configs and configs[0].dry_run:
            print_plan(make_plan(configs, _at_once(command)))
            return 0
        _check_early(configs)
        _check_folders(configs)
        if command.jobs and (launcher := _queue(command)):
            return _submit(command.jobs, launcher)
    except ConfigError as error:
        print(f"smile: error: {error}", file=sys.stderr)
        return 2
    left = [job for job in command.jobs if not is_done(job.config)]
    if skipped := len(configs) - len(left):
        print(
            f"{skipped} of {len(configs)} runs are finished and skipped; force=true repeats them", flush=True
        )
    try:
        with stop.listening(), console.watch([run_dir(job.config) for job in left]):
            for job in left if len(left) > 1 else []:
                waiting = Status("queued", job.config.label, owner=this_process())
                status.write(run_dir(job.config), waiting)
            if len(left) > 1 and _at_once(command) > 1:
                configure_log(command.logging)
                supervise(freeze(command.jobs), _at_once(command))
            elif left or not configs:
                _run_hydra(command)
    except KeyboardInterrupt:
        print("\nsmile: interrupted; the same command resumes, finished runs are skipped", file=sys.stderr)
        return 130
    except stop.Preempted as request:
        print(f"smile: stopped by {request}; the same command resumes", file=sys.stderr)
        return 128 + signal.SIGTERM
    return _report(configs)


# ---- on this machine -----------------------------------------------------------------------------


def _run_hydra(command: Command) -> None:
    """One run after the other in this process, or whatever a plugin of Hydra does."""
    configs = [job.config for job in command.jobs]

    def task(cfg: DictConfig) -> float:
        job = HydraConfig.get().job
        number = 0 if OmegaConf.is_missing(job, "num") else job.num
        config = configs[number] if configs else _parse(cfg)  # as it was when the command started
        label = f"[{number + 1}/{len(configs)}] {config.label}" if len(configs) > 1 else config.label
        return _run(config, label, len(configs))

    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()


def _parse(cfg: DictConfig) -> RunConfig:
    from smile.config.parse import parse  # here, because it imports jax

    return parse(cfg)


def _run(config: RunConfig, label: str, num_runs: int) -> float:
    """One run.

    Returns:
        What sweepers that optimise minimise; NaN where the run failed or knows none.
    """
    was_done = is_done(config)
    outcome = Outcome("failed", "interrupted")
    try:
        outcome = attempt(config, label)
    finally:
        if num_runs > 1 and not was_done and not sys.stderr.isatty():  # on a terminal, console.watch says it
            ended_well = outcome.state == "done"
            _logger.info(
                "%s: %s", label, console.outcome(run_dir(config)) if ended_well else _explain(outcome)
            )
    if outcome.state == "failed" and num_runs < 2:
        _logger.error("%s", outcome.reason)
    return _objective(read_run(run_dir(config))) if outcome.state == "done" else math.nan


def _explain(outcome: Outcome) -> str:
    return f"failed: {outcome.reason}" if outcome.state == "failed" else outcome.reason


def _at_once(command: Command) -> int:
    """How many runs the launcher has going on at a time."""
    launcher = command.launcher or {}
    if "joblib" in (target := str(launcher.get("_target_"))):
        cores = len(os.sched_getaffinity(0))
        given = int(launcher["n_jobs"])
        return max(1, given if given > 0 else cores + 1 + given)  # -1: all cores, -2: all but one
    if queue := _queue(command):
        return queue.runs_per_job * (int(queue.options["array_parallelism"]) if "Slurm" in target else 1)
    return 1


# ---- elsewhere -----------------------------------------------------------------------------------


def _queue(command: Command) -> Launcher | None:
    """Where the launcher queues runs; None where it runs them."""
    target = str((command.launcher or {}).get("_target_"))
    if "submitit" not in target:
        return None
    return Launcher("slurm" if target.endswith("SlurmLauncher") else "local", command.launcher)


def _submit(jobs: Sequence[Job], launcher: Launcher) -> int:
    left = [job for job in jobs if not is_done(job.config)]
    folders = {run_dir(job.config).parents[1]: None for job in left}
    busy = {run.directory: run.state for folder in folders for run in survey(folder).of("queued", "running")}
    new = [job for job in left if run_dir(job.config) not in busy]
    print(
        f"{len(jobs)} runs: {len(jobs) - len(left)} finished, {len(left) - len(new)} already queued or running"
    )
    if not new:
        print("nothing to submit")
        return 0
    by_folder: dict[Path, list[Job]] = {}
    for job in new:
        by_folder.setdefault(run_dir(job.config).parents[1], []).append(job)
    for group in by_folder.values():
        name, submission = submit(group, launcher)
        where = f"Slurm job {name}" if launcher.cluster == "slurm" else f"process {name} in the background"
        print(
            f"submitted {len(group)} runs: {where}",
            f"frozen in {_shown(submission)}; logs in {_shown(submission / SCRATCH_FOLDER)}",
            sep="\n",
        )
        print(f"follow them with: smile-status {_experiment(group[0].config)}", flush=True)
    return 0


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _experiment(config: RunConfig) -> str:
    results = "" if config.results_dir == "results" else f" --results {config.results_dir}"
    return f"{config.experiment} --scale {config.scale}{results}"


# ---- before and after ----------------------------------------------------------------------------


def _check_folders(configs: Sequence[RunConfig]) -> None:
    """Results can be written, and the clock of their file system is about ours."""
    for folder in dict.fromkeys(run_dir(config).parent for config in configs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe.", suffix=".tmp") as file:
                file.write(b"room?")
                file.flush()
                skew = os.fstat(file.fileno()).st_mtime - time.time()
        except OSError as error:
            raise ConfigError(
                "results_dir", str(folder), f"a folder that can be written; {reason_of(error)}"
            ) from None
        if abs(skew) > _CLOCK_TOLERANCE_SECONDS:
            print(
                f"smile: the clocks of this machine and of {folder} differ by {abs(skew):.0f} s; dates will be off",
                file=sys.stderr,
            )


def _check_early(configs: Sequence[RunConfig]) -> None:
    """Builds every target with its noise, and every network with its data, once: what is wrong stops the command."""
    problems: dict[Any, dict[Any, RunConfig]] = {}
    for config in configs:
        if not is_done(config):
            problem = (config.data, config.model, config.target, config.noise)
            problems.setdefault(problem, {})[config.sampler] = config
    for by_sampler in problems.values():
        config = next(iter(by_sampler.values()))
        prepare_jax(config)
        from smile.execute.problem import (
            check_sampler,
            exact_target,
            make_network,
            make_target,
            subsampling_of,
        )
        from smile.targets import AnalyticTarget

        if chosen := config.network:
            posterior = make_network(chosen, config.seed).posterior
            for config in by_sampler.values():
                check_sampler(config, subsampling_of(chosen.target, posterior))
        elif isinstance(config.target, AnalyticTarget):
            try:
                config.noise.check(exact_target(config.target))
            except ValueError as error:
                factory = config.target.factory
                where = ("target.factory", factory) if factory else ("target", config.target.name)
                raise ConfigError(*where, f"a target that can be sampled; {error}") from None
            for config in by_sampler.values():
                check_sampler(config, make_target(config).subsampling)


def _objective(metrics: Any) -> float:
    """What a sweeper minimises: the lowest mean bias over the step sizes, or minus the highest validation LPPD."""
    summary = summarise(metrics)
    rule = criterion(summary.index.get_level_values("metric"))
    best = best_step_size(summary.loc[rule.chosen_by], rule.highest) if rule else None
    if rule is None or best is None:
        return math.nan
    return (-1 if rule.highest else 1) * float(summary.loc[(rule.chosen_by, best), "mean"])


def _report(configs: Sequence[RunConfig]) -> int:
    """Shows the numbers of a single run, lists the runs without results, and returns the exit code."""
    failed = [c for c in configs if not is_finished(run_dir(c)) or _has_failed(c)]
    if failed:
        print(f"\n{len(failed)} of {len(configs)} runs failed or are not finished:", file=sys.stderr)
        failure_table(failed)
    if len(configs) == 1 and not failed:
        console.summary_table(read_run(run_dir(configs[0])))
    for experiment in dict.fromkeys(experiment_dir(c.results_dir, c.experiment, c.scale) for c in configs):
        print(f"results: {experiment}", flush=True)
    return 1 if failed else 0


def _has_failed(config: RunConfig) -> bool:
    last = status.read(run_dir(config))
    return last is not None and last.state == "failed"

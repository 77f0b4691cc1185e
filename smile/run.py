"""The ``smile`` command: checks every job of a command, hands over to Hydra, and runs, skips or reports each job."""

from __future__ import annotations

import logging
import math
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from smile.config import ConfigError, RunConfig, parse, run_id
from smile.paths import conf_dir, experiment_dir
from smile.preflight import compose_jobs, parse_arguments, quote_functions
from smile.tracking import console, is_finished, read_metrics_file, write_text_atomic
from smile.tracking.console import FAILURE_FILE
from smile.tracking.parquet import METRICS_FILE
from smile.tracking.statistics import best_step_size, criterion, summarise

__all__ = ["main", "run_dir"]

_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: overrides and flags; those of the process if None.

    Returns:
        The exit code: 0 all is done, 1 a run failed, 2 the command is wrong, 130 interrupted.
    """
    arguments = quote_functions(sys.argv[1:] if arguments is None else arguments)
    sys.argv = [sys.argv[0], *arguments]
    try:
        flags = parse_arguments(arguments)
        shows_help = flags.help or flags.hydra_help or flags.shell_completion or flags.info
        jobs = [] if shows_help else compose_jobs(flags)
        if flags.cfg is None:
            _check_early(jobs)
    except ConfigError as error:
        print(f"smile: error: {error}", file=sys.stderr)
        return 2

    def task(cfg: DictConfig) -> float:
        return _run_job(cfg, len(jobs))

    command = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)
    if shows_help or flags.cfg is not None:
        command()
        return 0
    directories = [run_dir(job) for job in jobs if not _is_done(job)]
    if skipped := len(jobs) - len(directories):
        print(f"{skipped} of {len(jobs)} runs are finished and skipped; force=true repeats them", flush=True)
    try:
        with console.watch(directories):
            command()
    except KeyboardInterrupt:
        print("\nsmile: interrupted; the same command resumes, finished runs are skipped", file=sys.stderr)
        return 130
    return _report(jobs)


def run_dir(config: RunConfig) -> Path:
    """Where the results of a run lie."""
    return experiment_dir(config.results_dir, config.experiment, config.scale) / "runs" / run_id(config)


def _run_job(cfg: DictConfig, num_jobs: int) -> float:
    """One job of a sweep.

    Returns:
        What sweepers that optimise minimise; NaN where the run failed or knows none.
    """
    config = parse(cfg)
    directory = run_dir(config)
    if _is_done(config):
        return _objective(read_metrics_file(directory / METRICS_FILE))
    label = _counter(num_jobs) + config.label
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in (FAILURE_FILE, ".*.tmp"):  # of a run that failed or was killed
        for file in directory.glob(leftover):
            file.unlink()
    try:
        _prepare_jax(config)
        from smile.execute import execute  # here, because it imports jax

        return _objective(execute(config, directory, label=label))
    except Exception as error:
        write_text_atomic(directory / FAILURE_FILE, f"{_reason(error)}\n\n{traceback.format_exc()}")
        return math.nan
    finally:
        if num_jobs > 1 and not sys.stderr.isatty():  # on a terminal, console.watch says it
            _logger.info("%s: %s", label, console.outcome(directory))


def _is_done(config: RunConfig) -> bool:
    return is_finished(run_dir(config)) and not config.force


def _counter(num_jobs: int) -> str:
    job = HydraConfig.get().job
    return "" if num_jobs < 2 or OmegaConf.is_missing(job, "num") else f"[{job.num + 1}/{num_jobs}] "


def _prepare_jax(config: RunConfig) -> None:
    """Sets what JAX reads once, at its first computation: devices and threads; then the precision."""
    cores = len(os.sched_getaffinity(0))
    if _shares_machine():
        # One core for each of the parallel runs, and no run may reserve the memory of a whole accelerator.
        cores = 1
        os.environ.setdefault("NPROC", "1")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        count = cores if config.devices == "auto" else config.devices
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={count}".strip()
    import jax

    jax.config.update("jax_enable_x64", config.precision == "float64")


def _shares_machine() -> bool:
    """Whether a launcher runs several jobs of this sweep on this machine at once."""
    if not HydraConfig.initialized():
        return False
    launcher = HydraConfig.get().launcher
    return "joblib" in launcher._target_ and launcher.n_jobs != 1


def _check_early(jobs: Sequence[RunConfig]) -> None:
    """Builds users' targets and every network with its data once, so that what is wrong with them stops the command."""
    for config in {getattr(job.target, "factory", ""): job for job in jobs}.values():
        if factory := getattr(config.target, "factory", ""):
            _prepare_jax(config)
            from smile.targets import custom

            try:
                custom(factory)
            except ValueError as error:
                raise ConfigError(
                    "target.factory", factory, f"a function that returns a Target; {error}"
                ) from None
    networks = {(job.data, job.model, job.target): job for job in jobs if job.model and not _is_done(job)}
    for config in networks.values():
        _prepare_jax(config)
        from smile.build import make_network

        make_network(config)


def _objective(metrics: Any) -> float:
    """What a sweeper minimises: the lowest mean bias over the step sizes, or minus the highest validation LPPD."""
    summary = summarise(metrics)
    rule = criterion(summary.index.get_level_values("metric"))
    best = best_step_size(summary.loc[rule.chosen_by], rule.highest) if rule else None
    if rule is None or best is None:
        return math.nan
    return (-1 if rule.highest else 1) * float(summary.loc[(rule.chosen_by, best), "mean"])


def _report(jobs: Sequence[RunConfig]) -> int:
    """Shows the numbers of a single run, lists the runs without results, and returns the exit code."""
    failed = [config for config in jobs if not is_finished(run_dir(config))]
    failed += [c for c in jobs if c not in failed and (run_dir(c) / FAILURE_FILE).exists()]
    if failed:
        print(f"\n{len(failed)} of {len(jobs)} runs failed:", file=sys.stderr)
    for config in failed:
        path = run_dir(config) / FAILURE_FILE
        reason = path.read_text().splitlines()[0] if path.exists() else "did not finish"
        print(f"  {config.label:<40} {reason}  ({path})", file=sys.stderr)
    if len(jobs) == 1 and not failed:
        console.summary_table(read_metrics_file(run_dir(jobs[0]) / METRICS_FILE))
    for experiment in dict.fromkeys(experiment_dir(c.results_dir, c.experiment, c.scale) for c in jobs):
        print(f"results: {experiment}", flush=True)
    return 1 if failed else 0


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

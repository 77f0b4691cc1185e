"""The ``smile`` command: checks every run of a command before the first one starts, and runs, queues or skips them."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf

from smile import stop
from smile.arguments import command_line
from smile.checksum import DamagedError
from smile.config.run import RunConfig
from smile.extras import need
from smile.manual import manual
from smile.options import ConfigError
from smile.overrides import check_hydra, check_once
from smile.preflight import (
    SEARCH,
    Command,
    choices_of,
    compose_command,
    flags_first,
    parse_arguments,
    quote_functions,
)
from smile.runs import progress
from smile.runs.owner import file_system_time
from smile.runs.survey import survey
from smile.sweep import background
from smile.sweep.attempt import is_done, run_dir, tidy
from smile.sweep.changed import changed_since
from smile.sweep.early import absent, check_data, check_early, check_folders, check_paths, own_devices
from smile.sweep.frozen import Job
from smile.sweep.launcher import Launcher, find_launcher
from smile.sweep.plan import make_plan, print_plan
from smile.sweep.plugin import run_hydra
from smile.sweep.report import report
from smile.sweep.submit import SCRATCH_FOLDER, submit
from smile.sweep.together import run_all
from smile.sweep.workers import OUT_OF_TIME
from smile.tracking.seal import UnreadableError

if TYPE_CHECKING:
    from smile.search import Search

__all__ = ["main", "run_dir"]

_logger = logging.getLogger(__name__)


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: overrides and flags; those of the process if None.

    Returns:
        The exit code: 0 all is done or queued, 1 a run failed, 2 the command is wrong, 3 another process is at the run,
        4 the time of ``max_minutes`` has ended, 130 interrupted, 143 asked to stop.
    """
    began = time.monotonic()
    arguments = quote_functions(sys.argv[1:] if arguments is None else arguments)
    sys.argv = [sys.argv[0], *arguments]
    command, search = Command([], {}, {}, OmegaConf.create()), None
    try:
        flags = parse_arguments(arguments)
        sys.argv[1:] = flags_first(arguments, flags.overrides)
        if flags.experimental_rerun:
            raise ConfigError(
                "--experimental-rerun", flags.experimental_rerun, "nothing: a pickle executes what is in it"
            )
        if flags.help:
            print(manual(choices_of(flags)))
            return 0
        shows_help = flags.hydra_help or flags.shell_completion or flags.info
        check_once(flags.overrides)
        if not shows_help:
            command = compose_command(flags)
        if shows_help or flags.cfg is not None:
            run_hydra([job.config for job in command.jobs])
            return 0
        launcher = find_launcher(command.launcher)
        if command.sweeper["_target_"] == SEARCH:
            search = _search(flags, command, launcher)
        configs = [job.config for job in (search.probes if search else command.jobs)]
        if configs and launcher.kind != "plugin":
            check_hydra(flags.overrides)
        check_paths(configs)
        if configs and configs[0].dry_run:
            if launcher.kind != "plugin":
                _configure_logging(command.logging)
            check_data(configs)
            with own_devices():
                check_early([config for config in configs if config.data is None or config.data.is_at_hand])
            if search:
                print(search)
            else:
                print_plan(make_plan(configs, launcher.at_once))
            return 0
        without = absent(configs)
        with own_devices():
            check_early(configs, computes_here=launcher.kind != "slurm")
        check_folders(configs)
        for line in (*changed_since(configs), *without):
            print(line, flush=True)
        for config in configs:
            tidy(config)
        if configs and launcher.kind in ("background", "slurm"):
            if launcher.kind == "slurm" and configs[0].max_minutes is not None:
                valid = "null with Slurm, where hydra.launcher.timeout_min says it"
                raise ConfigError("max_minutes", configs[0].max_minutes, valid)
            return _submit(command.jobs, launcher)
        if not configs and launcher.is_ours:
            given = launcher.options["_target_"]
            raise ConfigError(
                "hydra/launcher", given, "basic with a sweeper that chooses its runs as it goes along"
            )
        since = file_system_time(run_dir(configs[0]).parent) if configs else 0.0
        end = _end(configs, began)
        left = [config for config in configs if not is_done(config)]
        if configs and left and launcher.kind != "plugin":
            _configure_logging(command.logging)
        if search:
            configs, left = search.configs, []  # which grow
    except (ConfigError, UnreadableError) as error:
        print(f"smile: error: {error}", file=sys.stderr)
        return 2
    if skipped := len(configs) - len(left):
        print(
            f"{skipped} of {len(configs)} runs are finished and skipped; force=true repeats them", flush=True
        )
    pids: set[int] | None = None
    try:
        with (
            stop.limited(end),
            stop.listening(),
            progress.watch([run_dir(config) for config in left]) if left else nullcontext(),
        ):
            if search:
                pids = search.run(launcher.at_once, since)
            elif not configs or launcher.kind == "plugin":
                run_hydra(configs)
            elif left:
                pids, outcomes = run_all(command.jobs, launcher.at_once, since)
                if any(outcome.state == "followed" for outcome in outcomes):
                    return 0  # the first host of the run answers for all of them
    except KeyboardInterrupt:
        print("\nsmile: interrupted; the same command resumes, finished runs are skipped", file=sys.stderr)
        return 130
    except stop.Preempted as request:
        if str(request) == stop.OUT_OF_TIME:
            done = sum(is_done(config) for config in configs)
            progress_so_far = f"{done} of {len(configs)} runs are finished"
            print(
                f"smile: stopped at {request}; {progress_so_far}; the same command goes on", file=sys.stderr
            )
            return OUT_OF_TIME
        print(f"smile: stopped by {request}; the same command resumes", file=sys.stderr)
        return 128 + signal.SIGTERM
    except (
        ConfigError,
        DamagedError,
        UnreadableError,
    ) as error:  # files that changed since the command began
        print(f"smile: error: {error}", file=sys.stderr)
        return 2
    code = report(configs, since, pids, search.by if search else None)
    if search:
        search.report()
    return code


# ---- elsewhere -----------------------------------------------------------------------------------


def _search(flags: argparse.Namespace, command: Command, launcher: Launcher) -> Search:
    need("optuna", "hydra/sweeper=optuna")
    from smile.search import find  # here, because it imports optuna

    return find(flags, command, launcher)


def _configure_logging(logging: DictConfig) -> None:
    """Raises ConfigError where ``hydra.job_logging`` is nothing that Python's logging understands."""
    try:
        configure_log(logging)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError, OSError) as error:
        given = f"{error.__cause__ or error}"
        raise ConfigError("hydra.job_logging", given, "what logging.config.dictConfig understands") from None


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
        if launcher.kind == "slurm":
            name, submission = submit(group, launcher)
            where, logs = f"Slurm job {name}", submission / SCRATCH_FOLDER
        else:
            pid, submission = background.start(group, launcher.at_once)
            where, logs = f"process {pid} in the background", submission / background.LOG_FILE
        print(
            f"submitted {len(group)} runs: {where}",
            f"frozen in {_shown(submission)}; logs in {_shown(logs)}",
            sep="\n",
        )
        print(f"follow them with: smile-status {_experiment(group[0].config)}", flush=True)
    return 0


def _end(configs: Sequence[RunConfig], began: float) -> float:
    """Of the command's slice of time, by ``time.monotonic``."""
    minutes = configs[0].max_minutes if configs else None
    return math.inf if minutes is None else began + 60 * minutes


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _experiment(config: RunConfig) -> str:
    results = "" if config.results_dir == "results" else f" --results {config.results_dir}"
    return f"{config.experiment} --scale {config.scale}{results}"

"""How a command ended, for people and as an exit code."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence, Set

from rich import box
from rich.table import Table

from smile.config.run import RunConfig
from smile.paths import experiment_dir
from smile.quantities import Metric
from smile.runs import status
from smile.runs.lock import holder
from smile.runs.owner import Owner, same_machine
from smile.runs.status import FAILURE_FILE
from smile.sweep.attempt import run_dir
from smile.sweep.together import who
from smile.tables.compare import SHORT, compare, read_records
from smile.tracking import is_finished, read_run
from smile.tracking.console import summary_table, wide_console

__all__ = ["TAKEN", "report"]

TAKEN = 3  # exit code where another process is at a run
_LOG_WIDTH = 160
_MOST_ROWS, _MOST_COMPARED = 20, 200  # of a comparison at the end of a sweep; reading a run takes 10 ms


def report(
    configs: Sequence[RunConfig], since: float, pids: Set[int] | None, by: Metric | None = None
) -> int:
    """Shows the numbers of a single run, and lists the runs without results and those that others are at or did.

    Args:
        configs: of all runs of the command.
        since: time of the command, by the clock of the file system.
        pids: the processes of the command that computed; None where only a plugin knows.
        by: what says which run is the best; None: what ``smile-compare`` goes by.

    Returns:
        The exit code.
    """
    open_runs = [config for config in configs if not _has_ended_well(config, since)]
    owners = [_holder(config) for config in open_runs]
    failed = [config for config, owner in zip(open_runs, owners, strict=True) if owner is None]
    if failed:
        print(f"\n{len(failed)} of {len(configs)} runs failed or are not finished:", file=sys.stderr)
        _print_failures(failed)
    for config, owner in zip(open_runs, owners, strict=True):
        if owner is not None:
            print(f"smile: {config.label}: {who(run_dir(config), owner)} is at this run", file=sys.stderr)
    if len(configs) == 1 and not open_runs:
        summary_table(read_run(run_dir(configs[0])))
    elif len(configs) > 1:
        _print_comparison(configs, by)
    if pids is not None:
        _print_helpers(configs, since, pids)
    for experiment in dict.fromkeys(experiment_dir(c.results_dir, c.experiment, c.scale) for c in configs):
        print(f"results: {experiment}", flush=True)
    return 1 if failed else TAKEN if open_runs else 0


def _print_comparison(configs: Sequence[RunConfig], by: Metric | None) -> None:
    """What the runs of a sweep reached, in short."""
    done = [run_dir(config) for config in configs if is_finished(run_dir(config))]
    command = (
        f"smile-compare {experiment_dir(configs[0].results_dir, configs[0].experiment, configs[0].scale)}"
    )
    if len(done) > _MOST_COMPARED:
        print(f"{len(done)} runs: {command}")
    elif done:
        found = compare(read_records(done), by=by)
        names = [name for name in found.metrics if name in SHORT]
        short = found._replace(metrics=list(dict.fromkeys([*([by.name] if by else []), *names])))
        for line in short.markdown(_MOST_ROWS):
            print(line)
        print(f"{len(found.entries)} rows, all metrics: {command}")


def _has_ended_well(config: RunConfig, since: float) -> bool:
    directory = run_dir(config)
    last = status.read(directory)
    if not is_finished(directory):
        return False
    if config.force and (last is None or last.started < since):
        return False  # what is there is what was to be repeated
    return last is None or last.state != "failed" or status.has_results(directory, last)


def _holder(config: RunConfig) -> Owner | None:
    try:
        return holder(run_dir(config))
    except OSError:  # what lies there is no lock; the attempt has said so
        return None


def _print_helpers(configs: Sequence[RunConfig], since: float, pids: Set[int]) -> None:
    """Which processes of other commands did some of the runs meanwhile."""
    found = Counter[Owner]()
    for config in configs:
        last = status.read(run_dir(config))
        if last and last.state == "done" and last.started + last.seconds >= since:
            found[last.owner] += 1
    others = {o: number for o, number in found.items() if not (same_machine(o) and o.pid in pids)}
    if others:
        shown = ", ".join(f"{owner.pid} on {owner.host} ({number})" for owner, number in others.items())
        print(f"{sum(others.values())} of {len(configs)} runs were computed by other processes: {shown}")


def _print_failures(configs: Iterable[RunConfig]) -> None:
    table = Table("run", "id", "state", "reason", "traceback", box=box.SIMPLE_HEAD)
    table.columns[3].overflow = "fold"
    for config in configs:
        directory = run_dir(config)
        last = status.read(directory)
        file = directory / FAILURE_FILE
        state, reason = (last.state, last.reason) if last else ("unknown", "see the messages above")
        if last and last.state == "running":
            state, reason = "unfinished", f"process {last.owner.pid} on {last.owner.host} was at it"
        table.add_row(config.label, directory.name, state, reason, str(file) if file.exists() else "")
    wide_console(_LOG_WIDTH, stderr=True).print(table, highlight=False, markup=False)

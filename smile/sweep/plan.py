"""What a sweep would do and cost, from what runs like its own took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.table import Table

from smile.config.identity import run_id
from smile.config.run import RunConfig
from smile.paths import SCALES, experiment_dir
from smile.sweep.attempt import is_done
from smile.tracking.console import format_seconds, wide_console
from smile.tracking.parquet import read_table

__all__ = ["Plan", "make_plan", "print_plan"]

_COLUMNS = ("run_id", "target", "data", "noise", "sampler", "tuner", "step_size", "replication", "num_steps",
            "wall_seconds")  # fmt: skip


class Plan(NamedTuple):
    """The runs of a command.

    Attributes:
        runs: config, whether it is done, and its estimated seconds, None where nothing like it has run.
        at_once: how many go on at a time.
        is_bound: whether only runs of scale=smoke have told, whose time is that of the compiler.
    """

    runs: list[tuple[RunConfig, bool, float | None]]
    at_once: int
    is_bound: bool = False

    @property
    def seconds(self) -> float:
        """Of all runs to do whose cost is known, added up."""
        return sum(seconds or 0.0 for _, done, seconds in self.runs if not done)


def make_plan(configs: Sequence[RunConfig], at_once: int) -> Plan:
    """Looks up what is done and estimates the rest."""
    rates: dict[tuple[str, str], _Rates] = {}
    runs, is_bound = [], False
    for config in configs:
        key = (config.results_dir, config.experiment)
        if key not in rates:
            rates[key] = _rates(*key)
        rate = rates[key].of.get(_kind(config), rates[key].of.get(()))
        runs.append((config, done := is_done(config), None if rate is None else rate * _work(config)))
        is_bound |= not done and rates[key].scale == "smoke" != config.scale
    return Plan(runs, max(1, at_once), is_bound)


def print_plan(plan: Plan) -> None:
    """Shows the runs, and what is left to do."""
    table = Table("run", "id", "state", "estimate", box=box.SIMPLE_HEAD)
    for config, done, seconds in plan.runs:
        estimate = "" if done else "unknown" if seconds is None else format_seconds(seconds)
        state = "done" if done else "again" if config.force else "to do"
        table.add_row(config.label, run_id(config), state, estimate, style="dim" if done else None)
    wide_console().print(table)
    left = [seconds for _, done, seconds in plan.runs if not done]
    print(f"{len(plan.runs)} runs: {len(plan.runs) - len(left)} done, {len(left)} to do")
    if known := [seconds for seconds in left if seconds is not None]:
        more = f", and {len(left) - len(known)} of unknown cost" if len(known) < len(left) else ""
        at_once = min(plan.at_once, len(left))
        wall = max(max(known), plan.seconds / at_once)
        about = "at most" if plan.is_bound else "about"
        print(
            f"{about} {format_seconds(plan.seconds)} of computing{more}; {at_once} at once: {format_seconds(wall)}"
        )
        if plan.is_bound:
            print(
                "a bound: runs of scale=smoke are mostly compiling; those of scale=quick tell what a step costs"
            )
    elif left:
        print("cost unknown: nothing of this experiment has run yet; scale=smoke takes seconds and tells")
    print("dry run: nothing was started")


class _Rates(NamedTuple):
    """Seconds per step of a chain by kind of run, and of all kinds under (); and the scale of which they are."""

    of: Mapping[tuple[str, ...], float]
    scale: str = ""


def _rates(results_dir: str, experiment: str) -> _Rates:
    """Of the largest scale that has any."""
    for scale in SCALES:  # the larger, the less its time is that of the compiler
        table = read_table(experiment_dir(Path(results_dir), experiment, scale), _COLUMNS)
        if table is None:
            continue
        frame = table.to_pandas().query("num_steps > 0")  # a deep ensemble makes none
        if frame.empty:
            continue
        runs = frame.groupby(["run_id", *_COLUMNS[1:6]]).agg(
            chains=("replication", "nunique"), sizes=("step_size", "nunique"),
            steps=("num_steps", "max"), seconds=("wall_seconds", "max"),
        )  # fmt: skip
        runs["rate"] = runs["seconds"] / (runs["chains"] * runs["sizes"] * runs["steps"])
        return _Rates(_by_kind(runs), scale)
    return _Rates({})


def _by_kind(runs: pd.DataFrame) -> dict[tuple[str, ...], float]:
    kinds = runs.reset_index().groupby(list(_COLUMNS[1:6]))["rate"].median()
    return {**kinds.to_dict(), (): median(runs["rate"])}


def _kind(config: RunConfig) -> tuple[str, ...]:
    data = config.data.name if config.data else "none"
    return (config.target.name, data, config.noise.name, config.sampler.name, config.tuner.name)


def _work(config: RunConfig) -> int:
    # On networks the measurement is repeated by seeds, and chains are members of one ensemble.
    chains = 1 if config.model else config.replications
    return chains * max(1, len(config.step_size)) * config.num_steps

"""Runs side by side: the options in which they differ, and what each has reached at its best step size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from smile.checksum import DamagedError
from smile.quantities import METRICS, Metric, metric
from smile.runs.compact import read_configs
from smile.tables.layout import MISSING
from smile.tables.markdown import markdown_row
from smile.tracking.config_file import CONFIG_FILE, read_config
from smile.tracking.parquet import METRICS_FILE, read_metrics, read_run
from smile.tracking.small_table import shown
from smile.tracking.statistics import has_mixed, reached, summarise

__all__ = ["SHORT", "Comparison", "Record", "compare", "read_records"]

# What the end of a sweep shows, where it is known.
SHORT = ("bias", "wasserstein", "lppd", "lppd_gain", "rmse", "accuracy", "rhat_max")

# Columns of the metrics that stand in for options where a run has no config, as the deep ensemble of a sweep.
_COLUMNS = ("experiment", "scale", "variant", "target", "data", "model", "noise", "sampler", "tuner", "seed")
_GROUPS = (
    "experiment",
    "scale",
    "variant",
    "target",
    "data",
    "model",
    "warm_start",
    "noise",
    "sampler",
    "tuner",
)
_PROBLEM = ("target", "data", "noise")  # of different ones no run is the best
_NO_NUMBERS = ("tracker", "force", "dry_run", "devices", "distributed", "results_dir")
_FEW = 3  # step sizes that are listed


class Record(NamedTuple):
    """A finished run.

    Attributes:
        run_id: its id.
        options: by name, ``sampler`` and ``sampler.L`` among them.
        rows: its metrics.
    """

    run_id: str
    options: Mapping[str, Any]
    rows: pd.DataFrame


class Entry(NamedTuple):
    """A run at one step size.

    Attributes:
        record: the run.
        step_size: of its chains; None: they diverged at every one.
        values: metric -> mean, error and counts, see ``summarise``.
        has_mixed: whether R-hat and effective sample size are fine.
    """

    record: Record
    step_size: float | None
    values: Mapping[str, pd.Series]
    has_mixed: bool


class Comparison(NamedTuple):
    """A table.

    Attributes:
        options: names of those that differ.
        metrics: names.
        entries: its rows.
        best: number of the best one, by the metric that chooses step sizes; None where no run is.
    """

    options: Sequence[str]
    metrics: Sequence[str]
    entries: Sequence[Entry]
    best: int | None

    def markdown(self, most: int | None = None) -> list[str]:
        """Lines of a Markdown table; at most so many rows, the best one among them."""
        names = [metric(name).heading or name for name in self.metrics]
        numbers = list(range(len(self.entries)))
        if most is not None and len(numbers) > most:
            numbers = sorted({*numbers[: most - (self.best is not None)], *_none_or(self.best)})
        table = [["run", *self.options, "step size", *names]]
        for number in numbers:
            entry = self.entries[number]
            size = "diverged" if entry.step_size is None else f"{entry.step_size:.3g}"
            remarks = [*([] if entry.has_mixed else ["†"]), *(["← best"] if number == self.best else [])]
            options = [_option_text(entry.record.options.get(name, "")) for name in self.options]
            values = [shown(n, entry.values[n]) if n in entry.values else MISSING for n in self.metrics]
            table.append([entry.record.run_id, *options, " ".join([size, *remarks]), *values])
        widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
        lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in table]
        return [markdown_row(row) for row in (lines[0], ["-" * width for width in widths], *lines[1:])]

    def csv(self) -> str:
        """All numbers: a row for each run, columns of options, step size, and every metric with its error."""
        return pd.DataFrame([self._csv_row(entry) for entry in self.entries]).to_csv(index=False)

    def _csv_row(self, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {"run_id": entry.record.run_id}
        row |= {name: _option_text(entry.record.options.get(name, "")) for name in self.options}
        row |= {"step_size": entry.step_size, "has_mixed": entry.has_mixed}
        for name in self.metrics:
            found = entry.values.get(name)
            row |= {name: None if found is None else found["mean"]}
            row |= {f"{name}_error": None if found is None else found["error"]}
        return row


def read_records(run_dirs: Iterable[Path]) -> list[Record]:
    """Runs from their folders, or from where they have been merged.

    Raises:
        FileNotFoundError: where one is not finished.
        ValueError: where a file cannot be read.
    """
    merged: dict[Path, dict[str, pd.DataFrame]] = {}
    configs: dict[Path, dict[str, str]] = {}
    records = []
    for run_dir in run_dirs:
        top = run_dir.parents[1]
        if (run_dir / METRICS_FILE).exists():
            rows = read_run(run_dir)
        else:  # those that were merged are read at once
            if top not in merged:
                merged[top] = {str(name): rows for name, rows in read_metrics(top).groupby("run_id")}
            rows = merged[top][run_dir.name]
        try:
            text = read_config(run_dir)
        except FileNotFoundError:
            if top not in configs:
                configs[top] = read_configs(top)
            text = configs[top].get(run_dir.name, "")
        records.append(Record(run_dir.name, _options(run_dir, text, rows), rows))
    return records


def _options(run_dir: Path, text: str, rows: pd.DataFrame) -> dict[str, Any]:
    """By name; those that change no number are left out."""
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        config = text
    if not isinstance(config, dict):
        raise DamagedError(run_dir / CONFIG_FILE, "it is no mapping of options")
    options = {name: rows[name].iloc[0] for name in _COLUMNS}
    for name in config.keys() - set(_NO_NUMBERS):
        value = config[name]
        if isinstance(value, dict):
            options[name] = value.get("name", "")
            options |= {f"{name}.{option}": given for option, given in value.items() if option != "name"}
        else:
            options[name] = value
    return options


def compare(records: Sequence[Record], metrics: Iterable[str] = (), by: Metric | None = None) -> Comparison:
    """The table of runs.

    Args:
        records: one at least; they are put in the order of the options.
        metrics: names; none: those that the table of one run shows.
        by: what decides which step size and which run is the best; None: the first of ``SHORT`` that is there.

    Raises:
        ValueError: where no run has recorded a metric.
    """
    differing = _differing([record.options for record in records])
    ordered = sorted(records, key=lambda record: [_order(record.options.get(name)) for name in differing])
    entries = [entry for record in ordered for entry in _entries(record, by)]
    known = {name for entry in entries for name in entry.values}
    names = list(metrics) or [one.name for one in METRICS.values() if one.heading and one.name in known]
    for name in names:
        if metric(name).name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ValueError(f"metric {name!r}: none of these runs has recorded it: valid are {there}")
    if not tuple(metrics):
        names = [name for name in names if not _is_silent(name, entries)]
    same_problem = not set(_PROBLEM) & set(differing)
    return Comparison(differing, names, entries, _best(entries, by) if same_problem else None)


def _entries(record: Record, by: Metric | None) -> list[Entry]:
    """At the best step size; at all of them where nothing says which one is."""
    summary = summarise(record.rows)
    sizes = list(summary.index.get_level_values("step_size").unique())
    if len(sizes) == 1:  # which may be NaN, of a run without
        mixed = pd.isna(sizes[0]) or has_mixed(summary, sizes[0])
        return [Entry(record, float(sizes[0]), _by_metric(summary.droplevel("step_size")), mixed)]
    found = reached(summary, by)
    if found is not None and found.step_size is None:
        return [Entry(record, None, {}, True)]
    chosen = sorted(sizes) if found is None or found.step_size is None else [found.step_size]
    at = {size: summary.xs(size, level="step_size") for size in chosen}
    return [Entry(record, size, _by_metric(rows), has_mixed(summary, size)) for size, rows in at.items()]


def _by_metric(rows: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(name): row for name, row in rows.iterrows()}


def _differing(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of options that have several values; that only some runs have an option tells less than its group."""
    names = list(dict.fromkeys(name for one in options for name in one))
    different = [
        name for name in names if len({json.dumps(o[name], default=str) for o in options if name in o}) > 1
    ]
    order = {name: place for place, name in enumerate(_GROUPS)}
    return sorted(different, key=lambda name: order.get(name.partition(".")[0], len(order)))


def _order(value: Any) -> tuple[int, float, str]:
    return (0, value, "") if isinstance(value, int | float) else (1, 0.0, _option_text(value))


def _is_silent(name: str, entries: Sequence[Entry]) -> bool:
    """Trouble that nobody had."""
    counts = ("num_strayed", "num_divergent", "num_resets")
    return name in counts and all(e.values[name]["mean"] == 0 for e in entries if name in e.values)


def _best(entries: Sequence[Entry], by: Metric | None) -> int | None:
    """Of several runs of one problem."""
    decisive = next((name for name in SHORT if any(name in entry.values for entry in entries)), None)
    by = by or (METRICS[decisive] if decisive else None)
    if by is None or len(entries) < 2:
        return None
    means = [
        entry.values[by.chosen_by]["mean"] if by.chosen_by in entry.values else None for entry in entries
    ]
    series = pd.Series(means, dtype=float).dropna()
    return None if series.empty else int(series.idxmax() if by.highest else series.idxmin())


def _none_or(value: int | None) -> list[int]:
    return [] if value is None else [value]


def _option_text(value: Any) -> str:
    if isinstance(value, list) and len(value) > _FEW:
        return f"{len(value)} from {value[0]:.3g} to {value[-1]:.3g}" if _are_numbers(value) else str(value)
    if isinstance(value, list):
        return ", ".join(map(_option_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)

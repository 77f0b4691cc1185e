"""What a table does not show, in sentences: runs it does not list, cells without runs, metrics that runs lack."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from smile.quantities import Metric
from smile.tables.cells import baseline_of
from smile.tables.conditions import covers
from smile.tables.spec import TableSpec

__all__ = ["CONFIGURATION", "having", "lacking_metrics", "replaced", "unlisted", "without_runs"]

# Columns of a run that say what it computes.
CONFIGURATION = (
    "variant", "target", "data", "model", "noise", "noise_source", "noise_distribution", "sampler", "tuner",
    "num_steps",
)  # fmt: skip

_MOST_ROWS = 6  # whose missing cells are named


def unlisted(spec: TableSpec, runs: pd.DataFrame) -> tuple[pd.Series, str]:
    """The runs with a value that the table does not list.

    Args:
        spec: the table as specified.
        runs: one row each.

    Returns:
        Whether a run is one of them, in the order of ``runs``, and the values with the number of their runs; empty
        where the table lists all.
    """

    def values(run: Mapping[str, object], baseline: str) -> str:
        keys = spec.baselines[baseline].keys if baseline else spec.keys
        return ", ".join(f"{key} {_name(run[key])}" for key in keys if run[key] not in spec.labels[key])

    names = pd.Series(
        [
            values(run, baseline)
            for run, baseline in zip(runs.to_dict("records"), baseline_of(runs, spec), strict=True)
        ],
        index=runs.index,
        dtype=object,
    )
    return names != "", "; ".join(_counted(names[names != ""]))


def replaced(older: pd.DataFrame) -> list[str]:
    """Runs that are not shown because a newer one has the same keys, and whether that computes something else.

    Args:
        older: the left-out runs; ``CONFIGURATION`` of the newer one in columns that end in ``_of_newer``.
    """
    if older.empty:
        return []
    number = f"{len(older)} older {'run' if len(older) == 1 else 'runs'} of the same cells"
    lines = [f"{number} {'is' if len(older) == 1 else 'are'} not shown."]
    differences = pd.Series(
        [
            ", ".join(
                f"{column} {_name(run[column])} instead of {_name(run[f'{column}_of_newer'])}"
                for column in CONFIGURATION
                if run[column] != run[f"{column}_of_newer"]
            )
            for run in older.to_dict("records")
        ]
    )
    if named := _counted(differences[differences != ""]):
        lines.append(f"Not shown, as a newer run has their cell: {'; '.join(named)}.")
    return lines


def without_runs(spec: TableSpec, runs: pd.DataFrame) -> list[str]:
    """Row and column values that no run has, then the cells that none has although others of their row and column do.

    Args:
        spec: the table as specified.
        runs: those that it lists, one row each.
    """
    baseline = baseline_of(runs, spec)
    own = runs[baseline == ""]
    found = {key: set(own[key]) | (set(runs[key]) if key in spec.rows else set()) for key in spec.keys}
    absent = [
        label for key in spec.keys for value, label in spec.labels[key].items() if value not in found[key]
    ]
    absent += [found.label for name, found in spec.baselines.items() if name not in set(baseline)]
    lines = [
        f"Cannot be run, {text}: {reason}." for text, reason in zip(spec.cannot, spec.reasons, strict=True)
    ]
    lines += [f"Not run: {', '.join(absent)}."] if absent else []
    there = set(own[list(spec.keys)].itertuples(index=False, name=None))
    present = [[value for value in spec.labels[key] if value in found[key]] for key in spec.keys]
    cells = [
        values
        for values in itertools.product(*present)
        if not any(covers(where, dict(zip(spec.keys, values, strict=True))) for where in spec.cannot.values())
    ]
    missing: dict[str, list[str]] = {}  # row -> columns
    for values in cells:
        if values not in there:
            *row, column = (spec.labels[key][value] for key, value in zip(spec.keys, values, strict=True))
            missing.setdefault(", ".join(row), []).append(column)
    if missing:
        named = [f"{row}: {', '.join(columns)}" for row, columns in missing.items()][:_MOST_ROWS]
        rest = [f"{len(missing) - len(named)} more rows"] if len(missing) > len(named) else []
        number = sum(map(len, missing.values()))
        lines.append(f"No run of {number} of {len(cells)} cells: {'; '.join([*named, *rest])}.")
    return lines


def lacking_metrics(spec: TableSpec, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Metrics of the table that all its runs or some of them have not recorded.

    Args:
        spec: the table.
        runs: those that it lists, one row each.
        frame: their metrics.
    """
    columns, baseline = spec.all_columns, baseline_of(runs, spec)
    column = runs[spec.columns].where(baseline == "", baseline)
    lacking: dict[tuple[str, ...], list[str]] = {}  # runs -> metrics
    for metric in spec.metrics.values():
        lacks = ~runs["run_id"].isin(having(frame, metric))
        lacking.setdefault(tuple(runs.loc[lacks, "run_id"]), []).append(metric.label)
    lines = []
    for ids, labels in lacking.items():
        if len(ids) == len(runs):
            lines.append(f"No run has {', '.join(labels)}.")
        elif ids:
            of = [columns[value] for value in columns if value in set(column[runs["run_id"].isin(ids)])]
            lines.append(f"{len(ids)} of {len(runs)} runs lack {', '.join(labels)}: {', '.join(of)}.")
    return lines


def having(frame: pd.DataFrame, metric: Metric) -> set[str]:
    """The runs that have recorded a metric and what chooses its step size."""
    recorded = (set(frame.loc[frame["metric"] == name, "run_id"]) for name in (metric.name, metric.chosen_by))
    return set.intersection(*recorded)


def _counted(names: Iterable[str]) -> Sequence[str]:
    """Each name once with the number of its runs, in order of appearance."""
    counts = pd.Series(list(names), dtype=object).value_counts(sort=False)
    return [f"{name} ({count} {'run' if count == 1 else 'runs'})" for name, count in counts.items()]


def _name(value: object) -> str:
    return str(value) or "''"

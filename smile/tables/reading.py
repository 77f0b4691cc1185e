"""From ``experiments/<name>/table.yaml`` to a table's specification, checked as a whole."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from smile.paths import experiments_dir
from smile.quantities import Metric, metric
from smile.tables.claims import parse_claim
from smile.tables.conditions import Where, parse_where
from smile.tables.spec import MOST_DASHES, Baseline, Published, StandIn, TableSpec

__all__ = ["SpecError", "load_spec", "read_spec", "table_names"]

SPEC_FILE = "table.yaml"


class SpecError(ValueError):
    """A table that does not exist or cannot be read, in one line."""


def table_names() -> list[str]:
    """Every experiment with a table."""
    return sorted(_specs())


def _specs() -> dict[str, Path]:
    """Name -> file: those of smile, and those in ``experiments`` of the working directory, which go first."""
    folders = (experiments_dir(), Path("experiments"))
    return {path.parent.name: path for folder in folders for path in folder.glob(f"*/{SPEC_FILE}")}


def load_spec(name: str) -> TableSpec:
    """Reads ``experiments/<name>/table.yaml``, the user's before ours, and the published values beside it.

    Raises:
        SpecError: where there is no such table, or its specification is wrong.
    """
    specs, names = _specs(), table_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SpecError(f"no table {name!r}{hint}: valid are {', '.join(names)}")
    return read_spec(specs[name])


def read_spec(path: Path) -> TableSpec:
    """Reads one specification; its folder names the table."""
    try:
        values = yaml.safe_load(path.read_text())
        reasons = tuple(values.get("cannot", {}).values())
        if published := values.get("published"):
            values["published"] = _published(path.parent, **published)
        values["baselines"] = {
            name: _baseline(path.parent, values, **baseline)
            for name, baseline in values.get("baselines", {}).items()
        }
        entries = [entry if isinstance(entry, dict) else {entry: {}} for entry in values["metrics"]]
        values["stand_ins"] = dict(filter(None, map(_stand_ins, entries)))
        values["metrics"] = {declared.name: declared for declared in map(_metric, entries)}
        names = _names(values)
        values["claims"] = tuple(parse_claim(text, names) for text in values.get("claims", ()))
        for key in ("rows", "commands"):
            values[key] = tuple(values[key])
        values["panels"] = tuple(values.get("panels", values["rows"]))
        values["notes"] = tuple(values.get("notes", ()))
        values["cannot"] = {text: parse_where(text) for text in values.get("cannot", {})}
        values["reasons"] = reasons
        spec = TableSpec(name=path.parent.name, **values)
        _check(spec)
    except (yaml.YAMLError, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise SpecError(f"{path}: {' '.join(str(error).split())}") from None
    return spec


def _names(values: dict[str, Any]) -> dict[str, list[str]]:
    """The values of every key, those of the columns first."""
    keys = [values["columns"], *values["rows"]]
    for key in keys:
        if key not in values["labels"]:
            raise ValueError(f"no labels for {key}")
    names = {key: [*values["labels"][key]] for key in keys}
    columns, baselines = names[values["columns"]], values.get("baselines", ())
    if both := set(columns) & set(baselines):
        raise ValueError(f"{', '.join(sorted(both))} names a column and a baseline")
    columns += baselines
    return names


def _metric(entry: dict[str, Any]) -> Metric:
    """``name: {label: ..., chosen_by: ...}``, or ``name: label``."""
    ((name, changes),) = entry.items()
    changes = {"label": changes} if isinstance(changes, str) else dict(changes)
    changes.pop("stand_ins", None)
    if wrong := set(changes) - {"label", "chosen_by"}:
        raise ValueError(
            f"metric {name}: {', '.join(sorted(wrong))} cannot be changed: valid are label, chosen_by, stand_ins"
        )
    declared = metric(name)
    changed = replace(declared if declared.ideal is not None else _comparable(name), **changes)
    _comparable(changed.chosen_by)
    return changed


def _stand_ins(entry: dict[str, Any]) -> tuple[str, tuple[StandIn, ...]] | None:
    ((name, changes),) = entry.items()
    if isinstance(changes, str) or "stand_ins" not in changes:
        return None
    found = []
    for text in changes["stand_ins"]:
        metric_name, _, conditions = text.partition(" where ")
        if _comparable(metric_name).highest != metric(name).highest:
            raise ValueError(f"{metric_name!r} cannot stand in for {name!r}: the other direction is better")
        found.append(StandIn(text, metric_name, parse_where(conditions)))
    return name, tuple(found)


def _comparable(name: str) -> Metric:
    found = metric(name)
    if not found.comparable:
        raise ValueError(f"no value of metric {name!r} is better than another, so that it can choose nothing")
    return found


def _published(
    folder: Path, *, file: str, keys: list[str], metric: str, error: str, beside: Sequence[str] = ()
) -> Published:
    values = _read_printed(folder / file, keys).rename(columns={metric: "value", error: "error"})[
        ["value", "error"]
    ]
    return Published(tuple(keys), metric, values, tuple(beside) or (metric,))


def _baseline(
    folder: Path, values: dict[str, Any], *, published: str | None = None, **fields: Any
) -> Baseline:
    keys = tuple(fields.pop("keys"))
    if published is None:
        return Baseline(keys=keys, **fields)
    frame = _read_printed(folder / published, keys).rename(columns={values["published"].metric: "value"})
    return Baseline(keys=keys, published=frame[["value"]].assign(error=float("nan")), **fields)


def _read_printed(path: Path, keys: Sequence[str]) -> pd.DataFrame:
    frame = pd.read_csv(path)
    if missing := set(keys) - set(frame.columns):
        columns = ", ".join(frame.columns)
        raise ValueError(f"{path.name} has no column {', '.join(sorted(missing))}: it has {columns}")
    frame = frame.set_index(list(keys))
    if not frame.index.is_unique:
        raise ValueError(f"{path.name} has several rows with the same {', '.join(keys)}")
    return frame


def _check(spec: TableSpec) -> None:
    if spec.figure and spec.figure not in spec.metrics:
        raise ValueError(
            f"figure {spec.figure!r} is no metric of the table: valid are {', '.join(spec.metrics)}"
        )
    _check_panels(spec)
    for text, where in spec.cannot.items():
        _check_where(spec, f"cannot {text!r}", where, spec.keys)
    for stand_in in itertools.chain(*spec.stand_ins.values()):
        _check_where(spec, f"stand-in {stand_in.text!r}", stand_in.where, spec.keys)
    checks = [("published", spec.published.keys, spec.keys)] if spec.published else []
    checks += [(name, found.keys, spec.rows) for name, found in spec.baselines.items()]
    for what, keys, valid in checks:
        if unknown := set(keys) - set(valid):
            raise ValueError(
                f"{what} has the keys {', '.join(sorted(unknown))}: valid are {', '.join(valid)}"
            )
    for claim in spec.claims:
        others = [key for key in spec.keys if key != claim.key]
        _check_where(spec, f"claim {claim.text!r}", claim.where, others)


def _check_panels(spec: TableSpec) -> None:
    if not spec.panels or set(spec.panels) - set(spec.keys):
        raise ValueError(f"panels [{', '.join(spec.panels)}]: valid are {', '.join(spec.keys)}")
    if spec.against and (spec.against not in spec.rows or spec.against in spec.panels):
        raise ValueError(
            f"against {spec.against!r}: valid are rows that make no panels: {', '.join(spec.rows)}"
        )
    if len(spec.lines) not in (1, 2):
        raise ValueError(f"panels leave {len(spec.lines)} keys to tell lines apart: valid are 1 and 2")
    dashed = len(spec.labels[spec.lines[1]]) if len(spec.lines) == 2 else 0
    if dashed > MOST_DASHES:
        raise ValueError(
            f"{spec.lines[1]} has {dashed} values for dashes of lines: valid are {MOST_DASHES} at most"
        )


def _check_where(spec: TableSpec, what: str, where: Where, keys: Sequence[str]) -> None:
    for key, allowed in where.items():
        if key not in keys:
            raise ValueError(f"{what} names {key!r}: valid are {', '.join(keys)}")
        if wrong := set(allowed) - set(spec.labels[key]):
            valid = ", ".join(spec.labels[key])
            raise ValueError(f"{what} names {key} {', '.join(sorted(wrong))}: valid are {valid}")

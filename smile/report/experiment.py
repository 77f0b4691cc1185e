"""The report of an experiment: its tables and figure, all of its runs, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd
import yaml

from smile.checksum import DamagedError
from smile.report.facts import FINE, best_of, config_text, label, provenance, remarks
from smile.report.page import aside, element, figure, folded, items, page, section, table
from smile.runs.survey import Survey, survey
from smile.tables.build import Assembled, assemble
from smile.tables.layout import LEGEND, best_of_row, cell_lines, column_names, heading, rows
from smile.tables.reading import load_spec, table_names
from smile.tables.summary import claim_lines, summary_lines
from smile.tracking.config_file import CONFIG_FILE
from smile.tracking.parquet import read_metrics

__all__ = ["experiment_report"]


def experiment_report(experiment_dir: Path, name: str, scale: str) -> str:
    """The page of an experiment at one scale.

    Args:
        experiment_dir: the folder that holds its runs.
        name: of the experiment; its table is shown where there is one of this name.
        scale: of the runs.

    Raises:
        FileNotFoundError: where no run is finished.
        ValueError: where a file cannot be read.
    """
    frame = read_metrics(experiment_dir)
    found = assemble(load_spec(name), experiment_dir, scale) if name in table_names() else None
    runs = {str(run_id): of_run for run_id, of_run in frame.groupby("run_id", sort=False)}
    warnings = {run_id: remarks(of_run) for run_id, of_run in runs.items()}
    state = survey(experiment_dir)
    options = {run_id: _options(experiment_dir / "runs" / run_id) for run_id in runs}
    common, different = _split(options)
    title = found.spec.title if found else f"Runs of {name}"
    parts = [
        section("Warnings", aside([*_unfinished(state), *_counted(warnings)], FINE)),
        *(_tables(found) if found else []),
        section("Runs", _runs(runs, warnings, different)),
        section(
            "Configuration", element("p", "What all runs have in common."), element("pre", _yaml(common))
        ),
        provenance(frame),
    ]
    lead = f"Experiment {name} at scale {scale}: {len(runs)} finished runs."
    return page(title, lead, *parts)


def _tables(found: Assembled) -> list[Element]:
    spec = found.spec
    parts = [section("Facts", items([*found.facts, *spec.notes, *found.omissions]))]
    parts.append(section("Figure", figure(found.figure(), spec.title)))
    made = []
    for number, ((name, selection), cells) in enumerate(found.tables.items()):
        body = []
        for labels, row in rows(spec, cells):
            best = best_of_row(spec, row, spec.metrics[name])
            body.append(
                [
                    *labels,
                    *(
                        element("strong", _lines(cell_lines(cell)))
                        if cell is not None and cell is best
                        else "\n".join(cell_lines(cell))
                        for cell in row
                    ),
                ]
            )
        summary = [*summary_lines(spec, cells), *claim_lines(spec, cells, name)]
        part = folded(heading(spec, name, selection), table(column_names(spec), body), items(summary))
        if number == 0:
            part.set("open", "open")
        made.append(part)
    return [*parts, section("Tables", *made, element("p", LEGEND, kind="lead"))]


def _lines(lines: list[str]) -> Element:
    first, *others = lines
    return element("span", first, *(part for line in others for part in (Element("br"), line)))


def _runs(
    runs: Mapping[str, pd.DataFrame],
    warnings: Mapping[str, list[str]],
    different: Mapping[str, Mapping[str, Any]],
) -> Element:
    body = [
        [run_id, label(of_run), str(of_run["seed"].iloc[0]), best_of(of_run), "\n".join(warnings[run_id])]
        for run_id, of_run in runs.items()
    ]
    own = [
        [run_id, ", ".join(f"{key}={_shown(value)}" for key, value in of_run.items())]
        for run_id, of_run in different.items()
    ]
    return element(
        "div",
        table(["run", "what", "seed", "best", "warnings"], body, text=[3, 4]),
        folded("In which options they differ", table(["run", "options"], own, text=[1])),
    )


def _unfinished(state: Survey) -> list[str]:
    """Runs that have no results, with the reason."""
    return [
        f"{run.label} ({run.run_id}) is {run.state}{f': {run.status.reason}' if run.status.reason else ''}"
        for run in state.runs
        if run.state != "done"
    ]


def _counted(warnings: Mapping[str, list[str]]) -> list[str]:
    """How many runs have each warning."""
    counts: dict[str, int] = {}
    for lines in warnings.values():
        for line in set(lines):
            counts[line] = counts.get(line, 0) + 1
    total = len(warnings)
    return [
        f"{number} of {total} runs: {line}"
        for line, number in sorted(counts.items(), key=lambda one: -one[1])
    ]


def _options(run_dir: Path) -> dict[str, Any]:
    """The options of a run, ``group.option`` -> value."""
    try:
        found = yaml.safe_load(config_text(run_dir)) or {}
    except yaml.YAMLError as error:
        raise DamagedError(run_dir / CONFIG_FILE, " ".join(str(error).split())) from None
    return _flat(found)


def _flat(options: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in options.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _split(options: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What all runs that have options share, and what each has of its own."""
    having = [of_run for of_run in options.values() if of_run]
    first = having[0] if having else {}
    common = {
        key: value
        for key, value in first.items()
        if all(key in of_run and of_run[key] == value for of_run in having)
    }
    different = {
        run_id: {key: value for key, value in of_run.items() if key not in common}
        for run_id, of_run in options.items()
        if of_run
    }
    return common, different


def _yaml(options: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(options), sort_keys=False, allow_unicode=True)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(one) for one in value)}]"
    return f"{value:.4g}" if isinstance(value, float) else "null" if value is None else str(value)

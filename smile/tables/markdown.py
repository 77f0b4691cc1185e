"""The report of an experiment: facts, tables, legend and claims in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from smile.tables.cells import Cell, Cells
from smile.tables.claims import Claim, holds
from smile.tables.conditions import covers
from smile.tables.layout import (
    LEGEND,
    MISSING,
    Tables,
    best_of_row,
    cell_lines,
    column_names,
    heading,
    rows,
    value,
)
from smile.tables.spec import TableSpec
from smile.tables.summary import summary_lines

__all__ = ["markdown"]


def markdown(spec: TableSpec, tables: Tables, facts: Sequence[str]) -> str:
    """The whole report: facts, a table for each metric and selection, legend, claims."""
    lines = [
        f"# {spec.title}",
        "",
        *(f"- {fact}" for fact in (*facts, *spec.notes)),
        "",
        "![figure](figure.png)",
        "",
    ]
    for (metric, selection), cells in tables.items():
        lines += [f"## {heading(spec, metric, selection)}", ""]
        lines += [*(f"- {line}" for line in summary_lines(spec, cells)), ""]
        names = column_names(spec)
        lines += [_markdown_row(names), _markdown_row("---" for _ in names)]
        for labels, row in rows(spec, cells):
            best = best_of_row(spec, row, spec.metrics[metric].highest)
            lines.append(
                _markdown_row([*labels, *("<br>".join(_emphasise(cell, cell is best)) for cell in row)])
            )
        lines.append("")
    lines += [LEGEND, ""]
    if spec.claims:
        lines += ["## Claims", "", *_claim_lines(spec, tables), ""]
    return "\n".join(lines)


def _claim_lines(spec: TableSpec, tables: Tables) -> Iterator[str]:
    """In how many cells each claim holds, by every metric and in print; then each cell, by the first metric."""
    printed = [name for name in (spec.published.beside if spec.published else ()) if name in spec.metrics][:1]
    header = ["claim", *(metric.label for metric in spec.metrics.values()), *("in print" for _ in printed)]
    yield from (_markdown_row(header), _markdown_row("---" for _ in header))
    for claim in spec.claims:
        counts = [
            _count(_judged(spec, claim, tables[metric, spec.selections[0]], metric))
            for metric in spec.metrics
        ]
        for name in printed:
            counts.append(_count(_judged(spec, claim, tables[name, spec.selections[0]], name, "published")))
        yield _markdown_row([f"`{claim.text}`", *counts])
    first = next(iter(spec.metrics))
    cells = tables[first, spec.selections[0]]
    header = ["claim", *spec.rows, "left", "right", "holds?", "in print?"]
    yield from ("", _markdown_row(header), _markdown_row("---" for _ in header))
    for claim in spec.claims:
        for row, left, right, verdict in _judged(spec, claim, cells, first):
            yield _markdown_row(
                [
                    f"{claim.left} {claim.sign} {claim.right}",
                    *(spec.labels[key][value] for key, value in zip(spec.rows, row, strict=True)),
                    value(left),
                    value(right),
                    _verdict(verdict) + _uncertainty(claim, left, right),
                    _verdict(holds(claim, left.published, right.published)),
                ]
            )


def _judged(
    spec: TableSpec, claim: Claim, cells: Cells, metric: str, value: str = "mean"
) -> list[tuple[tuple[str, ...], Cell, Cell, bool | None]]:
    """The rows that a claim covers and that have both runs, with its verdict."""
    judged = []
    for row in spec.row_values():
        left, right = cells.get((row, claim.left)), cells.get((row, claim.right))
        if covers(claim.where, dict(zip(spec.rows, row, strict=True))) and left and right:
            highest = metric in spec.metrics and spec.metrics[metric].highest
            verdict = holds(claim, getattr(left, value), getattr(right, value), highest)
            judged.append((row, left, right, verdict))
    return judged


def _count(judged: list[tuple[tuple[str, ...], Cell, Cell, bool | None]]) -> str:
    verdicts = [verdict for *_, verdict in judged if verdict is not None]
    return f"{sum(verdicts)} of {len(verdicts)}" if verdicts else MISSING


def _verdict(verdict: bool | None) -> str:
    return {True: "holds", False: "does not hold", None: MISSING}[verdict]


def _uncertainty(claim: Claim, left: Cell, right: Cell) -> str:
    """A remark where the order of two means is within their errors."""
    close = abs(left.mean - right.mean) < 2 * math.hypot(left.error, right.error)
    return " (within 2 s.e.)" if claim.factor is None and close else ""


def _emphasise(cell: Cell | None, best: bool) -> list[str]:
    first, *rest = cell_lines(cell)
    if cell is not None and best:
        value, at, step = first.partition(" @ ")
        first = f"**{value}**{at}{step}"
    return [first, *rest]


def _markdown_row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"

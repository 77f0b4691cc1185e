"""The report of an experiment: facts, tables, legend and claims in Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from smile.tables.bootstrap import FEWEST
from smile.tables.cells import Cell
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
from smile.tables.verdicts import FEWEST_SEEDS, Judgement, counted, judge

__all__ = ["markdown", "markdown_row"]

_SHORT = {
    "all": "all replications",
    "validation": "chosen on validation data",
    "honest": "one half chooses, the other reports",
}


def markdown(spec: TableSpec, tables: Tables, facts: Sequence[str], *, has_figure: bool = True) -> str:
    """The whole report: facts, a table for each metric and selection, legend, claims."""
    lines = [
        f"# {spec.title}",
        "",
        *(f"- {fact}" for fact in (*facts, *spec.notes)),
        "",
        *(["![figure](figure.png)", ""] if has_figure else []),
    ]
    for (metric, selection), cells in tables.items():
        lines += [f"## {heading(spec, metric, selection)}", ""]
        lines += [*(f"- {line}" for line in summary_lines(spec, cells)), ""]
        names = column_names(spec)
        lines += [markdown_row(names), markdown_row("---" for _ in names)]
        for labels, row in rows(spec, cells):
            best = best_of_row(spec, row, spec.metrics[metric])
            lines.append(
                markdown_row([*labels, *("<br>".join(_emphasise(cell, cell is best)) for cell in row)])
            )
        lines.append("")
    lines += [LEGEND, ""]
    if spec.claims:
        lines += ["## Claims", "", *_claim_lines(spec, tables), ""]
    return "\n".join(lines)


def _claim_lines(spec: TableSpec, tables: Tables) -> Iterator[str]:
    """In how many cells each claim holds, by every metric, selection and in print; then each cell."""
    is_of_networks = "validation" in spec.selections
    if is_of_networks:
        yield "Holds, or does not hold, at the 95 % level: by Student's t interval of the differences at equal seeds."
        yield f"With fewer than {FEWEST_SEEDS} common seeds only the means are compared, and decide nothing."
    else:
        yield "Holds, or does not hold, at the 95 % level: by the bootstrap interval of the difference or the ratio."
        yield f"With fewer than {FEWEST} replications only the means are compared, and decide nothing."
    short = [_SHORT[selection] for selection in spec.selections]
    header = ["claim", "metric", *short, *(["in print"] if spec.published else [])]
    yield from ("", markdown_row(header), markdown_row("---" for _ in header))
    for claim, (name, metric) in itertools.product(spec.claims, spec.metrics.items()):
        judged = [
            judge(spec, claim, tables[name, selection], metric.highest) for selection in spec.selections
        ]
        entries = [f"`{claim.text}`", metric.label, *map(counted, judged)]
        if spec.published:
            printed = [found.in_print for found in judged[0] if found.in_print is not None]
            entries.append(f"holds in {sum(printed)} of {len(printed)}" if printed else MISSING)
        yield markdown_row(entries)
    first, *_ = spec.metrics
    paired = ["left - right"] if is_of_networks else []
    header = ["claim", "cell", "left", "right", *paired, *(f"by `{name}`" for name in spec.metrics)]
    header += ["in print"] if spec.published else []
    yield from ("", f"By cell, {short[0]}; left and right are `{first}`.", "")
    yield from (markdown_row(header), markdown_row("---" for _ in header))
    for claim in spec.claims:
        by_metric = [
            {
                found.place: found
                for found in judge(spec, claim, tables[name, spec.selections[0]], metric.highest)
            }
            for name, metric in spec.metrics.items()
        ]
        for place, found in by_metric[0].items():
            others = [judged.get(place) for judged in by_metric]
            yield markdown_row(
                [
                    f"{claim.left} {claim.sign} {claim.right}",
                    ", ".join(place),
                    value(found.left),
                    value(found.right),
                    *([_paired(found)] if is_of_networks else []),
                    *(MISSING if other is None else _verdict(other) for other in others),
                    *([_yes_or_no(found.in_print)] if spec.published else []),
                ]
            )


def _paired(found: Judgement) -> str:
    if (difference := found.difference) is None:
        return MISSING
    low, high = difference.interval
    return f"{difference.mean:+.3f} ± {difference.error:.3f} [{low:+.3f}, {high:+.3f}]"


def _verdict(found: Judgement) -> str:
    by_means = f"means: {_yes_or_no(found.by_means)}"
    if found.verdict is None:
        return by_means
    return f"undecided ({by_means})" if found.verdict == "undecided" else found.verdict


def _yes_or_no(held: bool | None) -> str:
    return {True: "holds", False: "does not hold", None: MISSING}[held]


def _emphasise(cell: Cell | None, best: bool) -> list[str]:
    first, *rest = cell_lines(cell)
    if cell is not None and best:
        value, at, step = first.partition(" @ ")
        first = f"**{value}**{at}{step}"
    return [first, *rest]


def markdown_row(entries: Iterable[str]) -> str:
    """One row of a table."""
    return f"| {' | '.join(entries)} |"

"""Cells as Markdown, LaTeX, tidy CSV and a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from rich.table import Table

from smile.tables.cells import BASELINE, SELECTIONS, Cell, Cells
from smile.tables.claims import Claim, holds
from smile.tables.conditions import covers
from smile.tables.spec import TableSpec

__all__ = ["csv_text", "latex", "markdown", "summary_lines", "terminal_table"]

# The cells of every (metric, selection).
Tables = dict[tuple[str, str], Cells]

MISSING = "—"

LEGEND = (
    "Cell: mean ± standard error over replications at the best step size, and that step size; below it the published "
    "value and the ratio ours / published. Bold: best of the row without the baseline. ↓ ↑: the best step size is "
    "the lowest or highest of the grid, so a wider one may do better. °: a chain diverged at some step sizes, which "
    "were not eligible. —: no run, or none with this metric."
)

_EDGES = {"": "", "low": "↓", "high": "↑"}
_LATEX = {
    "±": r"$\pm$",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "°": r"$^\circ$",
    "—": "---",
}
_LATEX |= {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"}


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
        lines += [f"## {_heading(spec, metric, selection)}", ""]
        lines += [*(f"- {line}" for line in summary_lines(spec, cells)), ""]
        header = _header(spec, cells)
        lines += [_markdown_row(header), _markdown_row("---" for _ in header)]
        for labels, row in _rows(spec, cells):
            best = _best(spec, row, spec.metrics[metric].highest)
            lines.append(
                _markdown_row([*labels, *("<br>".join(_emphasise(cell, cell is best)) for cell in row)])
            )
        lines.append("")
    lines += [LEGEND, ""]
    if spec.claims:
        lines += ["## Claims", "", *_claim_lines(spec, tables), ""]
    return "\n".join(lines)


def latex(spec: TableSpec, tables: Tables) -> str:
    """One ``table*`` for each metric and selection; needs booktabs and graphicx."""
    lines = ["% needs \\usepackage{booktabs,graphicx}"]
    for (metric, selection), cells in tables.items():
        header = _header(spec, cells)
        remarks = " ".join((*spec.notes, *summary_lines(spec, cells), LEGEND))
        caption = f"{_heading(spec, metric, selection)}. {remarks}"
        lines += [r"\begin{table*}", r"\centering\footnotesize", rf"\caption{{{_escape(caption)}}}"]
        lines += [
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(spec.rows)}{'c' * (len(header) - len(spec.rows))}}}",
            r"\toprule",
        ]
        lines += [_latex_row(map(_escape, header)), r"\midrule"]
        for labels, row in _rows(spec, cells):
            best = _best(spec, row, spec.metrics[metric].highest)
            lines.append(
                _latex_row([*map(_escape, labels), *(_latex_cell(cell, cell is best) for cell in row)])
            )
        lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""]
    return "\n".join(lines)


def csv_text(spec: TableSpec, tables: Tables) -> str:
    """Every number behind the tables, one row per cell; missing cells are empty."""
    records = []
    for (metric, selection), cells in tables.items():
        columns = [*spec.labels[spec.columns], *([BASELINE] if spec.baseline else [])]
        for row in spec.row_values():
            for column in columns:
                keys = {**dict(zip(spec.rows, row, strict=True)), spec.columns: column}
                cell = cells.get((row, column))
                numbers = {**vars(cell), "ratio": cell.ratio} if cell else {}
                records.append({"metric": metric, "selection": selection, **keys, **numbers})
    return pd.DataFrame(records).convert_dtypes().to_csv(index=False)


def terminal_table(spec: TableSpec, cells: Cells, metric: str, selection: str) -> Table:
    """One table for the console."""
    table = Table(*_header(spec, cells), title=_heading(spec, metric, selection), show_lines=True)
    for labels, row in _rows(spec, cells):
        table.add_row(*labels, *("\n".join(_cell_lines(cell)) for cell in row))
    return table


def summary_lines(spec: TableSpec, cells: Cells) -> list[str]:
    """How complete a table is, how close to print, and what its marks count."""
    own = {key: cell for key, cell in cells.items() if key[1] != BASELINE}
    total = len(spec.row_values()) * len(spec.labels[spec.columns])
    lines = [f"{len(own)} of {total} cells."]
    printed = [cell for cell in own.values() if not math.isnan(cell.published)]
    if printed:
        near = sum(0.5 <= cell.ratio <= 2 for cell in printed)
        lines.append(f"{near} of {len(printed)} cells lie within a factor 2 of print.")
    edges = sum(bool(cell.edge) for cell in own.values())
    diverged = sum(cell.ineligible for cell in own.values())
    step_sizes = sum(cell.step_sizes for cell in own.values())
    lines.append(f"{edges} best step sizes lie on an edge of their grid.")
    lines.append(f"{diverged} of {step_sizes} step sizes were not eligible because a chain diverged.")
    return lines


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
                    _value(left),
                    _value(right),
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


def _heading(spec: TableSpec, metric: str, selection: str) -> str:
    label = spec.metrics[metric].label
    return f"{label[:1].upper()}{label[1:]}; {SELECTIONS[selection]}"


def _header(spec: TableSpec, cells: Cells) -> list[str]:
    baseline = [spec.baseline.label] if spec.baseline else []
    return [*spec.rows, *spec.labels[spec.columns].values(), *baseline]


def _rows(spec: TableSpec, cells: Cells) -> Iterator[tuple[list[str], list[Cell | None]]]:
    columns = [*spec.labels[spec.columns], *([BASELINE] if spec.baseline else [])]
    for row in spec.row_values():
        labels = [spec.labels[key][value] for key, value in zip(spec.rows, row, strict=True)]
        yield labels, [cells.get((row, column)) for column in columns]


def _best(spec: TableSpec, row: Sequence[Cell | None], highest: bool) -> Cell | None:
    """The best cell of a row; the baseline comes last and does not compete."""
    own = row[: len(spec.labels[spec.columns])]
    finite = [cell for cell in own if cell is not None and math.isfinite(cell.mean)]
    return min(finite, key=lambda cell: -cell.mean if highest else cell.mean, default=None)


def _cell_lines(cell: Cell | None) -> list[str]:
    if cell is None:
        return [MISSING]
    diverged = "°" if cell.ineligible else ""
    if math.isnan(cell.mean):
        ours = f"diverged {diverged}".rstrip()
    else:
        at = "" if math.isnan(cell.step_size) else f" @ {_step_size(cell.step_size)}{_EDGES[cell.edge]}"
        ours = f"{_value(cell)}{at}{diverged}"
    if math.isnan(cell.published):
        return [ours]
    ratio = "" if math.isnan(cell.ratio) else f", {_ratio(cell.ratio)}×"
    return [ours, f"print {_printed(cell)}{ratio}"]


def _value(cell: Cell) -> str:
    return MISSING if math.isnan(cell.mean) else _number(cell.mean, cell.error)


def _number(mean: float, error: float) -> str:
    """Three decimals as in print, more where the mean would lose its second digit or the error its first."""
    digits = [
        extra - math.floor(math.log10(x)) for x, extra in ((abs(mean), 1), (error, 0)) if 0 < x < math.inf
    ]
    decimals = max(3, *digits) if digits else 3
    if decimals > 5:
        return f"{mean:.1e}" + ("" if math.isnan(error) else f" ± {error:.1e}")
    return f"{mean:.{decimals}f}" + ("" if math.isnan(error) else f" ± {error:.{decimals}f}")


def _printed(cell: Cell) -> str:
    """The published value with the digits that were printed."""
    decimals = max(3, len(repr(cell.published).partition(".")[2]))
    error = "" if math.isnan(cell.published_error) else f" ± {cell.published_error:.{decimals}f}"
    return f"{cell.published:.{decimals}f}{error}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if 1 <= ratio < 10 else f"{ratio:.2g}"


def _step_size(step_size: float) -> str:
    mantissa, exponent = f"{step_size:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _emphasise(cell: Cell | None, best: bool) -> list[str]:
    first, *rest = _cell_lines(cell)
    if cell is not None and best:
        value, at, step = first.partition(" @ ")
        first = f"**{value}**{at}{step}"
    return [first, *rest]


def _latex_cell(cell: Cell | None, best: bool) -> str:
    first, *rest = map(_escape, _cell_lines(cell))
    if cell is not None and best:
        value, at, step = first.partition(" @ ")
        first = rf"\textbf{{{value}}}{at}{step}"
    return rf"\shortstack{{{first}\\{rest[0]}}}" if rest else first


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown_row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _latex_row(entries: Iterable[str]) -> str:
    return " & ".join(entries) + r" \\"

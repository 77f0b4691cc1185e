"""Tables in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable

from smile.tables.cells import Cell
from smile.tables.layout import LEGEND, Tables, best_of_row, cell_lines, column_names, heading, rows
from smile.tables.spec import TableSpec
from smile.tables.summary import summary_lines

__all__ = ["latex"]

_NEW_LINE = r"\\"
_LATEX = {
    "±": r"$\pm$",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "°": r"$^\circ$",
    "†": r"$^\dagger$",
    "—": "---",
}
_LATEX |= {"∞": r"$\infty$", "[": "{[}", "]": "{]}"}  # a bracket after \\ would be its argument
_LATEX |= {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"}


def latex(spec: TableSpec, tables: Tables) -> str:
    """One ``table*`` for each metric and selection; needs booktabs and graphicx."""
    lines = ["% needs \\usepackage{booktabs,graphicx}"]
    for (metric, selection), cells in tables.items():
        names = column_names(spec)
        remarks = " ".join((*spec.notes, *summary_lines(spec, cells), LEGEND))
        caption = f"{heading(spec, metric, selection)}. {remarks}"
        lines += [r"\begin{table*}", r"\centering\footnotesize", rf"\caption{{{_escape(caption)}}}"]
        lines += [
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(spec.rows)}{'c' * (len(names) - len(spec.rows))}}}",
            r"\toprule",
        ]
        lines += [_latex_row(map(_escape, names)), r"\midrule"]
        for labels, row in rows(spec, cells):
            best = best_of_row(spec, row, spec.metrics[metric])
            lines.append(
                _latex_row([*map(_escape, labels), *(_latex_cell(cell, cell is best) for cell in row)])
            )
        lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""]
    return "\n".join(lines)


def _latex_cell(cell: Cell | None, best: bool) -> str:
    first, *rest = map(_escape, cell_lines(cell))
    if cell is not None and best:
        value, at, step = first.partition(" @ ")
        first = rf"\textbf{{{value}}}{at}{step}"
    return rf"\shortstack{{{_NEW_LINE.join([first, *rest])}}}" if rest else first


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_row(entries: Iterable[str]) -> str:
    return " & ".join(entries) + r" \\"

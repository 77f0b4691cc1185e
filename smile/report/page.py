"""A page of HTML as a tree, so that whatever a label says is text: nothing is put together from strings.

The page loads nothing, and its own policy forbids a browser to: figures are inside it. Home folders become ``~``.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["aside", "element", "figure", "folded", "items", "page", "section", "table", "without_home"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_DPI = 130
_HOME = re.compile(r"(?:/home|/Users)/[^/\s'\"]+|/root(?=[/\s'\"]|$)")
_NO_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2530; background: #fff; max-width: 76rem;
       margin: 0 auto; padding: 1.5rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; border-bottom: 1px solid #d8dee6; padding-bottom: .2rem; }
p { margin: .4rem 0; }
.lead { color: #55606e; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e7ebf0; }
th { background: #f3f5f8; font-weight: 600; }
td.number { white-space: nowrap; }
td.text { min-width: 12rem; }
tr.best td { background: #eef6ee; font-weight: 600; }
.warnings { background: #fdf5e4; border-left: 4px solid #d99a1c; padding: .5rem 1rem; }
.fine { background: #eef6ee; border-left: 4px solid #3f9a4c; padding: .5rem 1rem; }
ul { margin: .2rem 0; padding-left: 1.2rem; }
img { max-width: 100%; height: auto; }
pre { background: #f3f5f8; padding: .8rem 1rem; overflow-x: auto; font-size: 12.5px; line-height: 1.45;
      columns: 20rem; }
summary { cursor: pointer; font-weight: 600; margin: .6rem 0; }
footer { margin-top: 2.5rem; color: #55606e; font-size: 13px; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; } }
"""

Child = Element | str


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """An element; ``kind`` is its class."""
    if "kind" in attributes:
        attributes["class"] = attributes.pop("kind")
    made = Element(tag, {name: _text(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _text(child)
        else:
            made.text = (made.text or "") + _text(child)
    return made


def section(title: str, *children: Child) -> Element:
    """A part of the page under a heading."""
    return element("section", element("h2", title), *children)


def items(lines: Iterable[str]) -> Element:
    """A list."""
    return element("ul", *(element("li", line) for line in lines))


def folded(title: str, *children: Child) -> Element:
    """What is there for those who open it."""
    return element("details", element("summary", title), *children)


def aside(warnings: Sequence[str], fine: str) -> Element:
    """Warnings, or that there are none, in the words of ``fine``."""
    if warnings:
        return element("div", items(warnings), kind="warnings")
    return element("div", element("p", fine), kind="fine")


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Element]],
    best: int | None = None,
    text: Sequence[int] = (),
) -> Element:
    """A table that scrolls where it is wider than the page.

    Args:
        headings: of the columns; none where they need none.
        rows: their cells; a line break in a cell is one.
        best: number of the row to stress.
        text: numbers of the columns whose lines may be broken.
    """
    head = (
        [element("thead", element("tr", *(element("th", heading) for heading in headings)))]
        if headings
        else []
    )
    body = [
        element(
            "tr",
            *(_cell(cell, "text" if place in text else "number") for place, cell in enumerate(row)),
            **({"kind": "best"} if number == best else {}),
        )
        for number, row in enumerate(rows)
    ]
    return element("div", element("table", *head, element("tbody", *body)), kind="scroll")


def figure(drawn: Figure, alternative: str) -> Element:
    """A figure, inside the page.

    Args:
        drawn: by matplotlib.
        alternative: what it shows, for who does not see it.
    """
    content = io.BytesIO()
    drawn.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    data = base64.b64encode(content.getvalue()).decode()
    width = str(round(drawn.get_figwidth() * 96))
    return element("p", element("img", src=f"data:image/png;base64,{data}", alt=alternative, width=width))


def page(title: str, lead: str, *sections: Element) -> str:
    """The whole document.

    Args:
        title: what it is about.
        lead: one line below the title.
        sections: its parts.
    """
    head = element(
        "head",
        Element("meta", charset="utf-8"),
        Element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        Element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", _STYLE),
    )
    header = element("header", element("h1", title), element("p", lead, kind="lead"))
    footer = element("footer", "Written by smile-report from the Parquet files of the results.")
    document = element("html", head, element("body", header, element("main", *sections), footer), lang="en")
    return f"<!doctype html>\n{ElementTree.tostring(document, encoding='unicode', method='html')}\n"


def without_home(text: str) -> str:
    """The text with ``~`` for the home folder, that of this user and those of others."""
    home = str(Path.home())
    if home != "/":
        text = text.replace(home, "~")
    return _HOME.sub("~", text)


def _text(text: str) -> str:
    return _NO_CHARACTERS.sub("�", without_home(text))


def _cell(content: str | Element, kind: str) -> Element:
    if isinstance(content, Element):
        return element("td", content, kind=kind)
    first, *others = content.split("\n")
    rest = [part for line in others for part in (Element("br"), line)]
    return element("td", first, *rest, kind=kind)

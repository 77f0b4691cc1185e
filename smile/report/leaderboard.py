"""The leaderboard of a table as a page."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from smile.report.page import element, folded, items, page, section, table
from smile.tables.leaderboard import LEGEND, Leaderboard, Sheet

__all__ = ["leaderboard_page"]


def leaderboard_page(found: Leaderboard) -> str:
    """The document."""
    first, *_ = found.order.rows
    lead = (
        f"{len(found.order.rows)} samplers, {len(found.sheets)} targets: {first[0]} is ahead, with {first[1]} of its "
        "rivals beaten."
    )
    return page(
        found.title,
        lead,
        section(found.order.title, _sheet(found.order, best=0)),
        section("Target by target", *(folded(sheet.title, _sheet(sheet)) for sheet in found.sheets)),
        section("How to read it", element("p", LEGEND), items(found.facts)),
    )


def _sheet(sheet: Sheet, best: int | None = None) -> Element:
    return table(sheet.headings, sheet.rows, best)

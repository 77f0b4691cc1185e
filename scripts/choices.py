"""The PAGE's table of what can be chosen, from the files of conf/.

python scripts/choices.py      # writes it, as `make choices` does; tests/test_documents.py fails where it is old
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/choices.md"
BEGIN, END = "<!-- choices: written by `make choices` -->\n", "<!-- end of choices -->\n"

# A group in conf/config.yaml: with a default, or one that a command adds with a plus.
GROUP = re.compile(r"  (?:- (?P<group>\w+): (?P<default>\w+)|# \+ (?P<added>\w+)) +# (?P<what>.+)")


def with_choices(page: str) -> str:
    """The page with the table of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{PAGE} has lost a mark: {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{table()}{END}{after}"


def table() -> str:
    """One row for each group, in the order of conf/config.yaml; the default is bold."""
    return "\n".join(["| group | | choices |", "|---|---|---|", *rows(), ""])


def rows() -> Iterator[str]:
    found = [
        match
        for line in (ROOT / "conf/config.yaml").read_text().splitlines()
        if (match := GROUP.fullmatch(line))
    ]
    for match in found:
        group, default = match["group"] or match["added"], match["default"]
        names = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - {default}
        if not names:  # nothing to choose
            continue
        first = [f"**`{default}`**"] if default else []
        choices = ", ".join([*first, *(f"`{name}`" for name in sorted(names))])
        yield f"| `{'' if default else '+'}{group}` | {match['what']} | {choices} |"


if __name__ == "__main__":
    PAGE.write_text(with_choices(PAGE.read_text()))

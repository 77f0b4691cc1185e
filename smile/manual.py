"""``smile --help``: groups and options with what the comments of ``conf/`` say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from smile.choices import config_folders
from smile.paths import conf_dir

__all__ = ["manual"]

# A group in conf/config.yaml: with a default, or one that a command adds with a plus.
_GROUP = re.compile(r"  (?:- (?P<group>\w+): \w+|# \+ (?P<added>\w+)) +# (?P<what>.+)")
_OPTION = re.compile(r"(?P<indent> *)(?P<name>\w+):(?P<value>[^#]*?)(?:#+ (?P<what>.*))?")
_WIDTH = 44


def manual(chosen: Mapping[str, str]) -> str:
    """Help on groups, on the options of every run, and on those of the choices of a command.

    Args:
        chosen: group -> choice.
    """
    text = yaml.safe_load((conf_dir() / "hydra/help/smile.yaml").read_text())
    main = (conf_dir() / "config.yaml").read_text()
    lines = [text["header"], "Groups (group=choice; those with a plus are added: +method=psmile)", ""]
    for match in filter(None, map(_GROUP.fullmatch, main.splitlines())):
        name = match["group"] or match["added"]
        choices = ", ".join(sorted({f.stem for top in _folders() for f in (top / name).glob("*.yaml")}))
        plus = "" if match["group"] else "+"
        lines += [f"  {plus}{name}: {match['what']}", f"      {choices}"]
    lines += ["", "Options of every run (option=value)", ""]
    lines += _options(main.partition("\nprotocol:")[0].rpartition("  # + compat")[2].split("\n", 1)[1], "")
    for group, choice in chosen.items():
        files = [top / group / f"{choice}.yaml" for top in _folders()]
        if choice != "none" and (file := next((one for one in files if one.is_file()), None)):
            content = file.read_text()
            first = next((line for line in content.splitlines() if line[:2] == "# " and "@" not in line), "")
            lines += ["", f"{group}={choice}: {first.removeprefix('# ')}", ""]
            lines += _options(content, "" if "@package _global_" in content else f"{group}.")
    footer = "Options of other choices: smile sampler=sgld target=bnn --help."
    return "\n".join([*lines, "", footer, text["footer"]])


def _folders() -> list[Path]:
    return [conf_dir(), *config_folders()]


def _options(text: str, prefix: str) -> Iterator[str]:
    above, parents = "", {0: prefix}
    for line in text.splitlines():
        match = _OPTION.fullmatch(line)
        if match is None:
            above = line.removeprefix("# ") if line.startswith("# ") and "@package" not in line else ""
            continue
        depth, name, value = len(match["indent"]), match["name"], match["value"].strip()
        if name in ("name", "defaults"):
            continue
        where = parents.get(depth, prefix)
        if not value:
            parents[depth + 2] = f"{where}{name}."
            continue
        yield f"  {f'{where}{name}={value}':<{_WIDTH}} {match['what'] or (above if not depth else '')}".rstrip()
        above = ""

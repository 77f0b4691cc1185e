"""What the documents say is what there is."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from smile.tables import load_spec, table_names

ROOT = Path(__file__).parents[1]


def test_a_page_lists_what_can_be_chosen() -> None:
    spec = importlib.util.spec_from_file_location("choices", ROOT / "scripts/choices.py")
    assert spec and spec.loader
    choices = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(choices)
    page = (ROOT / "docs/choices.md").read_text()
    assert choices.with_choices(page) == page, "the table of choices is old: make choices"
    listed = choices.table()
    for path in (ROOT / "conf/sampler").glob("*.yaml"):
        assert f"`{path.stem}`" in listed


@pytest.mark.parametrize("name", table_names())
def test_make_runs_what_a_table_needs(name: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", name, "scale=smoke"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    commands = [line.strip().removeprefix(".venv/bin/") for line in done.stdout.splitlines()]
    needed = load_spec(name).command("smoke").split(" && ")
    assert [command for command in commands if command.startswith("smile +")] == needed
    assert f"smile-table {name} --scale smoke" in commands

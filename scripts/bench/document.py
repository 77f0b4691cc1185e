"""What a report is written with."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import pandas as pd

from smile.tracking import write_text_atomic


def write(
    output: Path, name: str, paragraphs: Sequence[str], speed: pd.DataFrame, command: str = "make bench"
) -> None:
    """Writes ``<name>.md``, whose last line says which command does, and ``<name>.csv``; prints the first."""
    print(f"\n{save(output, name, paragraphs, speed, command)}\n\nwritten to {output}/{name}.md")


def save(output: Path, name: str, paragraphs: Sequence[str], speed: pd.DataFrame, command: str) -> str:
    """The same without a word; returns the Markdown."""
    today = time.strftime("%Y-%m-%d")
    text = "\n\n".join([*paragraphs, f"`{command}` writes this file. {today}."])
    write_text_atomic(output / f"{name}.md", text + "\n")
    write_text_atomic(output / f"{name}.csv", speed.to_csv(index=False))
    return text


def show(row: dict[str, str]) -> None:
    """One line of a table, as soon as it is measured."""
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def markdown(table: pd.DataFrame) -> str:
    """The table, as Markdown writes it."""
    lines = [table.columns, ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def machine() -> str:
    """The processor, the number of cores and the versions that matter."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, Python {platform.python_version()}, jax {jax.__version__}"

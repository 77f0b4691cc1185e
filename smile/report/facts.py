"""What is known of a run beside its numbers: its name, what is suspicious about it, its options, its provenance."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import pandas as pd

from smile.report.page import section, table
from smile.runs.compact import read_configs
from smile.tracking.config_file import read_config
from smile.tracking.console import format_seconds
from smile.tracking.small_table import best_line, small_table
from smile.tracking.statistics import has_mixed, reached, summarise

__all__ = ["FINE", "best_of", "config_text", "has_step_sizes", "label", "provenance", "remarks"]

FINE = "Nothing suspicious in what was measured."


def has_step_sizes(rows: pd.DataFrame) -> bool:
    """Whether a run has made any steps, as the deep ensemble of a sweep has not.

    Args:
        rows: its metrics.
    """
    return bool(rows["step_size"].notna().all())


def best_of(rows: pd.DataFrame) -> str:
    """What a run has reached, in one line.

    Args:
        rows: its metrics.
    """
    if has_step_sizes(rows):
        return best_line(rows)
    lppd = rows.loc[rows["metric"] == "lppd", "value"]
    return ", ".join([*(f"LPPD {value:.3g}" for value in lppd), f"{rows['wall_seconds'].max():.0f} s"])


def label(rows: pd.DataFrame) -> str:
    """What people call a run.

    Args:
        rows: its metrics.
    """
    row = rows.iloc[0]
    kind = row["noise"] if row["data"] == "none" else row["data"]
    parts = (row["target"], kind, row["model"], row["sampler"], row["tuner"], row["variant"])
    return " ".join(part for part in parts if part not in ("", "none"))


def remarks(rows: pd.DataFrame) -> list[str]:
    """What is suspicious about a run, each with what to do.

    Args:
        rows: its metrics.
    """
    if not has_step_sizes(rows):
        return []
    summary = summarise(rows)
    found = reached(summary)
    table_of_run = small_table(rows)
    best = found.step_size if found else None
    if best is None:
        return ["a chain diverged at every step size: take smaller ones"] if found else []
    lines = [] if has_mixed(summary, best) else [table_of_run.legend.removeprefix("† ")]
    lines += table_of_run.advice
    if "num_divergent" in summary.index and (number := summary.loc[("num_divergent", best), "mean"]):
        lines.append(f"{number:g} divergent steps at the best step size: take a smaller one")
    return lines


def config_text(run_dir: Path) -> str:
    """``config.yaml`` of a run without its seal, also of one that has been merged.

    Raises:
        DamagedError: where it is not as it was written.
    """
    try:
        text = read_config(run_dir)
    except FileNotFoundError:
        text = read_configs(run_dir.parents[1]).get(
            run_dir.name, "# a deep ensemble has no config of its own"
        )
    return "\n".join(line for line in text.splitlines() if not line.startswith("# "))


def provenance(rows: pd.DataFrame) -> Element:
    """Where the numbers come from.

    Args:
        rows: metrics of one run, or of several.
    """

    def values(name: str) -> str:
        found = sorted({str(value) for value in rows[name]} - {""})
        return ", ".join(found) if found else "unknown"

    seconds = rows.groupby("run_id")["wall_seconds"].max().sum()
    facts = {
        "version of smile": values("smile_version"),
        "commit": values("git_commit"),
        "version of jax": values("jax_version"),
        "seed": values("seed"),
        "scale": values("scale"),
        "steps of a chain": values("num_steps"),
        "gradient evaluations of a chain": values("gradient_evaluations"),
        "time": format_seconds(seconds),
        "written": f"{rows['created'].min()} to {rows['created'].max()}"
        if rows["created"].nunique() > 1
        else values("created"),
    }
    return section("Provenance", table([], facts.items(), text=[1]))

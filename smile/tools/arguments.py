"""What the commands on results have in common: which experiment, where, at which scale."""

from __future__ import annotations

import argparse
from pathlib import Path

from smile.arguments import OneLineParser
from smile.converters import file_name
from smile.paths import SCALES, experiment_dir

__all__ = ["NothingThereError", "experiment_parser", "folders"]


class NothingThereError(Exception):
    """No runs, in one line."""


def experiment_parser(
    prog: str, description: str, what: str = "as in +experiment=...; adhoc for runs of no experiment"
) -> argparse.ArgumentParser:
    """With the arguments ``experiment``, which is ``what``, ``--scale`` and ``--results``."""
    parser = OneLineParser(prog=prog, description=description)
    parser.add_argument("experiment", help=what)
    parser.add_argument("--scale", choices=SCALES, help="default: every scale that has runs")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder (default: results)")
    return parser


def folders(options: argparse.Namespace) -> dict[str, Path]:
    """Scale -> folder of the experiment, of those that have runs.

    Raises:
        NothingThereError: where none has, or the name leads elsewhere.
    """
    try:
        file_name(options.experiment)
    except ValueError as error:
        raise NothingThereError(
            f"got {options.experiment!r}; valid: {error}, in the folder that --results names"
        ) from None
    scales = [options.scale] if options.scale else SCALES
    found = {scale: experiment_dir(options.results, options.experiment, scale) for scale in scales}
    found = {
        s: path for s, path in found.items() if any((path / name).is_dir() for name in ("runs", "compact"))
    }
    if not found:
        known = sorted(path.name for path in options.results.glob("*") if path.is_dir())
        valid = f"; there are: {', '.join(known)}" if known else ""
        scale = f" at scale {options.scale}" if options.scale else ""
        raise NothingThereError(f"no runs of {options.experiment}{scale} in {options.results}{valid}")
    return found

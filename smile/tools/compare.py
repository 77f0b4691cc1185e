"""``smile-compare``: runs side by side, the options in which they differ and what they reached."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from smile.arguments import OneLineParser, command_line
from smile.paths import SCALES, experiment_dir, local_path
from smile.tables.compare import compare, read_records
from smile.tools.arguments import NothingThereError
from smile.tracking import write_text_atomic
from smile.tracking.parquet import METRICS_FILE, compacted_runs, has_metrics
from smile.tracking.small_table import NOT_MIXED

__all__ = ["main"]


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 where there is nothing to compare."""
    options = _parse(arguments)
    try:
        folders = list(dict.fromkeys(folder for name in options.runs for folder in _folders(name, options)))
        found = compare(read_records(folders), options.metrics)
        for line in found.markdown():
            print(line)
        if options.output is not None:
            write_text_atomic(options.output, found.csv())
    except (NothingThereError, ValueError, OSError) as error:
        print(f"smile-compare: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if not all(entry.has_mixed for entry in found.entries):
        print(NOT_MIXED)
    if options.output is not None:
        print(options.output)
    return 0


def _folders(name: str, options: argparse.Namespace) -> list[Path]:
    """The folders of finished runs that an argument means.

    Raises:
        NothingThereError: where it means none.
    """
    path = local_path(name)
    if (path / METRICS_FILE).is_file() or (
        path.parent.name == "runs" and path.name in compacted_runs(path.resolve().parents[1])
    ):
        return [path.resolve()]
    if path.is_dir() and has_metrics(path):
        return list(_runs(path))
    results, experiment = (path.parent, path.name) if path.is_dir() else (options.results, name)
    for scale in [options.scale] if options.scale else SCALES:
        if has_metrics(folder := experiment_dir(results, experiment, scale)):
            return list(_runs(folder))
    known = sorted(found.name for found in options.results.glob("*") if found.is_dir())
    scale = f" at scale {options.scale}" if options.scale else ""
    raise NothingThereError(
        f"{name}: neither the folder of a finished run nor an experiment with finished runs{scale}; experiments in "
        f"{options.results}: {', '.join(known) or 'none'}"
    )


def _runs(folder: Path) -> Iterator[Path]:
    folder = folder.resolve()
    own = {file.parent.name for file in folder.glob(f"runs/*/{METRICS_FILE}")}
    yield from (folder / "runs" / name for name in sorted(own | compacted_runs(folder)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="smile-compare",
        description="Shows the options in which runs differ, and their metrics at the best step size of each.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN|EXPERIMENT",
        help="folders of runs or of experiments, results/<experiment>/<scale>/runs/<id>; or names of experiments",
    )  # fmt: skip
    parser.add_argument("--scale", choices=SCALES, help="default: the largest scale that has any results")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder (default: results)")
    parser.add_argument(
        "--metrics", default=(), type=lambda text: text.split(","),
        help="names, apart by commas (default: those that the table of one run shows)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, help="a CSV file of the same, with standard errors")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

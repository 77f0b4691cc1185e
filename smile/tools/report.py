"""``smile-report``: a run, an experiment or the leaderboard of one as one HTML page that needs nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from smile.arguments import command_line
from smile.report import experiment_report, leaderboard_page, run_report
from smile.tables.leaderboard import leaderboard
from smile.tables.reading import load_spec
from smile.tools.arguments import NothingThereError, experiment_parser, folders
from smile.tracking import write_text_atomic
from smile.tracking.parquet import has_metrics, is_finished

__all__ = ["main"]

REPORT_FILE = "report.html"
LEADERBOARD_FILE = "leaderboard.html"


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 where there is nothing to report or it cannot be read or written."""
    parser = experiment_parser(
        "smile-report",
        "Writes the tables, figures, configuration, warnings and provenance of results as one page.",
        "a name, as in +experiment=..., or the folder of a run, .../runs/<id>",
    )
    parser.add_argument("-o", "--output", type=Path, help=f"(default: {REPORT_FILE} beside the results)")
    parser.add_argument(
        "--leaderboard", action="store_true",
        help=f"samplers against each other on every posterior of an experiment: {LEADERBOARD_FILE}, with .md beside",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        run_dir, board = Path(options.experiment), None
        if run_dir.parent.name == "runs":
            if not is_finished(run_dir):
                raise NothingThereError(f"no finished run in {run_dir}")
            if options.leaderboard:
                raise ValueError(f"--leaderboard {options.experiment}: valid is an experiment, not a run")
            folder, text = run_dir, run_report(run_dir)
        else:
            found = {scale: path for scale, path in folders(options).items() if has_metrics(path)}
            if not found:
                raise NothingThereError(f"no finished run of {options.experiment} in {options.results}")
            scale, folder = next(iter(found.items()))
            if options.leaderboard:
                board = leaderboard(load_spec(options.experiment), folder, scale)
                text = leaderboard_page(board)
            else:
                text = experiment_report(folder, options.experiment, scale)
        output = options.output or folder / (LEADERBOARD_FILE if options.leaderboard else REPORT_FILE)
        if board is not None:
            write_text_atomic(output.with_suffix(".md"), board.markdown())
        write_text_atomic(output, text)
    except (NothingThereError, ValueError, OSError) as error:
        print(f"smile-report: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

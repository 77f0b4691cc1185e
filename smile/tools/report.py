"""``smile-report``: a run or an experiment as one HTML page that needs nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from smile.arguments import command_line
from smile.report import experiment_report, run_report
from smile.tools.arguments import NothingThereError, experiment_parser, folders
from smile.tracking import write_text_atomic
from smile.tracking.parquet import has_metrics, is_finished

__all__ = ["main"]

REPORT_FILE = "report.html"


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 where there is nothing to report or it cannot be read or written."""
    parser = experiment_parser(
        "smile-report",
        "Writes the tables, figures, configuration, warnings and provenance of results as one page.",
        "a name, as in +experiment=..., or the folder of a run, .../runs/<id>",
    )
    parser.add_argument("-o", "--output", type=Path, help=f"(default: {REPORT_FILE} beside the results)")
    options = parser.parse_args(arguments)
    try:
        run_dir = Path(options.experiment)
        if run_dir.parent.name == "runs":
            if not is_finished(run_dir):
                raise NothingThereError(f"no finished run in {run_dir}")
            folder, text = run_dir, run_report(run_dir)
        else:
            found = {scale: path for scale, path in folders(options).items() if has_metrics(path)}
            if not found:
                raise NothingThereError(f"no finished run of {options.experiment} in {options.results}")
            scale, folder = next(iter(found.items()))
            text = experiment_report(folder, options.experiment, scale)
        output = options.output or folder / REPORT_FILE
        write_text_atomic(output, text)
    except (NothingThereError, ValueError, OSError) as error:
        print(f"smile-report: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

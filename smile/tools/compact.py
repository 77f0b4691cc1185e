"""``smile-compact``: merges the files of finished runs, where they are thousands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from smile.arguments import command_line
from smile.runs.compact import compact
from smile.tools.arguments import NothingThereError, experiment_parser, folders

__all__ = ["main"]


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    description = (
        "Merges the metrics and configs of finished runs into two files; everything else reads both forms."
    )
    options = experiment_parser("smile-compact", description).parse_args(arguments)
    try:
        for scale, folder in folders(options).items():
            done = compact(folder)
            print(
                f"{options.experiment} {scale}: merged {done.new} runs, {done.total} in {folder / 'compact'}"
            )
    except (NothingThereError, RuntimeError, ValueError, OSError) as error:
        print(f"smile-compact: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

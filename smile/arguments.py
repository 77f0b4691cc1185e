"""Command lines: what ``smile`` and those beside it have in common."""

from __future__ import annotations

import argparse
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

__all__ = ["OneLineParser", "command_line"]

Main = Callable[[Sequence[str] | None], int]


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose flags may stand between other arguments."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See ``argparse``."""
        return self.parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command_line(main: Main) -> Callable[..., int]:
    """A command whose result does not depend on who reads what it prints.

    A character that the terminal's encoding lacks becomes a question mark; where the reader has gone, as ``head`` does,
    the exit code is that of SIGPIPE; Ctrl-C is a line.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            code = main(arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())  # Python flushes once more at its end
            os.close(nowhere)
            return 128 + signal.SIGPIPE
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return 128 + signal.SIGINT
        return code

    return run

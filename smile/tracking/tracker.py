"""What follows a run while it lasts, beside Parquet, which is the truth; a tracker can neither fail nor stop a run."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from smile.extras import is_installed, missing

__all__ = ["About", "Tracker", "TrackerOptions", "Trackers", "flatten", "following"]

_logger = logging.getLogger(__name__)


class About(NamedTuple):
    """What trackers are told of a run before it begins.

    Attributes:
        experiment: and
        scale: and
        run_id: are its name.
        label: what people call it.
        config: resolved, nested.
        directory: where relative paths of trackers begin.
    """

    experiment: str
    scale: str
    run_id: str
    label: str
    config: Mapping[str, Any]
    directory: Path = Path()


class Tracker(ABC):
    """One place that follows one run."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves after so many steps of every chain."""

    @abstractmethod
    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        """What the run has come to.

        Args:
            rows: its metrics in the schema of ``smile.tracking.parquet``.
            figure: a PNG file; None where it has none.
        """

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """Nothing more will come."""


class TrackerOptions(ABC):
    """What a tracker may be told.

    Attributes:
        module: that it needs.
        if_installed: whether runs go on without it where that is not installed.
    """

    module: ClassVar[str]
    if_installed: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether it has anything to do."""
        return True

    @abstractmethod
    def open(self, about: About) -> Tracker:
        """Begins to follow a run, in place of an earlier one of the same name."""

    def check_environment(self) -> None:  # noqa: B027 - most read none
        """Looks at the variables that it reads.

        Raises:
            ConfigError: where one is wrong.
        """

    def absent(self) -> str:
        """What runs go on without, where the package is not installed; empty where it is."""
        if not self.is_wanted or not self.if_installed or is_installed(self.module):
            return ""
        return f"no tracker, as it needs {missing(self.module)}; tracker=none asks for none"


class Trackers:
    """Those of one run; whatever goes wrong in one of them becomes one warning, and it is told no more."""

    def __init__(self, chosen: Mapping[str, TrackerOptions], about: About) -> None:
        self._name = about.run_id
        self._open: dict[str, Tracker] = {}
        for name, options in chosen.items():
            if options.is_wanted and not options.absent():
                self._guarded(name, partial(self._begin, name, options, about))

    def __bool__(self) -> bool:
        return bool(self._open)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker.log``."""
        self._each(lambda tracker: tracker.log(step, values))

    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        """See ``Tracker.finish``."""
        self._each(lambda tracker: tracker.finish(rows, figure))

    def close(self, *, failed: bool) -> None:
        """See ``Tracker.close``."""
        self._each(lambda tracker: tracker.close(failed=failed))
        self._open.clear()

    def _begin(self, name: str, options: TrackerOptions, about: About) -> None:
        self._open[name] = options.open(about)

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            self._guarded(name, partial(tell, tracker))

    def _guarded(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # of a server, a disk, a library
            first = (str(error).splitlines() or [""])[0]
            _logger.warning(
                "%s: run %s is not mirrored (%s: %s)", name, self._name, type(error).__name__, first
            )
            self._open.pop(name, None)


@contextmanager
def following(chosen: Mapping[str, TrackerOptions], about: About) -> Iterator[Trackers]:
    """The trackers of a run, closed at its end, however it ends."""
    trackers, failed = Trackers(chosen, about), True
    try:
        yield trackers
        failed = False
    finally:
        trackers.close(failed=failed)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys with dots between them."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

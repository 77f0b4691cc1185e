"""What choices of data have in common: being read once, cut by fractions, and lying in a folder or a file."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from smile.code import FAULTS, explained, module_of
from smile.data.dataset import Dataset
from smile.data.files import DataError
from smile.extras import MissingExtraError
from smile.options import (
    MISSING,
    ConfigError,
    MissingOptionError,
    Options,
    file_path,
    number,
    option,
    optional,
)
from smile.paths import local_path

__all__ = ["DataOptions", "Fractions", "InFile", "InFolder", "load_dataset", "short_digest"]


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """What a network learns.

    ``digest`` is no option but says what the files held when the config was composed: other contents are another run.

    Attributes:
        kind: what networks read: ``numbers`` in rows, pixels among them, or ``text``.
        is_at_hand: whether reading needs no download and takes no longer than other checks.
    """

    group: ClassVar[str] = "data"
    kind: ClassVar[str] = "numbers"
    is_at_hand: ClassVar[bool] = True

    digest: str = ""

    @abstractmethod
    def read(self, seed: int) -> Dataset:
        """The data in three parts, shuffled by the seed where their order means nothing.

        Raises:
            OSError, ValueError: in one line, what is wrong with them.
        """

    def content_digest(self) -> str:
        """Of files that have no checksum of their own; empty where there are none, or where they cannot be read."""
        return ""

    def check(self) -> None:
        """Says of data that are not at hand what can be said without reading them.

        Raises:
            ConfigError: in one line, what is wrong with the data.
        """

    @property
    def place(self) -> tuple[str, str | None]:
        """The option that says where the data lie, and its value."""
        return "data", self.name


@cache
def load_dataset(options: DataOptions, seed: int) -> Dataset:
    """Split and standardised, once for all runs of a process.

    Raises:
        ConfigError: in one line, what is wrong with the data.
    """
    try:
        if options.digest and options.content_digest() != options.digest:
            raise DataError("its contents are no longer those that the command started with")
        found = options.read(seed)
    except MissingExtraError:
        raise
    except (OSError, ValueError) as error:
        named = error.option if isinstance(error, DataError) else ""
        name, given = (f"data.{named}", getattr(options, named)) if named else options.place
        raise ConfigError(name, given, " ".join(str(error).split())) from None
    except FAULTS as error:
        if not (module := module_of(options)):
            raise  # a fault of ours, of which the traceback says more
        valid = f"data that can be read; {explained(error, module)}"
        raise ConfigError("data", options.name, valid) from None
    if not isinstance(found, Dataset):
        raise ConfigError("data", options.name, f"a choice that reads a Dataset, not {type(found).__name__}")
    return found


# ---- families ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Fractions(DataOptions):
    """Data cut by fractions; what is left after training and validation is the test part."""

    train: float = option(number(0, 1))
    validation: float = option(number(0, 1))

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except MissingOptionError:
            self._check_sum()  # what is wrong is told before what is missing
            raise
        self._check_sum()

    def _check_sum(self) -> None:
        if MISSING not in (self.train, self.validation) and self.train + self.validation >= 1:
            valid = f"a number < 1 - data.train={1 - self.train:g}"
            raise ConfigError("data.validation", self.validation, valid)


@dataclass(frozen=True, kw_only=True)
class InFolder(DataOptions):
    """Data that are downloaded, or lie in the folder ``dir``."""

    is_at_hand: ClassVar[bool] = False

    dir: str | None = option(optional(file_path), in_run_id=False)

    @property
    def place(self) -> tuple[str, str | None]:
        """The folder."""
        return "data.dir", self.dir

    def check(self) -> None:
        """Looks for the folder."""
        if self.dir is not None and not local_path(self.dir).is_dir():
            raise ConfigError("data.dir", self.dir, "a folder that exists")


@dataclass(frozen=True, kw_only=True)
class InFile(DataOptions):
    """A user's own file."""

    path: str | None = option(optional(file_path), in_run_id=False)

    @property
    def place(self) -> tuple[str, str | None]:
        """The file."""
        return "data.path", self.path

    def content_digest(self) -> str:
        """Of the file."""
        try:
            return short_digest(local_path(self.path).read_bytes()) if self.path else ""
        except OSError:  # which reading the data will explain
            return ""


def short_digest(content: bytes) -> str:
    """Twelve hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:12]

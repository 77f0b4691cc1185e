"""What every ``data=...`` declares: one class per family, whose ``read`` makes the data set."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from smile.choices import Choices
from smile.data.dataset import Dataset
from smile.data.image_splits import split_images, unfamiliar
from smile.data.images import IMAGE_SETS, load_images
from smile.data.sources import UCI, load
from smile.data.tabular import split_and_standardise
from smile.data.text import load_text, split_text
from smile.options import ConfigError, Options, boolean, choice, integer, number, option, optional, text

__all__ = ["DATA", "DataOptions", "load_dataset"]

_UNFAMILIAR_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """What a network learns.

    ``digest`` is no option but says what the files held when the config was composed: other contents are another run.

    Attributes:
        kind: what networks read: ``numbers`` in rows, pixels among them, or ``text``.
    """

    group: ClassVar[str] = "data"
    kind: ClassVar[str] = "numbers"

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
        return options.read(seed)
    except (OSError, ValueError) as error:
        raise ConfigError(*options.place, " ".join(str(error).split())) from None


# ---- families ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Fractions(DataOptions):
    """Data cut by fractions; what is left after training and validation is the test part."""

    train: float = option(number(0, 1))
    validation: float = option(number(0, 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train + self.validation >= 1:
            valid = f"a number < 1 - data.train={1 - self.train:g}"
            raise ConfigError("data.validation", self.validation, valid)


@dataclass(frozen=True, kw_only=True)
class _InFolder(DataOptions):
    """Data that are downloaded, or lie in the folder ``dir``."""

    dir: str | None = option(optional(text), in_run_id=False)

    @property
    def place(self) -> tuple[str, str | None]:
        """The folder."""
        return "data.dir", self.dir


@dataclass(frozen=True, kw_only=True)
class _InFile(DataOptions):
    """A user's own file."""

    path: str | None = option(optional(text), in_run_id=False)

    @property
    def place(self) -> tuple[str, str | None]:
        """The file."""
        return "data.path", self.path

    def content_digest(self) -> str:
        """Of the file."""
        try:
            return _digest(Path(self.path).read_bytes()) if self.path else ""
        except OSError:  # which reading the data will explain
            return ""


@dataclass(frozen=True, kw_only=True)
class TableData(_Fractions):
    """A table that comes with scikit-learn."""

    def read(self, seed: int) -> Dataset:
        """The table."""
        return split_and_standardise(load(self.name), seed=seed, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class UCIData(_Fractions, _InFolder):
    """A table of the UCI repository."""

    def read(self, seed: int) -> Dataset:
        """The table."""
        table = load(self.name, directory=self.dir)
        return split_and_standardise(table, seed=seed, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class CSVData(_Fractions, _InFile):
    """``data=csv``: a user's own table; ``target`` is the column to predict."""

    path: str = option(text, in_run_id=False)
    target: str = option(text)
    task: Literal["auto", "regression", "classification"] = option(
        choice("auto", "regression", "classification")
    )

    def read(self, seed: int) -> Dataset:
        """The table."""
        table = load(self.name, path=self.path, target=self.target, task=self.task)
        return split_and_standardise(table, seed=seed, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class BundledImages(DataOptions):
    """Images that come with scikit-learn."""

    validation_rows: int = option(integer(1))  # of the official training part
    size: int | None = option(optional(integer(1)), neutral=None)  # pixels on a side
    normalise: bool = option(boolean, neutral=True)  # standardised channels, or raw pixels
    limit: int | None = option(optional(integer(1)), neutral=None)  # training rows
    test_limit: int | None = option(optional(integer(1)), neutral=None)
    unfamiliar: Literal["none", "noise", "digits"] = option(choice("none", "noise", "digits"), neutral="none")

    def read(self, seed: int, directory: str | None = None) -> Dataset:
        """The images, of which the test part is the official one."""
        images = load_images(self.name, directory=directory, size=self.size)
        dataset = split_images(
            images,
            seed=seed,
            validation=self.validation_rows,
            limit=self.limit,
            test_limit=self.test_limit,
            normalise=self.normalise,
        )
        if self.unfamiliar == "none":
            return dataset
        rows, shape = min(len(dataset.test.y), _UNFAMILIAR_ROWS), images.test.x.shape[1:]
        return replace(dataset, unfamiliar=unfamiliar(self.unfamiliar, shape, rows=rows))


@dataclass(frozen=True, kw_only=True)
class ImageData(BundledImages, _InFolder):
    """A published set of images."""

    def read(self, seed: int, directory: str | None = None) -> Dataset:
        """The images."""
        return super().read(seed, self.dir)

    def content_digest(self) -> str:
        """Of names and sizes of the files in the folder: nothing else says how the images in them are encoded."""
        if self.dir is None or IMAGE_SETS[self.name].digests:
            return ""
        try:
            files = sorted((file.name, file.stat().st_size) for file in Path(self.dir).glob("*.parquet"))
        except OSError:
            return ""
        return _digest(repr(files).encode())


@dataclass(frozen=True, kw_only=True)
class _Text(_Fractions):
    """A text, of whose characters a window holds ``context``."""

    kind: ClassVar[str] = "text"

    context: int = option(integer(1))

    def _read(self, name: str, directory: str | None = None, path: str | None = None) -> Dataset:
        found = load_text(name, directory=directory, path=path)
        return split_text(found, context=self.context, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class PublishedText(_Text, _InFolder):
    """``data=modern_shakespeare``."""

    def read(self, seed: int) -> Dataset:
        """The text."""
        return self._read(self.name, directory=self.dir)


@dataclass(frozen=True, kw_only=True)
class TextData(_Text, _InFile):
    """``data=text``: a user's own, or without a path one that comes with scikit-learn."""

    def read(self, seed: int) -> Dataset:
        """The text."""
        return self._read("builtin" if self.path is None else self.name, path=self.path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _each(names: Iterable[str], family: type[DataOptions]) -> dict[str, type[DataOptions] | None]:
    return dict.fromkeys(names, family)


DATA: Choices[DataOptions] = Choices(
    "data",
    DataOptions,
    {
        "none": None,
        **_each(UCI, UCIData),
        "diabetes": TableData,
        "csv": CSVData,
        "digits": BundledImages,
        **_each(IMAGE_SETS, ImageData),
        "modern_shakespeare": PublishedText,
        "text": TextData,
    },
)

"""What every ``data=...`` declares: one class per family, whose ``read`` makes the data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from smile.choices import Choices
from smile.data.dataset import Dataset
from smile.data.delimited import DELIMITERS
from smile.data.families import DataOptions, Fractions, InFile, InFolder, short_digest
from smile.data.image_splits import split_images, unfamiliar
from smile.data.images import IMAGE_SETS, load_images
from smile.data.sources import UCI, load
from smile.data.tabular import split_and_standardise
from smile.data.text import load_text, split_text
from smile.options import boolean, choice, file_path, integer, option, optional
from smile.paths import local_path

__all__ = ["DATA"]

_UNFAMILIAR_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class TableData(Fractions):
    """A table that comes with scikit-learn."""

    def read(self, seed: int) -> Dataset:
        """The table."""
        return split_and_standardise(load(self.name), seed=seed, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class UCIData(Fractions, InFolder):
    """A table of the UCI repository."""

    def read(self, seed: int) -> Dataset:
        """The table."""
        table = load(self.name, directory=self.dir)
        return split_and_standardise(table, seed=seed, train=self.train, validation=self.validation)


def _column(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of a column, in quotes where YAML would take it for something else")
    return value


@dataclass(frozen=True, kw_only=True)
class CSVData(Fractions, InFile):
    """``data=csv``: a user's own table; ``target`` is the column to predict."""

    path: str = option(file_path, in_run_id=False)
    target: str = option(_column)
    task: Literal["auto", "regression", "classification"] = option(
        choice("auto", "regression", "classification")
    )
    delimiter: Literal["auto", "comma", "semicolon", "tab"] = option(
        choice("auto", *DELIMITERS), neutral="auto"
    )

    def read(self, seed: int) -> Dataset:
        """The table."""
        table = load(self.name, path=self.path, target=self.target, task=self.task, delimiter=self.delimiter)
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
class ImageData(BundledImages, InFolder):
    """A published set of images."""

    def read(self, seed: int, directory: str | None = None) -> Dataset:
        """The images."""
        return super().read(seed, self.dir)

    def content_digest(self) -> str:
        """Of names and sizes of the files in the folder: nothing else says how the images in them are encoded."""
        if self.dir is None or IMAGE_SETS[self.name].digests:
            return ""
        try:
            files = sorted(
                (file.name, file.stat().st_size) for file in local_path(self.dir).glob("*.parquet")
            )
        except OSError:
            return ""
        return short_digest(repr(files).encode())


@dataclass(frozen=True, kw_only=True)
class _Text(Fractions):
    """A text, of whose characters a window holds ``context``."""

    kind: ClassVar[str] = "text"

    context: int = option(integer(1))

    def _read(self, name: str, directory: str | None = None, path: str | None = None) -> Dataset:
        found = load_text(name, directory=directory, path=path)
        return split_text(found, context=self.context, train=self.train, validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class PublishedText(_Text, InFolder):
    """``data=modern_shakespeare``."""

    def read(self, seed: int) -> Dataset:
        """The text."""
        return self._read(self.name, directory=self.dir)


@dataclass(frozen=True, kw_only=True)
class TextData(_Text, InFile):
    """``data=text``: a user's own, or without a path one that comes with scikit-learn."""

    def read(self, seed: int) -> Dataset:
        """The text."""
        return self._read("builtin" if self.path is None else self.name, path=self.path)


def _each(names: Iterable[str], family: type[DataOptions]) -> dict[str, type[DataOptions] | None]:
    return dict.fromkeys(names, family)


DATA: Choices[DataOptions] = Choices(
    "data",
    DataOptions,
    {
        "none": None,
        **_each(UCI, UCIData),
        "diabetes": TableData,
        "wine": TableData,
        "csv": CSVData,
        "digits": BundledImages,
        **_each(IMAGE_SETS, ImageData),
        "modern_shakespeare": PublishedText,
        "text": TextData,
    },
)

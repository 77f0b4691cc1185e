"""Text as characters: every different character is a token, every window of them a row."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smile.data.dataset import Dataset, Split
from smile.data.files import DataError, cache_folder, check_sums, download, read_utf8
from smile.extras import need
from smile.paths import local_path

__all__ = ["TEXTS", "Text", "encode", "load_text", "split_text"]

_MODERN_SHAKESPEARE = "modern_shakespeare.txt"
# As the paper's authors publish it, at the commit that added it.
_URL = (
    "https://raw.githubusercontent.com/EmanuelSommer/SMILE/2d4969a11856f9415602c9de26bc2d75df7c7273"
    "/data/shakespeare_simple.txt"
)
_SHA256 = "d83bbd628037800327a0f4f2ee0434ce5e27a99056830178f1ae495dd7ac7d05"

TEXTS = ("modern_shakespeare", "builtin", "text")


class Text(NamedTuple):
    """A text in tokens.

    Attributes:
        name: what messages call it.
        tokens: place of every character in the vocabulary, (characters,) uint8 or uint16.
        vocabulary: the different characters, sorted.
    """

    name: str
    tokens: np.ndarray
    vocabulary: str


def load_text(
    name: str, *, directory: str | None = None, path: str | None = None, cache: Path | None = None
) -> Text:
    """Loads a text.

    Args:
        name: modern_shakespeare (the paper's), builtin (descriptions of data sets that come with scikit-learn; the
            version of scikit-learn decides on the words), or text.
        directory: folder of ``modern_shakespeare.txt``. None: the cache, which a download fills.
        path: of a UTF-8 file, for ``text``; a byte order mark at its start is no character of it.
        cache: folder of downloads; None: the user's cache folder.

    Raises:
        DataError: in one line, what is missing or wrong.
    """
    if name == "modern_shakespeare":
        return _load_shakespeare(directory, cache or cache_folder("text"))
    if name == "builtin":
        need("sklearn", "data=text without data.path")
        files = resources.files("sklearn.datasets.descr").iterdir()
        described = sorted((file for file in files if file.name.endswith(".rst")), key=lambda file: file.name)
        return encode(name, "\n".join(file.read_text("utf-8") for file in described))
    if name != "text":
        raise DataError(f"no text {name!r}: valid are {', '.join(TEXTS)}")
    if path is None:
        raise DataError("data=text needs a UTF-8 file: set data.path")
    file = local_path(path)
    if not (content := read_utf8(file)):
        raise DataError(f"{file} is empty: a text is needed")
    return encode(file.stem, content)


def encode(name: str, text: str) -> Text:
    """Characters to tokens.

    Raises:
        DataError: where there are none, or too many different ones.
    """
    if not text:
        raise DataError(f"{name} is empty: a text is needed")
    codes, tokens = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    if len(codes) > 2**16:
        raise DataError(f"{name} has {len(codes)} different characters: at most {2**16} fit")
    dtype = np.uint8 if len(codes) <= 2**8 else np.uint16
    return Text(name, tokens.astype(dtype), "".join(map(chr, codes)))


def split_text(text: Text, *, context: int, train: float = 0.9, validation: float = 0.05) -> Dataset:
    """Cuts a text in three, one part after the other (PROTOCOL 1.4).

    Args:
        text: the tokens.
        context: tokens of a window, T.
        train: fraction of the N tokens; the first int(N train) of them.
        validation: fraction of the tokens; up to int(N (train + validation)). The rest is the test text.

    Returns:
        Tokens and those that follow them: one text for training; for validation and test windows that follow each
        other, of which the end, shorter than a window, is dropped.

    Raises:
        DataError: where a part has no window.
    """
    rows = len(text.tokens)
    if context < 1:
        raise DataError(f"a context of {context} tokens: at least 1 is needed", option="context")
    parts = np.split(text.tokens, [int(rows * train), int(rows * (train + validation))])
    # A window of T tokens needs one more, which follows its last.
    largest = min(map(len, parts)) - 1
    if largest < context:
        sizes = ", ".join(str(len(part)) for part in parts)
        remedy = f"the largest context that fits is {largest}" if largest > 0 else "no context fits"
        raise DataError(
            f"{text.name}: {rows} characters make training, validation and test texts of {sizes}, "
            f"too short for a context of {context}: {remedy}",
            option="context",
        )
    training, validating, testing = parts
    return Dataset(
        text.name,
        "language",
        Split(training[:-1], training[1:]),
        _windows(validating, context),
        _windows(testing, context),
        num_classes=len(text.vocabulary),
        context=context,
        vocabulary=text.vocabulary,
    )


def _windows(tokens: np.ndarray, context: int) -> Split:
    whole = (len(tokens) - 1) // context * context
    return Split(tokens[:whole].reshape(-1, context), tokens[1 : whole + 1].reshape(-1, context))


def _load_shakespeare(directory: str | None, cache: Path) -> Text:
    file = (local_path(directory) if directory else cache) / _MODERN_SHAKESPEARE
    if directory is not None and not file.is_file():
        raise DataError(
            f"{file} does not exist: data.dir is the folder of {file.name}, or null to download it"
        )
    if not file.is_file():
        download(_URL, file, _SHA256)
    check_sums({file: _SHA256})
    return encode("modern_shakespeare", read_utf8(file))

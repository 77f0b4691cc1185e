"""Where tables come from: the UCI repository, scikit-learn, or a user's CSV."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from smile.data.csv_table import load_csv
from smile.data.files import DataError, cache_folder, fetch, keep
from smile.data.tabular import Table
from smile.extras import need
from smile.paths import local_path

__all__ = ["SKLEARN", "UCI", "load"]


class _Uci(NamedTuple):
    """An original archive: what to read from it, and the digest of the numbers that come out."""

    url: str
    member: str
    read: Callable[[bytes], np.ndarray]
    digest: str


def _airfoil(content: bytes) -> np.ndarray:
    return pd.read_csv(io.BytesIO(content), sep=r"\s+", header=None).to_numpy(np.float64)


def _energy(content: bytes) -> np.ndarray:
    """The first eight columns and the heating load; the sheet has empty columns and rows behind them."""
    return pd.read_excel(io.BytesIO(content)).iloc[:, :9].dropna(how="all").to_numpy(np.float64)


def _bikesharing(content: bytes) -> np.ndarray:
    columns = [
        "yr",
        "mnth",
        "hr",
        "holiday",
        "weekday",
        "workingday",
        "weathersit",
        "temp",
        "atemp",
        "hum",
        "windspeed",
        "cnt",
    ]
    return pd.read_csv(io.BytesIO(content))[columns].to_numpy(np.float64)


_ARCHIVE = "https://archive.ics.uci.edu/static/public"

UCI = {
    "airfoil": _Uci(
        f"{_ARCHIVE}/291/airfoil+self+noise.zip",
        "airfoil_self_noise.dat",
        _airfoil,
        "40b1199a321d2699",
    ),
    "energy": _Uci(
        f"{_ARCHIVE}/242/energy+efficiency.zip",
        "ENB2012_data.xlsx",
        _energy,
        "dff798eac6ce03a1",
    ),
    "bikesharing": _Uci(
        f"{_ARCHIVE}/275/bike+sharing+dataset.zip",
        "hour.csv",
        _bikesharing,
        "c6b9b6469dd8a8dc",
    ),
}
SKLEARN = ("diabetes", "digits", "wine")


def load(
    name: str,
    *,
    directory: str | None = None,
    path: str | None = None,
    target: str | None = None,
    task: str = "auto",
    delimiter: str = "auto",
    cache: Path | None = None,
) -> Table:
    """Loads a table.

    Args:
        name: airfoil, energy or bikesharing (UCI), diabetes, digits or wine (scikit-learn), or csv.
        directory: folder with ``<name>.data`` of a UCI table: numbers apart by spaces, the last column is y. None: the
            cache, which a download fills.
        path: of a CSV file, as ``smile.data.delimited`` describes it.
        target: its column to predict.
        task: ``regression``, ``classification`` or ``auto``, see ``load_csv``.
        delimiter: ``comma``, ``semicolon``, ``tab`` or ``auto``, see ``read_records``.
        cache: folder of downloads; None: the user's cache folder.

    Raises:
        DataError: in one line, what is missing or wrong.
    """
    if name in UCI:
        return _load_uci(name, directory, cache or cache_folder("uci"))
    if name in SKLEARN:
        return _load_sklearn(name)
    if path is None or target is None:
        raise DataError(f"no data set {name!r}: valid are {', '.join((*UCI, *SKLEARN, 'csv'))}")
    return load_csv(local_path(path), target, task=task, delimiter=delimiter)


# ---- UCI -----------------------------------------------------------------------------------------


def _load_uci(name: str, directory: str | None, cache: Path) -> Table:
    file = (local_path(directory) if directory else cache) / f"{name}.data"
    if directory is not None and not file.is_file():
        raise DataError(
            f"{file} does not exist: data.dir is the folder of {name}.data, or null to download it"
        )
    if not file.is_file():
        _write_table(file, _download(name))
    try:
        values = np.loadtxt(file, ndmin=2)
    except ValueError as error:
        raise DataError(f"{file} is no table of numbers apart by spaces: {error}") from None
    if (found := _digest(values)) != UCI[name].digest:
        remedy = "take the original" if directory else "remove it to download it again"
        raise DataError(
            f"{file} is not the {name} table of UCI (digest {found}, expected {UCI[name].digest}): {remedy}"
        )
    return Table(name, values[:, :-1], values[:, -1], "regression")


def _download(name: str) -> np.ndarray:
    source = UCI[name]
    if source.read is _energy:  # which pandas reads with it
        need("openpyxl", f"the file of data={name}")
    content = fetch(source.url, f"{name}.data")
    try:
        values = source.read(zipfile.ZipFile(io.BytesIO(content)).read(source.member))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{source.url} no longer holds {source.member} ({error}): set data.dir to a folder that holds {name}.data"
        ) from None
    if (found := _digest(values)) != source.digest:
        raise DataError(
            f"{source.url} no longer holds the {name} table (digest {found}, expected {source.digest})"
        )
    return values


def _digest(values: np.ndarray) -> str:
    """Of the numbers, not of how a file spells them."""
    text = "\n".join(" ".join(f"{value:.6g}" for value in row) for row in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_table(file: Path, values: np.ndarray) -> None:
    text = io.BytesIO()
    np.savetxt(text, values, fmt="%.10g")
    keep(file, text.getvalue())


# ---- scikit-learn --------------------------------------------------------------------------------


def _load_sklearn(name: str) -> Table:
    need("sklearn", f"data={name}")
    from sklearn import datasets  # takes a second to import

    match name:
        case "diabetes":
            x, y = datasets.load_diabetes(return_X_y=True)
            return Table(name, x, y, "regression")
        case "digits" | "wine":
            found = getattr(datasets, f"load_{name}")()
            classes = tuple(str(label) for label in found.target_names)
            return Table(name, found.data, found.target, "classification", classes)
        case never:
            raise DataError(f"no data set {never!r} of scikit-learn: valid are {', '.join(SKLEARN)}")

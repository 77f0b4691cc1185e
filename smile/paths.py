"""Where the configuration and the experiments lie: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["SCALES", "conf_dir", "experiment_dir", "experiments_dir", "local_path"]

SCALES = ("full", "paper", "desk", "quick", "smoke")  # how much work; the largest first

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The folder of the Hydra groups."""
    return _find("conf")


def experiments_dir() -> Path:
    """The folder of table specifications and published values."""
    return _find("experiments")


def local_path(path: str | Path) -> Path:
    """A user's path; ``~`` is the home folder, which a shell fills in only where a word begins with it."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises where there is no such user


def experiment_dir(results: str | Path, experiment: str, scale: str) -> Path:
    """An experiment's folder for runs, tables and figures: the paper's scale on top, others in folders below."""
    top = local_path(results) / experiment
    return top if scale == "paper" else top / scale


def _find(name: str) -> Path:
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"no folder {name!r} in or beside {_PACKAGE}: reinstall smile")

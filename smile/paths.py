"""Where the configuration and the experiments lie: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SCALES", "conf_dir", "experiment_dir", "experiments_dir"]

SCALES = ("full", "paper", "quick", "smoke")  # how much work; the largest first

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The folder of the Hydra groups."""
    return _find("conf")


def experiments_dir() -> Path:
    """The folder of table specifications and published values."""
    return _find("experiments")


def experiment_dir(results: str | Path, experiment: str, scale: str) -> Path:
    """An experiment's folder for runs, tables and figures: the paper's scale on top, others in folders below."""
    top = Path(results) / experiment
    return top if scale == "paper" else top / scale


def _find(name: str) -> Path:
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"no folder {name!r} in or beside {_PACKAGE}: reinstall smile")

"""Packages that only some installations have, and the line that says which extra of ``smile-bnn`` brings them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NamedTuple

from smile.options import ConfigError

__all__ = ["EXTRAS", "MissingExtraError", "is_installed", "missing", "need"]


class _Extra(NamedTuple):
    """Where a module comes from: the name on the package index, and the extra that brings it."""

    package: str
    name: str


# Module -> extra.
EXTRAS = {
    "PIL": _Extra("Pillow", "images"),
    "arviz_base": _Extra("arviz-base", "arviz"),
    "equinox": _Extra("equinox", "equinox"),
    "huggingface_hub": _Extra("huggingface_hub", "images"),
    "matplotlib": _Extra("matplotlib", "plots"),
    "mlflow": _Extra("mlflow-skinny", "mlflow"),
    "openpyxl": _Extra("openpyxl", "data"),
    "optuna": _Extra("optuna", "optuna"),
    "sklearn": _Extra("scikit-learn", "data"),
    "submitit": _Extra("submitit", "slurm"),
    "tensorboardX": _Extra("tensorboardX", "tensorboard"),
    "wandb": _Extra("wandb", "wandb"),
}


class MissingExtraError(ConfigError, ImportError):
    """What is wanted needs a package that is not installed, in one line that names the extra which brings it."""

    def __init__(self, wanted: str, module: str) -> None:
        ImportError.__init__(self, f"{wanted} needs {missing(module)}", name=module)


def is_installed(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None


def missing(module: str) -> str:
    """What to do about a module that is not installed."""
    extra = EXTRAS[module]
    return f"{extra.package}, which is not installed: pip install 'smile-bnn[{extra.name}]'"


def need(module: str, wanted: str) -> None:
    """Holds the place of every import of a package that only some installations have.

    Args:
        module: of ``EXTRAS``.
        wanted: what needs it, such as ``data=digits``.

    Raises:
        MissingExtraError: where it is not installed.
    """
    if not is_installed(module):
        raise MissingExtraError(wanted, module)

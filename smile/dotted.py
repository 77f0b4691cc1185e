"""A user's own code enters through dotted paths only."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["import_callable", "one_line"]


def import_callable(path: str) -> Callable[..., Any]:
    """Imports ``package.module.name``, also from the working directory.

    Raises:
        ValueError: in one line, what is wrong with the path.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ValueError(f"{path!r} is no dotted path such as my_package.my_module.my_function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"cannot import {module_name!r}: {one_line(error)}") from error
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, dir(module), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{module_name!r} has no function {name!r}{hint}")
    if not callable(found := getattr(module, name)):
        raise ValueError(f"{path} is a {type(found).__name__}, not a function")
    return found


def one_line(error: Exception) -> str:
    """Kind and first line of an exception."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {message}"

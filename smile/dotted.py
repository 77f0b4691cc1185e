"""A user's own code enters through dotted paths only."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from smile.code import FAULTS, code_digest, explained

__all__ = ["import_callable", "users_code"]

# Modules as this process imported them, with the digests of their code at that time.
_imported: dict[str, tuple[ModuleType, str]] = {}


def import_callable(path: str, digest: str = "") -> Callable[..., Any]:
    """Imports ``package.module.name``, also from the working directory.

    Args:
        path: the dotted path.
        digest: that the code must have, see ``smile.code``; empty: any.

    Raises:
        ValueError: in one line, what is wrong with the path, or that the code has another digest.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ValueError(f"{path!r} is no dotted path such as my_package.my_module.my_function")
    module = _import(module_name, digest)
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, dir(module), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{module_name!r} has no function {name!r}{hint}")
    if not callable(found := getattr(module, name)):
        raise ValueError(f"{path} is a {type(found).__name__}, not a function")
    return found


@contextmanager
def users_code(doing: str) -> Iterator[None]:
    """Whatever a user's code raises in the body becomes one line with its place, also where it ends the program.

    Args:
        doing: what the message begins with, such as ``my_target() raised``.

    Raises:
        ValueError: in place of what the body raised.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as error:
        # of a parser of arguments; what it printed is part of the one line
        last = next((line for line in reversed(said.getvalue().splitlines()) if line.strip()), "")
        after = f" after {last.strip()!r}" if last else ""
        raise ValueError(
            f"{doing} {explained(error)}{after}: what ends a program is no part of it"
        ) from error
    except FAULTS as error:
        print(said.getvalue(), end="", file=sys.stderr)
        raise ValueError(f"{doing} {explained(error)}") from error
    print(said.getvalue(), end="", file=sys.stderr)


def _import(name: str, digest: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    changed = (
        f"{name!r}, or a module that it imports, is not what it was when the run was named: start it again"
    )
    if (known := sys.modules.get(name)) is not None:
        module, had = _imported.get(name, (None, ""))
        if module is known and digest and had != digest:
            raise ValueError(changed)
        return known
    found = code_digest(name)
    if digest and found != digest:
        raise ValueError(changed)
    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # bytecode cannot tell two versions of one second and one size apart
    try:
        with users_code(f"cannot import {name!r}:"):
            module = importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = writes
    _imported[name] = (module, found)
    return module

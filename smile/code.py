"""Code that is not smile's own: a digest that names it, and the line of it that an exception came from.

A user's module determines numbers but is named by a path alone, so that run ids contain the digest of what it says.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

__all__ = ["FAULTS", "code_digest", "explained", "module_of", "place_of"]

# What other people's code may raise; interruptions and requests to stop are no faults of theirs.
FAULTS = (Exception, SystemExit)

_OURS = __name__.partition(".")[0]
_INSTALLED = ("site-packages", "dist-packages")


def module_of(options: object) -> str:
    """The module of a choice that is not smile's own: of its ``factory``, or of a class that another package registers.

    Returns:
        Its dotted path; empty where there is none.
    """
    factory: str = getattr(options, "factory", "")
    module = factory.rpartition(".")[0] if factory else type(options).__module__
    return "" if module.partition(".")[0] == _OURS else module


# ---- digests -------------------------------------------------------------------------------------


def code_digest(module: str) -> str:
    """Twelve hexadecimal digits of the source of a module and of all that it imports; nothing is executed.

    Left out are Python, smile and what is installed, but for the package that the module itself belongs to. What code
    reads or imports by a name that it computes is not seen.

    Args:
        module: dotted path, looked for in the working directory first.

    Returns:
        The digest; empty where there is no such module.
    """
    own = module.partition(".")[0]
    found: dict[str, str] = {}
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        top = name.partition(".")[0]
        spec = None if top in (_OURS, *sys.builtin_module_names) else _find(name)
        if spec is None or spec.origin is None or not spec.has_location:
            continue
        if top != own and not _is_users(spec.origin):
            continue
        try:
            stat = os.stat(spec.origin)
            digest, imports = _read(spec.origin, stat.st_mtime_ns, stat.st_size)
        except OSError:
            continue
        found[name] = digest
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        waiting += _absolute(imports, package)
    if module not in found:
        return ""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:12]


_Import = tuple[int, str, tuple[str, ...]]  # dots before the name, the name, what is taken from it


@lru_cache(maxsize=4096)
def _read(file: str, modified: int, size: int) -> tuple[str, tuple[_Import, ...]]:
    """Digest and imports of a file as it was at that time."""
    content = Path(file).read_bytes()
    imports: list[_Import] = []
    try:
        nodes = list(ast.walk(ast.parse(content))) if file.endswith(".py") else []
    except (SyntaxError, ValueError):  # which importing it will explain
        nodes = []
    for node in nodes:
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    return hashlib.sha256(content).hexdigest(), tuple(imports)


def _absolute(imports: tuple[_Import, ...], package: str) -> Iterator[str]:
    """Every module that may be meant: what is taken from a package may be one."""
    for level, name, taken in imports:
        base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        stem = ".".join(filter(None, [*base, name]))
        yield stem
        yield from (f"{stem}.{one}" for one in taken if stem)


def _find(name: str) -> ModuleSpec | None:
    """As an import would, but without executing the packages around it."""
    path: list[str] | None = None
    spec = None
    for end in range(1, name.count(".") + 2):
        spec = _find_in(".".join(name.split(".")[:end]), path)
        if spec is None:
            return None
        locations = spec.submodule_search_locations
        # the path of a namespace package asks for the package around it, which is not imported
        path = [] if locations is None else list(getattr(locations, "_path", locations))
    return spec


def _find_in(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        where = [str(Path.cwd()), *sys.path] if finder is PathFinder and path is None else path
        try:
            spec: ModuleSpec | None = finder.find_spec(name, where, None)
        except KeyError:  # of a namespace package, which asks for one around it that is not imported
            spec = ModuleSpec(name, None, is_package=True)
            folders = (Path(one, name.rpartition(".")[2]) for one in path or ())
            spec.submodule_search_locations = [str(folder) for folder in folders if folder.is_dir()]
        if spec is not None:
            return spec
    return None


@cache
def _is_users(file: str) -> bool:
    """Whether a file is part neither of Python, nor of smile, nor of an installed package."""
    path = Path(file).resolve()
    ours = Path(__file__).resolve().parent
    python = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    is_installed = any(part in _INSTALLED for part in path.parts)
    return not is_installed and not any(path.is_relative_to(folder) for folder in (ours, *python))


# ---- exceptions ----------------------------------------------------------------------------------


def explained(error: BaseException, module: str = "") -> str:
    """Kind and first line of an exception, and the last line of other people's code that it came from.

    Args:
        error: the exception.
        module: of an installed package whose lines count as well.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    place = place_of(error, module)
    return f"{message} ({place})" if place else message


def place_of(error: BaseException, module: str = "") -> str:
    """``file, line n`` of other people's code; empty where an exception has not been through any."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return f"{_shown(error.filename)}, line {error.lineno}"
    top, found = module.partition(".")[0], ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if os.path.isfile(file) and ((top and name == top) or _is_users(file)):
            found = f"{_shown(file)}, line {line}"
    cause = error.__cause__ or error.__context__
    return found or (place_of(cause, module) if cause is not None else "")


def _shown(file: str) -> str:
    path = Path(file).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

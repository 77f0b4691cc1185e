"""The table of a group: from the name of a choice to the class that declares it.

Our own choices stand in one explicit table per room; other packages add theirs as entry points of the group, for
example ``[project.entry-points."smile.samplers"]``. Names are known without importing anybody's code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from smile.code import FAULTS, explained
from smile.options import ConfigError, Options

__all__ = ["ENTRY_POINTS", "Choices", "config_folders"]

# Group of Hydra -> group of entry points.
ENTRY_POINTS = {
    "data": "smile.data",
    "model": "smile.models",
    "target": "smile.targets",
    "noise": "smile.noise",
    "sampler": "smile.samplers",
    "tuner": "smile.tuners",
}


T = TypeVar("T", bound=Options)


class Choices(Mapping[str, type[T] | None], Generic[T]):
    """The choices of a group; None stands for a choice that has nothing to build.

    Args:
        group: its name on the command line.
        base: what every choice is a subclass of.
        own: those of this package.
    """

    def __init__(self, group: str, base: type[T], own: Mapping[str, type[T] | None]) -> None:
        self.group, self._base, self._own = group, base, own

    def __iter__(self) -> Iterator[str]:
        return iter((*self._own, *_registered(self.group, tuple(self._own))))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(name == known for known in self)

    def __getitem__(self, name: str) -> type[T] | None:
        """The declaration.

        Raises:
            KeyError: where there is no such choice.
            ConfigError: where another package declares it wrongly.
        """
        if name in self._own:
            found: object = self._own[name]
            if found is None:
                return None
            origin = "smile itself"
        else:
            entry = _registered(self.group, tuple(self._own))[name]
            found, origin = _load(self.group, entry), _origin(entry)
        return self._checked(name, found, origin)

    def make(self, name: str, **options: Any) -> T:
        """The choice with its options, checked.

        Raises:
            ConfigError: where there is no such choice, or an option is wrong.
        """
        found = self.get(name)
        if found is None:
            raise ConfigError(self.group, name, (name for name, one in self.items() if one))
        return found(name=name, **options)

    def _checked(self, name: str, found: object, origin: str) -> type[T]:
        """Raises ConfigError in place of what would go wrong in the middle of a run."""
        base, where = self._base, f"{self.group}={name}"
        if not isinstance(found, type) or not issubclass(found, base):
            raise ConfigError(where, origin, f"a subclass of {base.__module__}.{base.__qualname__}")
        if not dataclasses.is_dataclass(found):
            raise ConfigError(where, origin, "a frozen dataclass")
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise ConfigError(where, origin, f"a class that defines {', '.join(missing)}")
        known = {field.name for field in dataclasses.fields(base)}
        for field in dataclasses.fields(found):
            if field.name not in known and "convert" not in field.metadata:
                raise ConfigError(
                    where, origin, f"a class whose field {field.name!r} is declared with smile.options.option"
                )
        return found


@cache
def _registered(group: str, own: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Entry points by name.

    Raises:
        ConfigError: where a name is taken.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINTS[group]) if group in ENTRY_POINTS else ():
        other = (
            "smile itself" if entry.name in own else _origin(found[entry.name]) if entry.name in found else ""
        )
        if other:
            raise ConfigError(
                f"{group}={entry.name}", _origin(entry), f"a name that is free; {other} has this one"
            )
        found[entry.name] = entry
    return found


def _load(group: str, entry: EntryPoint) -> object:
    try:
        return entry.load()
    except FAULTS as error:
        valid = f"what can be imported; {explained(error, entry.module)}"
        raise ConfigError(f"{group}={entry.name}", _origin(entry), valid) from None


def _origin(entry: EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"{entry.value}{package}"


@cache  # looking through all installed packages is a third of composing a config
def config_folders() -> tuple[Path, ...]:
    """Folders ``conf`` beside the code of packages that register choices: their YAML joins ours."""
    folders: dict[Path, None] = {}
    for group in ENTRY_POINTS.values():
        for entry in entry_points(group=group):
            try:
                spec = find_spec(entry.module.partition(".")[0])
            except (ImportError, ValueError):  # choosing it will say so
                continue
            for place in (spec and spec.submodule_search_locations) or ():
                if (folder := Path(place) / "conf").is_dir():
                    folders[folder] = None
    return tuple(folders)

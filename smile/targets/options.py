"""What every ``target=...`` declares; networks add theirs in ``smile.targets.bnn``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from smile.base import Target
from smile.options import ConfigError, Options, choice, option

__all__ = ["AnalyticTarget", "BenchmarkTarget", "TargetOptions"]


@dataclass(frozen=True, kw_only=True)
class TargetOptions(Options):
    """The posterior."""

    group: ClassVar[str] = "target"


@dataclass(frozen=True, kw_only=True)
class AnalyticTarget(TargetOptions):
    """A posterior that is one function, without a data set or a network of other groups.

    Attributes:
        has_known_scales: whether noise with other scales than one makes sense in the units of its coordinates.
        factory: dotted path of the user's function that makes it; empty where it is nobody's.
        moments: which of the target's second moments define the bias.
        dim: number of coordinates; 0 where only the built target knows.
        has_batches: whether gradients are noisy because they are those of some rows of its own data.
    """

    has_known_scales: ClassVar[bool] = True

    # No annotations: what some subclasses make an option is a constant of the others.
    factory = ""
    moments = "exact"
    dim = 0

    @property
    def has_batches(self) -> bool:
        """Unless a subclass has data."""
        return False

    @abstractmethod
    def build(self) -> Target:
        """The posterior, without noise.

        Raises:
            ValueError: in one line, what is wrong with it.
        """


@dataclass(frozen=True, kw_only=True)
class BenchmarkTarget(AnalyticTarget):
    """A target of Table 1, of which the public code has second moments of its own.

    Attributes:
        start: where chains start; at the mode a chain that stands still has a small bias (PROTOCOL 13.2).
    """

    moments: Literal["exact", "reference"] = option(choice("exact", "reference"))
    start: Literal["mode", "exact"] = option(choice("mode", "exact"), neutral="mode")

    def build(self) -> Target:
        """The posterior, whose chains start at the mode or at exact draws."""
        target = self._target()
        return target.started_exactly() if self.start == "exact" else target

    @abstractmethod
    def _target(self) -> Target:
        """The posterior, whose chains start at the mode."""

    def _check_moments(self, **needed: float) -> None:
        """The public code's constants belong to these values of the options."""
        given = {name: getattr(self, name) for name in needed}
        if self.moments == "reference" and given != needed:
            values = " ".join(f"target.{name}={value:g}" for name, value in needed.items())
            valid = f"exact, because the public code's constants need {values}"
            raise ConfigError("target.moments", "reference", valid)

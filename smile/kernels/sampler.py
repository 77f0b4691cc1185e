"""What every ``sampler=...`` declares: its options, what it needs beside them, and how its kernel is made."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from smile.base import BatchNoise, Build, Kernel, Langevin
from smile.options import Options

__all__ = ["Sampler"]


@dataclass(frozen=True, kw_only=True)
class Sampler(Options):
    """The dynamics.

    Attributes:
        has_energy: whether steps report an energy error, which some tuners watch.
        is_full_batch: whether gradients are those of all data, without noise.
        tuned_by: the tuner that must adapt it before it can sample; None: it needs none.
    """

    group: ClassVar[str] = "sampler"

    has_energy: ClassVar[bool] = False
    is_full_batch: ClassVar[bool] = False
    tuned_by: ClassVar[str | None] = None

    @property
    def parts(self) -> int:
        """Into how many independent parts it divides the batch of a step; 1: it does not."""
        return 1

    @property
    def is_weighted(self) -> bool:
        """Whether positions do not count equally, which averages over draws must know."""
        return False

    @property
    def needs_noise(self) -> bool:
        """Whether the noise of the gradients is all the randomness that there is."""
        return False

    @property
    def uncounted_steps(self) -> int:
        """At the beginning of a chain, whose positions have no weight."""
        return 0

    @property
    def needs_subsampling(self) -> bool:
        """Whether gradients must be those of some rows of many, see ``smile.base.Subsampling``."""
        return False

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """The Langevin equation that the sampler is close to; None: nobody has derived one."""
        return None

    @abstractmethod
    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """The kernel.

        Args:
            build: what the run is.
            adapted: what the tuner ``tuned_by`` found before sampling.

        Raises:
            ConfigError: where the run is not what the sampler needs.
        """

"""What every ``tuner=...`` declares: its options, what it needs of the sampler, and how it is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
from jax.typing import ArrayLike

from smile.base import Build, Position
from smile.options import Options
from smile.tuners.base import Tuner, constant

__all__ = ["Adaptation", "Adapted", "AdaptingTuner", "NoTuner", "TunerOptions"]


@dataclass(frozen=True, kw_only=True)
class TunerOptions(Options):
    """Step-size control.

    Attributes:
        needs_energy: whether it watches the energy error of steps.
        wants_same_batch_energy: whether both ends of a step are to be judged on the same batch.
    """

    group: ClassVar[str] = "tuner"

    needs_energy: ClassVar[bool] = False
    wants_same_batch_energy: ClassVar[bool] = False

    @property
    def wants_reference_kernel(self) -> bool:
        """Whether kernels start and restart as those of the public code, see ``smile.base.Build``."""
        return False

    @abstractmethod
    def build(self, build: Build) -> Tuner:
        """The tuner that goes along with the sampler."""


@dataclass(frozen=True, kw_only=True)
class NoTuner(TunerOptions):
    """``tuner=none``: the step size stays as given."""

    def build(self, build: Build) -> Tuner:
        """No control."""
        return constant()


class Adapted(NamedTuple):
    """What an adaptation found for every chain.

    Attributes:
        parameters: what ``Sampler.build`` takes as ``adapted``, leaves (chains, ...).
        step_size: (chains,).
        position: that it reached, leaves (chains, ...).
        fall: how far, per dimension, the log density was below that of the start at the worst step, (chains,); None
            where nobody looked.
    """

    parameters: Any
    step_size: ArrayLike
    position: Position
    fall: ArrayLike | None = None


class Adaptation(NamedTuple):
    """An adaptation of one chain that can stop between two steps and go on; everything vmaps.

    Attributes:
        num_steps: that it takes.
        init: ``(position, key, batch) -> state``; the batch is all data.
        step: ``(state, key, index, batch) -> state``, index from 0.
        result: ``state -> Adapted``, after all steps.
    """

    num_steps: int
    init: Callable[[Position, jax.Array, Any], Any]
    step: Callable[[Any, jax.Array, jax.Array, Any], Any]
    result: Callable[[Any], Adapted]


@dataclass(frozen=True, kw_only=True)
class AdaptingTuner(TunerOptions):
    """A tuner that does its work before sampling, on the full batch, and finds step sizes by itself.

    Attributes:
        num_steps: that it takes, each of which costs as much as one of sampling.
    """

    num_steps: int

    @abstractmethod
    def adapt(
        self, logdensity_fn: Callable[[Position], jax.Array], positions: Position, keys: jax.Array
    ) -> Adapted:
        """Adapts every chain.

        Args:
            logdensity_fn: of the full batch, for one chain.
            positions: where chains start, leaves (chains, ...).
            keys: (chains,).
        """

    def stepwise(self, logdensity_fn: Callable[[Position, Any], jax.Array]) -> Adaptation | None:
        """The same in steps between which a run can stop, of ``(position, batch) -> scalar``; None: it cannot."""
        return None

    def build(self, build: Build) -> Tuner:
        """No control while sampling."""
        return constant()

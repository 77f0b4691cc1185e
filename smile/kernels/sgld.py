"""Stochastic gradient Langevin dynamics (Welling & Teh 2011).

    x <- x + eps grad(x, b) + sqrt(2 T eps) xi,   xi ~ N(0, I)

leaves exp(log p / T) invariant as eps -> 0. Differs from Eq. 4 of the paper: eps, not eps / 2, multiplies the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import BatchNoise, Build, Kernel, Langevin, SamplingAlgorithm
from smile.kernels.checks import check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.sampler import Sampler
from smile.options import number, option

__all__ = ["SGLD", "SGLDState", "sgld"]


class SGLDState(NamedTuple):
    """The position, leaves (..., *chains)."""

    position: Any


def sgld(logdensity_fn: Callable[[Any, Any], jax.Array], *, temperature: float = 1.0) -> SamplingAlgorithm:
    """SGLD with one gradient evaluation per step.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        temperature: T >= 0; 1 targets the posterior, 0 is gradient ascent.

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says.
    """
    check_range("temperature", temperature, "[0, inf)")
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def init(position: Any, key: jax.Array, batch: Any) -> SGLDState:
        return SGLDState(position)

    def step(key: jax.Array, state: SGLDState, batch: Any, step_size: jax.Array) -> tuple[SGLDState, Any]:
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        position = tree.axpy(step_size, gradient, state.position)
        noise = tree.random_normal(key, position)
        position = tree.axpy(jnp.sqrt(2 * temperature * step_size), noise, position)
        return SGLDState(position), info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class SGLD(Sampler):
    """``sampler=sgld``."""

    temperature: float = option(number(0))

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """Without inertia; at other temperatures than one it samples another distribution anyway."""
        return Langevin(step_size, 0.0, "nothing", has_inertia=False) if self.temperature == 1 else None

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """SGLD."""
        return partial(sgld, temperature=self.temperature)

"""Stochastic gradient Hamiltonian Monte Carlo (Chen, Fox & Guestrin 2014), unit mass, momentum carried across steps.

    p <- (1 - alpha eps) p + eps grad(x, b) + sqrt(2 alpha eps) xi,   xi ~ N(0, I)
    x <- x + eps p

The public code's analytic baseline redraws p at every step and moves x first, so that no gradient reaches x: a random
walk x + eps xi (docs/deviations.md, A1), kept as ``momentum="redrawn"``. Carrying p is what the method asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import BatchNoise, Build, Kernel, Langevin, SamplingAlgorithm
from smile.kernels.checks import check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.sampler import Sampler
from smile.options import choice, number, option, require

__all__ = ["SGHMC", "SGHMCState", "sghmc"]

_MOMENTUM = choice("carried", "redrawn")


class SGHMCState(NamedTuple):
    """Position and momentum, leaves (..., *chains)."""

    position: Any
    momentum: Any


def sghmc(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    friction: float = 10.0,
    momentum: Literal["carried", "redrawn"] = "carried",
) -> SamplingAlgorithm:
    """SGHMC with one gradient evaluation per step and no estimate of the gradient noise (beta-hat = 0).

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        friction: alpha > 0, per unit of time. More friction drowns more gradient noise and explores more slowly.
        momentum: ``redrawn``: the public code's random walk.

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says.
    """
    check_range("friction", friction, "(0, inf)")
    require("momentum", momentum, _MOMENTUM)
    is_redrawn = momentum == "redrawn"
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def init(position: Any, key: jax.Array, batch: Any) -> SGHMCState:
        return SGHMCState(position, tree.random_normal(key, position))

    def step(key: jax.Array, state: SGHMCState, batch: Any, step_size: jax.Array) -> tuple[SGHMCState, Any]:
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        noise = tree.random_normal(key, state.momentum)
        if is_redrawn:  # what the gradient adds is thrown away with the momentum before it can move x
            position = tree.axpy(step_size, noise, state.position)
            return SGHMCState(position, noise), info_without_energy(position, logdensity)
        momentum = tree.axpy(-friction * step_size, state.momentum, state.momentum)
        momentum = tree.axpy(step_size, gradient, momentum)
        momentum = tree.axpy(jnp.sqrt(2 * friction * step_size), noise, momentum)
        position = tree.axpy(step_size, momentum, state.position)
        return SGHMCState(position, momentum), info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class SGHMC(Sampler):
    """``sampler=sghmc``."""

    friction: float = option(number(0))
    momentum: Literal["carried", "redrawn"] = option(_MOMENTUM, neutral="carried")

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """Itself."""
        return Langevin(step_size, self.friction, "nothing") if self.momentum == "carried" else None

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """SGHMC."""
        return partial(sghmc, friction=self.friction, momentum=self.momentum)

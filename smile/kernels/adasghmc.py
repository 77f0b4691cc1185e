"""SGHMC with an adaptive preconditioner (Springenberg et al. 2016, "Bayesian optimization with robust Bayesian neural
networks", section 4), with momentum p of mass S, the running root mean square of the gradient:

    r <- 1 / (tau + 1),  tau <- tau (1 - s^2 / S^2) + 1        window of the running means, elementwise
    s <- (1 - r) s - r g,  S^2 <- (1 - r) S^2 + r g^2
    p <- (1 - alpha) p + eps g + xi sqrt(2 alpha S - eps^2 S^2),   xi ~ N(0, I)
    x <- x + eps p / S

so that the velocity eps p / S follows the paper's update with step size eps. A noise variance below 1e-7 is raised to
it: then eps is too large for the gradients' noise (docs/deviations.md, G3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import Build, Kernel, SamplingAlgorithm
from smile.kernels.checks import check_count, check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.sampler import Sampler
from smile.options import boolean, integer, number, option

__all__ = ["AdaSGHMC", "AdaSGHMCState", "adasghmc"]

_TINY = 1e-7


class AdaSGHMCState(NamedTuple):
    """Leaves of the pytrees are (..., *chains).

    Attributes:
        position: pytree of parameters.
        momentum: pytree like position.
        gradient: of the last step (only the public code's order needs it).
        scale: S, root mean square of the gradient.
        smooth_gradient: s, of the potential, that is of minus the log density.
        window: tau.
        num_updates: of the preconditioner, (*chains,) int32.
    """

    position: Any
    momentum: Any
    gradient: Any
    scale: Any
    smooth_gradient: Any
    window: Any
    num_updates: jax.Array


def adasghmc(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    momentum_decay: float = 0.05,
    freeze_after: int | None = None,
    reference: bool = False,
) -> SamplingAlgorithm:
    """Adaptive SGHMC with one gradient evaluation per step.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        momentum_decay: alpha in (0, 1), per step.
        freeze_after: steps after which the preconditioner stays as it is; None: never.
        reference: adapt with the gradient of the step before, zero at the start, as the public code does (G2).

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says.
    """
    check_range("momentum_decay", momentum_decay, "(0, 1)")
    check_count("freeze_after", freeze_after, or_none=True)
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def init(position: Any, key: jax.Array, batch: Any) -> AdaSGHMCState:
        logdensity, _ = jax.eval_shape(value_and_grad, position, batch)
        ones, zeros = jax.tree.map(jnp.ones_like, position), jax.tree.map(jnp.zeros_like, position)
        count = jnp.zeros(logdensity.shape, jnp.int32)
        return AdaSGHMCState(position, zeros, zeros, ones, ones, ones, count)

    def adapt(state: AdaSGHMCState, gradient: Any) -> tuple[Any, Any, Any]:
        def one(scale: Any, smooth: Any, window: Any, g: Any) -> tuple[Any, Any, Any]:
            window = window * (1 - smooth**2 / (scale**2 + _TINY)) + 1
            rate = 1 / (window + 1)
            smooth = (1 - rate) * smooth - rate * g
            scale = jnp.sqrt(jnp.maximum((1 - rate) * scale**2 + rate * g**2, _TINY))
            return scale, smooth, window

        old = (state.scale, state.smooth_gradient, state.window)
        new = jax.tree.transpose(
            jax.tree.structure(gradient), jax.tree.structure((0, 0, 0)), jax.tree.map(one, *old, gradient)
        )
        if freeze_after is None:
            return new
        return jax.tree.map(lambda n, o: jnp.where(state.num_updates < freeze_after, n, o), new, old)

    def step(
        key: jax.Array, state: AdaSGHMCState, batch: Any, step_size: jax.Array
    ) -> tuple[AdaSGHMCState, Any]:
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        scale, smooth, window = adapt(state, state.gradient if reference else gradient)
        noise = tree.random_normal(key, state.momentum)

        def moved(p: Any, g: Any, s: Any, xi: Any) -> Any:
            variance = 2 * momentum_decay * s - (step_size * s) ** 2
            p = (1 - momentum_decay) * p + step_size * g + xi * jnp.sqrt(jnp.maximum(variance, _TINY))
            return p.astype(xi.dtype)

        momentum = jax.tree.map(moved, state.momentum, gradient, scale, noise)
        position = tree.axpy(step_size, jax.tree.map(jnp.divide, momentum, scale), state.position)
        new = AdaSGHMCState(position, momentum, gradient, scale, smooth, window, state.num_updates + 1)
        return new, info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class AdaSGHMC(Sampler):
    """``sampler=adasghmc``; ``freeze_after`` 0 means that the preconditioner adapts for ever."""

    momentum_decay: float = option(number(0, 1))
    freeze_after: int = option(integer(0))  # in units of the run
    reference: bool = option(boolean)

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """Adaptive SGHMC."""
        return partial(
            adasghmc,
            momentum_decay=self.momentum_decay,
            freeze_after=self.freeze_after * build.unit or None,
            reference=self.reference,
        )

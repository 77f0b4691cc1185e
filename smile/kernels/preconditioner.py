"""Running estimate of the gradient-noise scale: maps to coordinates in which the noise is isotropic (pSMILE).

With G and V the debiased exponential mean and variance of the gradient, r_t = rate / (1 - (1 - rate)^t):

    V <- (1 - r_t) (V + r_t (g - G)^2)        deviation from the old mean, Welford's form
    G <- G + r_t (g - G)
    c = V^(-1/2) / RMS(V^(-1/2))              per-coordinate step scale, RMS one

The public code departs from this in two different ways (docs/deviations.md: A2, P1-P6), kept under ``reference``:
"analytic" starts at G = 0, D = 1 without debiasing and takes the deviation from the new mean; "network" also restarts
G at one in every step, clips D to [1e-2, 1e4] and gives D rather than 1/D an RMS of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from smile import tree
from smile.kernels.checks import check_count, check_range

__all__ = ["Preconditioner", "PreconditionerState", "gradient_noise", "identity"]


class PreconditionerState(NamedTuple):
    """Moments of the gradient: mean and variance like the position, number of updates, (*chains,) int32."""

    mean: Any
    variance: Any
    num_updates: jax.Array


class Preconditioner(NamedTuple):
    """``init(position, chain_ndim)``, ``scale(state, chain_ndim)``, ``update(state, gradient)``; no scale: identity."""

    init: Callable[[Any, int], Any]
    update: Callable[[Any, Any], Any]
    scale: Callable[[Any, int], Any] | None
    rescales_stored_gradient: bool = True


def identity() -> Preconditioner:
    """No preconditioning."""
    return Preconditioner(lambda position, chain_ndim: (), lambda state, gradient: (), None)


def gradient_noise(
    rate: float = 0.01,
    freeze_after: int | None = None,
    reference: Literal["analytic", "network"] | None = None,
) -> Preconditioner:
    """Inverse standard deviation of the mini-batch gradient, per coordinate.

    Args:
        rate: weight of a new gradient in the moving averages, in (0, 1). Until ``1/rate`` gradients have been seen the
            scale is one: a variance of few gradients says more about luck than about noise.
        freeze_after: number of updates after which the estimate stays as it is, which makes the chain Markovian.
        reference: None, or which part of the public code to follow.

    Raises:
        ValueError: where an argument is not as it says.
    """
    check_range("rate", rate, "(0, 1)")
    check_count("freeze_after", freeze_after, or_none=True)
    start_mean, start_variance = {None: (0.0, 0.0), "analytic": (0.0, 1.0), "network": (1.0, 1.0)}[reference]

    def full(like: Any, value: float) -> Any:
        return jax.tree.map(lambda x: jnp.full_like(x, value), like)

    def init(position: Any, chain_ndim: int) -> PreconditionerState:
        leaf = jax.tree.leaves(position)[0]
        count = jnp.zeros(leaf.shape[leaf.ndim - chain_ndim :], jnp.int32)
        return PreconditionerState(full(position, start_mean), full(position, start_variance), count)

    def update(state: PreconditionerState, gradient: Any) -> PreconditionerState:
        count = state.num_updates + 1
        if reference is None:
            r = -rate / jnp.expm1(count * jnp.log1p(-rate))
            mean = jax.tree.map(lambda m, g: m + (r * (g - m)).astype(m.dtype), state.mean, gradient)
            variance = jax.tree.map(
                lambda v, m, g: ((1 - r) * (v + r * (g - m) ** 2)).astype(v.dtype),
                state.variance,
                state.mean,
                gradient,
            )
        else:
            old_mean = full(gradient, start_mean) if reference == "network" else state.mean
            mean = jax.tree.map(lambda m, g: (1 - rate) * m + rate * g, old_mean, gradient)
            variance = jax.tree.map(
                lambda v, m, g: jnp.maximum(
                    (1 - rate) * v + rate * (g - m) ** 2, 1e-7 if reference == "network" else 0
                ),
                state.variance,
                mean,
                gradient,
            )
        new = PreconditionerState(mean, variance, count)
        if freeze_after is None:
            return new
        return jax.tree.map(lambda a, b: jnp.where(state.num_updates < freeze_after, a, b), new, state)

    def scale(state: PreconditionerState, chain_ndim: int) -> Any:
        dimension = tree.num_scalars(state.variance, chain_ndim)
        if reference == "network":
            deviation = jax.tree.map(lambda v: jnp.clip(jnp.sqrt(v), 1e-2, 1e4), state.variance)
            rms = jnp.sqrt(tree.vdot(deviation, deviation, chain_ndim) / dimension)
            return jax.tree.map(lambda s: rms / s, deviation)
        # The floor only keeps an exactly constant gradient from dividing by zero.
        inverse = jax.tree.map(lambda v: jax.lax.rsqrt(v + 1e-14), state.variance)
        normaliser = jax.lax.rsqrt(tree.vdot(inverse, inverse, chain_ndim) / dimension)
        ready = True if reference else state.num_updates * rate >= 1
        return jax.tree.map(lambda s: jnp.where(ready, s * normaliser, 1.0).astype(s.dtype), inverse)

    return Preconditioner(init, update, scale, rescales_stored_gradient=reference != "network")

"""Step scales of pSMILE, from a running variance of the mini-batch gradient.

With G and V the debiased exponential mean and variance of the gradient, r_t = rate / (1 - (1 - rate)^t):

    V <- (1 - r_t) (V + r_t (g - G)^2)        deviation from the old mean, Welford's form
    G <- G + r_t (g - G)

``gradient_noise`` maps to coordinates in which the noise is isotropic, ``posterior_scale`` to those in which the
posterior is, as far as the diagonal of its Fisher information tells (N rows, batches of B, prior sd s, d coordinates):

    c = V^(-1/2) / RMS(V^(-1/2))              RMS one
    c = d^(1/2) (1 / s^2 + B/N V)^(-1/2)      in all directions together a step of size one is one posterior sd

The gradient of one row has covariance B / N^2 V, which at the parameters that made the rows is its Fisher information.
A coordinate that the data do not determine gets the scale of its prior, where the inverse of its noise alone would
grow without bound and, by the RMS, shrink all others.

The public code departs from the first in two different ways (docs/deviations.md: A2, P1-P6), kept under ``reference``:
"analytic" starts at G = 0, D = 1 without debiasing and takes the deviation from the new mean; "network" also restarts
G at one in every step, clips D to [1e-2, 1e4] and gives D rather than 1/D an RMS of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from smile import tree
from smile.base import Subsampling
from smile.kernels.checks import check_count, check_range

__all__ = ["Preconditioner", "PreconditionerState", "gradient_noise", "identity", "posterior_scale"]


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

    def init(position: Any, chain_ndim: int) -> PreconditionerState:
        return _moments(position, chain_ndim, start_mean, start_variance)

    def update(state: PreconditionerState, gradient: Any) -> PreconditionerState:
        if reference is None:
            return _debiased_update(state, gradient, rate)
        old_mean = _full(gradient, start_mean) if reference == "network" else state.mean
        mean = jax.tree.map(lambda m, g: (1 - rate) * m + rate * g, old_mean, gradient)
        variance = jax.tree.map(
            lambda v, m, g: jnp.maximum(
                (1 - rate) * v + rate * (g - m) ** 2, 1e-7 if reference == "network" else 0
            ),
            state.variance,
            mean,
            gradient,
        )
        return PreconditionerState(mean, variance, state.num_updates + 1)

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

    return Preconditioner(
        init, _freezing(update, freeze_after), scale, rescales_stored_gradient=reference != "network"
    )


def posterior_scale(
    subsampling: Subsampling, rate: float = 0.01, freeze_after: int | None = None
) -> Preconditioner:
    """Diagonal-Fisher estimate of the posterior standard deviation, times the root of the dimension.

    Args:
        subsampling: the rows, batches and prior of the log density.
        rate: weight of a new gradient in the moving averages, in (0, 1). Until ``1/rate`` gradients have been seen the
            scale is zero: the chain stands still.
        freeze_after: number of updates after which the estimate stays as it is, which makes the chain Markovian.

    Raises:
        ValueError: where an argument is not as it says, or a batch has all rows: there is no noise to learn from.
    """
    check_range("rate", rate, "(0, 1)")
    check_count("freeze_after", freeze_after, or_none=True)
    rows, batch = subsampling.num_rows, subsampling.batch_size
    if not 1 <= batch < rows:
        raise ValueError(f"batch_size={batch}: give a whole number >= 1 and below the num_rows={rows:g}")
    for sd in jax.tree.leaves(subsampling.prior_sd):
        check_range("prior_sd", sd, "(0, inf)")

    def init(position: Any, chain_ndim: int) -> PreconditionerState:
        return _moments(position, chain_ndim, 0.0, 0.0)

    def update(state: PreconditionerState, gradient: Any) -> PreconditionerState:
        return _debiased_update(state, gradient, rate)

    def scale(state: PreconditionerState, chain_ndim: int) -> Any:
        root = tree.num_scalars(state.variance, chain_ndim) ** 0.5
        is_ready = state.num_updates * rate >= 1

        def one_leaf(sd: Any, variance: jax.Array) -> jax.Array:
            if jnp.ndim(sd):
                sd = jnp.reshape(sd, jnp.shape(sd) + (1,) * chain_ndim)
            scale = root * jax.lax.rsqrt(sd**-2.0 + batch / rows * variance)
            return jnp.where(is_ready, scale, 0.0).astype(variance.dtype)

        prior_sd = jax.tree.broadcast(subsampling.prior_sd, state.variance)
        return jax.tree.map(one_leaf, prior_sd, state.variance)

    return Preconditioner(init, _freezing(update, freeze_after), scale)


def _full(like: Any, value: float) -> Any:
    return jax.tree.map(lambda x: jnp.full_like(x, value), like)


def _moments(position: Any, chain_ndim: int, mean: float, variance: float) -> PreconditionerState:
    leaf = jax.tree.leaves(position)[0]
    count = jnp.zeros(leaf.shape[leaf.ndim - chain_ndim :], jnp.int32)
    return PreconditionerState(_full(position, mean), _full(position, variance), count)


def _debiased_update(state: PreconditionerState, gradient: Any, rate: float) -> PreconditionerState:
    count = state.num_updates + 1
    r = -rate / jnp.expm1(count * jnp.log1p(-rate))
    mean = jax.tree.map(lambda m, g: m + (r * (g - m)).astype(m.dtype), state.mean, gradient)
    variance = jax.tree.map(
        lambda v, m, g: ((1 - r) * (v + r * (g - m) ** 2)).astype(v.dtype),
        state.variance,
        state.mean,
        gradient,
    )
    return PreconditionerState(mean, variance, count)


def _freezing(update: Callable[[Any, Any], Any], freeze_after: int | None) -> Callable[[Any, Any], Any]:
    """The same update until ``freeze_after`` of them have been made."""
    if freeze_after is None:
        return update

    def until_frozen(state: PreconditionerState, gradient: Any) -> PreconditionerState:
        new = update(state, gradient)
        return jax.tree.map(lambda a, b: jnp.where(state.num_updates < freeze_after, a, b), new, state)

    return until_frozen

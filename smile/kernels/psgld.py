"""Preconditioned stochastic gradient Langevin dynamics (Li, Chen, Carlson & Carin 2016, "Preconditioned stochastic
gradient Langevin dynamics for deep neural networks", Algorithm 1), with the preconditioner of RMSprop:

    V <- V + r_t (g^2 - V),   r_t = rate / (1 - (1 - rate)^t),   g = grad(x, b)
    G = 1 / (lambda + sqrt(V))
    x <- x + eps G g + sqrt(2 eps G) xi,   xi ~ N(0, I)

Differs from Algorithm 1: eps, not eps / 2, multiplies the gradient, as in sgld; V is debiased, where theirs starts at
zero and makes first steps of up to 1 / lambda; g is the gradient of the log density, not its mean over rows, so that
lambda and eps have other units. A chain that starts where gradients are zero, without noise, still steps by 1 / lambda.

The term Gamma_i = sum_j dG_ij / dx_j of Eq. 5, without which dynamics whose G changes with x leave another distribution
invariant, is left out, as the paper does in its experiments. It is of the order of the rate, and no step size removes
the bias; ``freeze_after`` does, after which the chain is SGLD with a constant metric, of first order in eps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile import tree
from smile.base import BatchNoise, Build, Kernel, Langevin, SamplingAlgorithm
from smile.kernels.checks import check_count, check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.sampler import Sampler
from smile.options import integer, number, option, optional

__all__ = ["PSGLD", "PSGLDState", "psgld"]


class PSGLDState(NamedTuple):
    """Position and mean square V of the gradient, leaves (..., *chains); gradients behind V, (*chains,) int32."""

    position: Any
    square: Any
    num_updates: jax.Array


def psgld(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    rate: float = 0.01,
    damping: float = 1e-5,
    freeze_after: int | None = None,
) -> SamplingAlgorithm:
    """PSGLD with one gradient evaluation per step.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        rate: weight of a new gradient in V, in (0, 1); one minus the paper's alpha.
        damping: lambda > 0, in the unit of a gradient: what has smaller ones moves no farther for that.
        freeze_after: number of steps after which V stays as it is, which makes the chain Markovian; None: never.

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says.
    """
    check_range("rate", rate, "(0, 1)")
    check_range("damping", damping, "(0, inf)")
    check_count("freeze_after", freeze_after, or_none=True)
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def init(position: Any, key: jax.Array, batch: Any) -> PSGLDState:
        logdensity, _ = jax.eval_shape(value_and_grad, position, batch)
        return PSGLDState(
            position, jax.tree.map(jnp.zeros_like, position), jnp.zeros(logdensity.shape, jnp.int32)
        )

    def step(key: jax.Array, state: PSGLDState, batch: Any, step_size: jax.Array) -> tuple[PSGLDState, Any]:
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        count = state.num_updates + 1
        weight = -rate / jnp.expm1(count * jnp.log1p(-rate))
        if freeze_after is not None:
            weight = jnp.where(state.num_updates < freeze_after, weight, 0.0)
        square = jax.tree.map(lambda v, g: v + (weight * (g**2 - v)).astype(v.dtype), state.square, gradient)
        metric = jax.tree.map(lambda v: 1 / (damping + jnp.sqrt(v)), square)
        drift = jax.tree.map(jnp.multiply, metric, gradient)
        noise = jax.tree.map(lambda c, xi: jnp.sqrt(c) * xi, metric, tree.random_normal(key, state.position))
        position = tree.axpy(step_size, drift, state.position)
        position = tree.axpy(jnp.sqrt(2 * step_size), noise, position)
        return PSGLDState(position, square, count), info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class PSGLD(Sampler):
    """``sampler=psgld``."""

    ema_rate: float = option(number(0, 1))
    damping: float = option(number(0))
    freeze_after: int | None = option(optional(integer(1)))

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """Without inertia, in the coordinates that the mean square of the gradient scales."""
        square = np.diag(noise.covariance) + np.diag(noise.precision)
        scale = 1 / np.sqrt(self.damping + np.sqrt(square))
        return Langevin(step_size, 0.0, "nothing", has_inertia=False, scale=scale)

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """PSGLD."""
        frozen = None if self.freeze_after is None else self.freeze_after * build.unit
        return partial(psgld, rate=self.ema_rate, damping=self.damping, freeze_after=frozen)

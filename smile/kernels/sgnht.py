"""Stochastic gradient Nosé-Hoover thermostat (Ding et al. 2014, "Bayesian sampling using stochastic gradient
thermostats", Algorithm 2), with d = dimension:

    p <- (1 - eps xi) p + eps grad(x, b) + sqrt(2 A eps) zeta,   zeta ~ N(0, I)
    x <- x + eps p
    xi <- xi + eps (p . p / d - 1)

The friction xi starts at A and goes to where the momentum has unit temperature, A + eps v / 2 for gradient noise of
variance v, which nobody has to know. One friction can absorb noise of one size only: where coordinates differ, those
with more noise than the average come out too wide and those with less too narrow. Mini-batch noise is such noise, hence
the thermostat of each coordinate by itself (Gan et al. 2015, "Scalable deep Poisson factor analysis for topic
modeling"), a diagonal of the matrix of thermostats under which Ding et al. prove their method:

    xi_i <- xi_i + eps (p_i^2 - 1)

It is right for noise that is independent between coordinates; correlated noise biases both.

The scheme is of first order: a constant thermostat leaves (1 - eps xi / 2) times the target's covariance, and noise
with eps sqrt(v) > 1 is hotter than any friction can cool: xi then grows until the chain diverges.
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
from smile.kernels.checks import check_is_noisy, check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.sampler import Sampler
from smile.options import boolean, number, option

__all__ = ["SGNHT", "SGNHTState", "sgnht"]


class SGNHTState(NamedTuple):
    """Position, momentum, leaves (..., *chains), and thermostat xi, (*chains,) or like the position."""

    position: Any
    momentum: Any
    thermostat: Any


def sgnht(
    logdensity_fn: Callable[[Any, Any], jax.Array], *, diffusion: float, per_coordinate: bool = False
) -> SamplingAlgorithm:
    """SGNHT with one gradient evaluation per step.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        diffusion: A >= 0, per unit of time, noise added to that of the gradients; 0: the batches are the only noise.
        per_coordinate: one thermostat for each coordinate instead of one for all, which is Algorithm 2.

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says, and where
            ``diffusion`` is 0 and the batch is empty.
    """
    check_range("diffusion", diffusion, "[0, inf)")
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def init(position: Any, key: jax.Array, batch: Any) -> SGNHTState:
        logdensity, _ = jax.eval_shape(value_and_grad, position, batch)
        if per_coordinate:
            thermostat = jax.tree.map(lambda x: jnp.full_like(x, diffusion), position)
        else:
            thermostat = jnp.full(logdensity.shape, diffusion, jax.tree.leaves(position)[0].dtype)
        return SGNHTState(position, tree.random_normal(key, position), thermostat)

    def adapted(thermostat: Any, momentum: Any, step_size: jax.Array) -> Any:
        if per_coordinate:
            return tree.axpy(step_size, jax.tree.map(lambda p: p**2 - 1, momentum), thermostat)
        chain_ndim = jnp.ndim(step_size)
        temperature = tree.vdot(momentum, momentum, chain_ndim) / tree.num_scalars(momentum, chain_ndim)
        return tree.axpy(step_size, temperature - 1, thermostat)

    def step(key: jax.Array, state: SGNHTState, batch: Any, step_size: jax.Array) -> tuple[SGNHTState, Any]:
        if isinstance(diffusion, int | float) and diffusion == 0:
            check_is_noisy(batch, "diffusion=0")
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        noise = tree.random_normal(key, state.momentum)
        xi = state.thermostat if per_coordinate else jax.tree.map(lambda p: state.thermostat, state.momentum)
        momentum = jax.tree.map(lambda p, f: (p - step_size * f * p).astype(p.dtype), state.momentum, xi)
        momentum = tree.axpy(step_size, gradient, momentum)
        momentum = tree.axpy(jnp.sqrt(2 * diffusion * step_size), noise, momentum)
        position = tree.axpy(step_size, momentum, state.position)
        new = SGNHTState(position, momentum, adapted(state.thermostat, momentum, step_size))
        return new, info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class SGNHT(Sampler):
    """``sampler=sgnht``."""

    diffusion: float = option(number(at_least=0))
    per_coordinate: bool = option(boolean)

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """With the friction at which the mean temperature is one."""
        return None if self.per_coordinate else Langevin(step_size, self.diffusion, "mean")

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """SGNHT."""
        return partial(sgnht, diffusion=self.diffusion, per_coordinate=self.per_coordinate)

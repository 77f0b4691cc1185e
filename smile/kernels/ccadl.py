"""Covariance-controlled adaptive Langevin thermostat (Shang et al. 2015, "Covariance-controlled adaptive Langevin
thermostat for large-scale Bayesian sampling", Algorithm 1), with d = dimension and v the running variance of the
gradient about its running mean (``smile.kernels.preconditioner``), all products elementwise:

    v <- variance of recent gradients, this one included
    p <- (1 - eps (xi + eps v / 2)) p + eps grad(x, b) + sqrt(2 A eps) zeta,   zeta ~ N(0, I)
    x <- x + eps p
    xi <- xi + eps (p . p / d - 1)

Noise of variance v heats the momentum as much as the friction eps v / 2 cools it, coordinate by coordinate and whatever
A is; the thermostat xi, which starts at A and stays near it, takes up what the estimate leaves.

Differs from Algorithm 1: x moves after p, which is the same sequence of positions. Differs from the estimate of the
paper, the covariance of the gradients of a batch's rows, scaled by N^2 / n and averaged over all steps: a batch gives
one gradient here, so v is taken over time. It counts what the gradient changes along the path as noise, too, which
matters where noise is small, and like the diagonal version of the paper it knows no correlations: these remain as with
no estimate at all.
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
from smile.kernels.checks import check_is_noisy, check_range, check_step_size
from smile.kernels.info import info_without_energy
from smile.kernels.preconditioner import PreconditionerState, gradient_noise
from smile.kernels.sampler import Sampler
from smile.options import number, option

__all__ = ["CCAdL", "CCAdLState", "ccadl"]


class CCAdLState(NamedTuple):
    """State of CCAdL; leaves of the pytrees are (..., *chains).

    Attributes:
        position: pytree of parameters.
        momentum: pytree like position.
        thermostat: xi, (*chains,).
        noise: running mean and variance of the gradient.
    """

    position: Any
    momentum: Any
    thermostat: jax.Array
    noise: PreconditionerState


def ccadl(
    logdensity_fn: Callable[[Any, Any], jax.Array], *, diffusion: float, rate: float = 0.01
) -> SamplingAlgorithm:
    """CCAdL with a diagonal estimate of the noise and one gradient evaluation per step.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        diffusion: A >= 0, per unit of time, noise added to that of the gradients; 0: the batches are the only noise.
        rate: weight of a new gradient in the running variance, in (0, 1).

    Raises:
        ValueError: from the call or from ``step``, where an argument or a shape is not as it says, and where
            ``diffusion`` is 0 and the batch is empty.
    """
    check_range("diffusion", diffusion, "[0, inf)")
    value_and_grad = tree.value_and_grad(logdensity_fn)
    estimate = gradient_noise(rate)

    def init(position: Any, key: jax.Array, batch: Any) -> CCAdLState:
        logdensity, _ = jax.eval_shape(value_and_grad, position, batch)
        thermostat = jnp.full(logdensity.shape, diffusion, jax.tree.leaves(position)[0].dtype)
        momentum = tree.random_normal(key, position)
        return CCAdLState(position, momentum, thermostat, estimate.init(position, logdensity.ndim))

    def step(key: jax.Array, state: CCAdLState, batch: Any, step_size: jax.Array) -> tuple[CCAdLState, Any]:
        chain_ndim = jnp.ndim(step_size)
        dimension = tree.num_scalars(state.position, chain_ndim)
        if isinstance(diffusion, int | float) and diffusion == 0:
            check_is_noisy(batch, "diffusion=0")
        logdensity, gradient = value_and_grad(state.position, batch)
        check_step_size(step_size, state.position, logdensity)
        noise = estimate.update(state.noise, gradient)
        drawn = tree.random_normal(key, state.momentum)

        def cooled(p: Any, v: Any) -> Any:
            return (p - step_size * (state.thermostat + step_size * v / 2) * p).astype(p.dtype)

        momentum = jax.tree.map(cooled, state.momentum, noise.variance)
        momentum = tree.axpy(step_size, gradient, momentum)
        momentum = tree.axpy(jnp.sqrt(2 * diffusion * step_size), drawn, momentum)
        position = tree.axpy(step_size, momentum, state.position)
        temperature = tree.vdot(momentum, momentum, chain_ndim) / dimension
        thermostat = tree.axpy(step_size, temperature - 1, state.thermostat)
        return CCAdLState(position, momentum, thermostat, noise), info_without_energy(position, logdensity)

    return SamplingAlgorithm(init, step)


@dataclass(frozen=True, kw_only=True)
class CCAdL(Sampler):
    """``sampler=ccadl``."""

    diffusion: float = option(number(at_least=0))
    ema_rate: float = option(number(0, 1))

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """CCAdL."""
        return partial(ccadl, diffusion=self.diffusion, rate=self.ema_rate)

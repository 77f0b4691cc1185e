"""From a config to what it names: one typed table per group, from choices to constructors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile import targets
from smile.base import SamplingAlgorithm, Target
from smile.config import (
    MCLMCConfig,
    PSMILEConfig,
    RunConfig,
    SGHMCConfig,
    SGLDConfig,
    SMILEConfig,
    TargetConfig,
)
from smile.kernels import gradient_noise, sghmc, sgld, smile
from smile.noise import add_noise
from smile.tuners.mclmc import find_L_and_step_size

__all__ = ["Chains", "exact_target", "make_chains", "make_target"]


class Chains(NamedTuple):
    """The chains of a run, step sizes varying slowest.

    Attributes:
        kernel: log density -> kernel.
        step_size: (chains,).
        replication: (chains,) int.
    """

    kernel: Callable[[Callable[[Any, Any], jax.Array]], SamplingAlgorithm]
    step_size: np.ndarray
    replication: np.ndarray


def make_target(config: RunConfig) -> Target:
    """The posterior as the sampler sees it: with its noise, or of the full batch."""
    target = exact_target(config.target)
    if isinstance(config.sampler, MCLMCConfig):
        return full_batch(target)
    noise = config.noise
    if noise.name == "none" or noise.source == "none" or noise.distribution == "none":
        return target
    is_gaussian = config.target.name == "icg"
    rotation = config.target.rotation if is_gaussian else 1
    return add_noise(
        target,
        structure=noise.name,
        source=noise.source,
        distribution=noise.distribution,
        parameter=noise.parameter,
        scale=noise.scale,
        rotation=rotation if noise.rotation == "aligned" else noise.rotation,
        condition_number=config.target.condition_number if is_gaussian else 100.0,
        kappa=noise.kappa,
        num_rows=noise.num_rows,
        batch_size=noise.batch_size,
    )


def exact_target(options: TargetConfig) -> Target:
    """The posterior itself, without noise."""
    match options.name:
        case "icg":
            return targets.icg(
                dim=options.dim, condition_number=options.condition_number, rotation=options.rotation
            )
        case "rosenbrock":
            return targets.rosenbrock(dim=options.dim)
        case "funnel":
            return targets.funnel(dim=options.dim)
        case "custom":
            return targets.custom(options.factory)


def full_batch(target: Target) -> Target:
    """The same target without the choice of a batch."""
    return target.replace(
        logdensity=lambda position, batch: target.logdensity(position, target.full_batch),
        draw_batch=lambda key, chains: (),
        full_batch=(),
    )


def make_chains(config: RunConfig, target: Target, key: jax.Array) -> Chains:
    """Kernel and step sizes of all chains; ``sampler=mclmc`` adapts them here, one chain per replication."""
    steps, replications = len(config.step_size), config.replications
    step_size = np.repeat(config.step_size, replications)
    replication = np.tile(np.arange(replications), steps)
    match config.sampler:
        case SMILEConfig(L=length):
            kernel = partial(smile, momentum_decoherence_length=length)
        case PSMILEConfig(L=length, ema_rate=rate, freeze_after=freeze_after, reference=reference):
            preconditioner = gradient_noise(rate, freeze_after, reference)
            kernel = partial(smile, momentum_decoherence_length=length, preconditioner=preconditioner)
        case SGLDConfig(temperature=temperature):
            kernel = partial(sgld, temperature=temperature)
        case SGHMCConfig(friction=friction):
            kernel = partial(sghmc, friction=friction)
        case MCLMCConfig(num_tuning_steps=num_steps, desired_energy_variance=variance):

            def adapt(key: jax.Array) -> tuple[jax.Array, jax.Array]:
                key_start, key_tune = jax.random.split(key)
                return find_L_and_step_size(
                    lambda position: target.logdensity(position, ()),
                    target.init(key_start),
                    key_tune,
                    num_steps=num_steps,
                    desired_energy_variance=variance,
                )

            lengths, adapted = jax.jit(jax.vmap(adapt))(jax.random.split(key, replications))
            kernel = partial(smile, momentum_decoherence_length=jnp.asarray(lengths))
            step_size, replication = np.asarray(adapted, np.float64), np.arange(replications)
    return Chains(kernel, step_size, replication)

"""The vocabulary every room of the house shares: sampling algorithms and targets.

Chains. All kernels, targets and noises work on one chain and, without ``vmap``, on many at once: chains are then
*trailing* axes of every leaf, ``(coordinate, chain)``, and per-chain scalars have shape ``(chain,)``, so that ordinary
broadcasting does the rest. The number of trailing axes is the number of axes of ``step_size``. On CPUs this layout is
about five times faster than ``vmap``, whose batch axis comes first and leaves SIMD lanes to the few coordinates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Position = Any  # pytree of unconstrained parameters
Batch = Any  # whatever the gradient source draws for one step
State = Any  # NamedTuple of a kernel
PRNGKey = jax.Array


class SamplingAlgorithm(NamedTuple):
    """A Markov kernel in BlackJAX's stochastic-gradient convention.

    Attributes:
        init: ``(position, key, batch) -> state``; the batch is that of the first stored gradient.
        step: ``(key, state, batch, step_size) -> (state, info)``; pure, one transition.
        restart: ``(key, old, new) -> state``: where a chain goes on whose step from old to new is undone.
        weight: ``state -> (*chains,)``, how much the position counts in averages over a chain; None: all the same.
    """

    init: Callable[[Position, PRNGKey, Batch], State]
    step: Callable[[PRNGKey, State, Batch, jax.Array], tuple[State, Any]]
    restart: Callable[[PRNGKey, State, State], State] = lambda key, old, new: old
    weight: Callable[[State], jax.Array] | None = None


# From the log density of a batch to a kernel.
Kernel = Callable[[Callable[[Position, Batch], jax.Array]], SamplingAlgorithm]


class Subsampling(NamedTuple):
    """How a batch stands for all rows of a log density, and how wide the prior is where rows say nothing.

    Attributes:
        num_rows: N, of all data.
        batch_size: B, rows of a batch; the log density of a batch counts each of them N/B times.
        prior_sd: standard deviations of the prior, a number or leaves like the position of one chain; a prefix of
            their tree will do.
        is_information: whether the noise of a batch is that of its rows' gradients, whose covariance is about their
            Fisher information; control variates leave less.
    """

    num_rows: float
    batch_size: int
    prior_sd: Any = 1.0
    is_information: bool = True


class BatchNoise(NamedTuple):
    """A posterior near its mean, and the noise of its batches.

    Attributes:
        precision: minus the Hessian of the log density, (dim, dim).
        covariance: of the gradient of the log density of a batch, (dim, dim).
        subsampling: how batches are drawn.
        batches: of an epoch, in which every row comes once; None where batches are independent.
    """

    precision: np.ndarray
    covariance: np.ndarray
    subsampling: Subsampling
    batches: float | None


class Langevin(NamedTuple):
    """The Langevin equation that a sampler comes close to, see ``smile.metrics.batch_noise``.

    Attributes:
        interval: time of a step.
        friction: of its own, with noise of temperature one.
        cools: what else its friction follows: nothing, the mean of the gradients' noise, or that of every direction.
        has_inertia: whether it has a momentum.
        scale: of the coordinates in which it moves, (dim,); None: those of the position.
    """

    interval: float
    friction: float
    cools: Literal["nothing", "mean", "all"]
    has_inertia: bool = True
    scale: np.ndarray | None = None


class Build(NamedTuple):
    """What declarations of samplers and tuners may know of the run that they are built for.

    Attributes:
        num_steps: of a chain.
        unit: how many steps one unit of an option such as ``freeze_after`` has: 1, or those of an epoch.
        reference: whether kernels start and restart as those of the public code (docs/deviations.md, K6, K12, K13).
        subsampling: how the run's batches are drawn from its data; None where it has none, or does not say.
        dimension: number of scalars in a position; None where nobody says.
        same_batch_energy: whether the tuner wants energy errors whose two log densities are those of the same batch.
    """

    num_steps: int
    unit: int = 1
    reference: bool = False
    subsampling: Subsampling | None = None
    dimension: int | None = None
    same_batch_energy: bool = False


class Info(NamedTuple):
    """What one transition reports. Scalars, so that tuners and diagnostics vmap.

    Attributes:
        energy_error: change of the total energy over the step; NaN for kernels without an energy.
        is_divergent: True where the step produced a non-finite position.
        gradient_evaluations: evaluations of the mini-batch gradient in this step (int32).
    """

    energy_error: jax.Array
    is_divergent: jax.Array
    gradient_evaluations: jax.Array


@dataclass(frozen=True)
class Moments:
    """Ground truth of the second-moment bias.

    Attributes:
        second: ``E[x_i^2]``, shape (dim,).
        variance: ``Var[x_i^2]``, shape (dim,).
    """

    second: np.ndarray
    variance: np.ndarray


class Frame(NamedTuple):
    """The axes and scales of a Gaussian Q diag(s^2) Q^T, by which noise may be aligned with a target.

    Attributes:
        rotation: seed of Q; None: the coordinate axes.
        condition_number: ratio of the largest to the smallest s.
        other_rotation: seed of axes that have nothing to do with those of the target.
    """

    rotation: int | None = 1
    condition_number: float = 100.0
    other_rotation: int = 1


@dataclass(frozen=True)
class Target:
    """A posterior whose log density may be estimated from a batch, and what is known about it.

    Attributes:
        name: what tables call it.
        dim: number of scalars in a position.
        init: ``key -> position``, where a chain starts (one chain, no trailing axis).
        logdensity: ``(position, batch) -> scalar``, an unbiased estimate of the unnormalised log density;
            with trailing chain axes in both arguments, one value per chain.
        draw_batch: ``(key, chains) -> batch``; ``chains`` is the shape of the trailing axes, ``()`` for one chain.
        full_batch: the batch with which ``logdensity`` is exact.
        sample: ``(key, n) -> (n, dim)`` exact draws, or None where none are known.
        handles_chains: whether ``logdensity`` and ``draw_batch`` know trailing chain axes; where not, they are vmapped.
        moments: exact (and possibly other) values of the second moments, by name.
        is_finite: whether the log density is finite everywhere, so that no step needs to be looked at.
        published: coordinates that the printed bias is the mean of; empty where nothing is printed.
        frame: what aligned noise is aligned with.
        noise_length: over which spatially varied noise falls by e, in the public code; None where it has none.
        subsampling: how batches are drawn, where they are of rows and nothing else makes the gradients noisy.
        batch_noise: what theory needs to know of that noise.
        batch_of_step: ``(key, step, chains) -> batch`` of a sequence in which batches depend on each other, such as
            epochs, with the same key at every step; None: those of ``draw_batch``, independent of each other.
        divides: whether a batch is rows along its leading axis, of which the log density takes any number.
        observe: ``position -> (k, *chains)``, what is measured of a position; None: all its scalars.
        reference: draws of what is observed, (n, k), in the units of their own means and standard deviations, where
            somebody else's sampler had to find them.
        gradients: of a batch, that one gradient of the log density costs.
    """

    name: str
    dim: int
    init: Callable[[PRNGKey], Position]
    logdensity: Callable[[Position, Batch], jax.Array]
    draw_batch: Callable[[PRNGKey, tuple[int, ...]], Batch] = lambda key, chains: ()
    full_batch: Batch = ()
    sample: Callable[[PRNGKey, int], jax.Array] | None = None
    moments: Mapping[str, Moments] = field(default_factory=dict)
    handles_chains: bool = False
    is_finite: bool = False
    published: tuple[int, ...] = ()
    frame: Frame = field(default_factory=Frame)
    noise_length: float | None = None
    subsampling: Subsampling | None = None
    batch_noise: BatchNoise | None = None
    batch_of_step: Callable[[PRNGKey, jax.Array, tuple[int, ...]], Batch] | None = None
    divides: bool = False
    observe: Callable[[Position], jax.Array] | None = None
    reference: np.ndarray | None = None
    gradients: int = 1

    def started_exactly(self) -> Target:
        """The same target whose chains start at exact draws, one position of which is an array.

        Raises:
            ValueError: where exact draws are not known.
        """
        sample = self.sample
        if sample is None:
            raise ValueError(f"{self.name} has no exact draws to start from")
        return self.replace(init=lambda key: sample(key, 1)[0])

    def replace(self, **changes: Any) -> Target:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

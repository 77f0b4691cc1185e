"""SMILE and pSMILE: microcanonical Langevin dynamics driven by mini-batch gradients (Sommer et al. 2026, 2602.06500).

One step on batch b, with b1 the McLachlan fraction, c the preconditioner's scale (one for SMILE) and all gradients
multiplied by c, which is the plain dynamics in the coordinates y = x / c:

    u <- refresh(u)                          only with a finite momentum decoherence length L
    u <- kick(u, c g, b1 eps)                g: gradient stored by the previous step, on the previous batch
    x <- x + eps/2 c u
    u <- kick(u, c grad(x, b), (1 - 2 b1) eps)
    x <- x + eps/2 c u;  g <- grad(x, b)
    u <- kick(u, c g, b1 eps)
    energy error = kinetic change + log p(old x, old b) - log p(x, b)

The two log densities of the energy error differ in their batches as well, by far more than one step changes them; a
tuner that aims at an energy error asks for the same batch in both, which is one evaluation without gradient more.
With the full batch as b this is MCLMC.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np

from smile import tree
from smile.base import BatchNoise, Build, Info, Kernel, Langevin, SamplingAlgorithm
from smile.kernels import microcanonical
from smile.kernels.checks import check_dimension, check_is_noisy, check_range, check_step_size
from smile.kernels.preconditioner import Preconditioner, gradient_noise, identity, posterior_scale
from smile.kernels.sampler import Sampler
from smile.options import ConfigError, choice, either, integer, number, option, optional

__all__ = ["MCLMC", "PSMILE", "SMILE", "SMILEState", "smile"]


class SMILEState(NamedTuple):
    """State of SMILE; leaves of the pytrees are (..., *chains).

    Attributes:
        position: pytree of parameters.
        velocity: pytree like position, unit length.
        gradient: gradient of the log density at ``position``, on the batch of the last step.
        logdensity: its value, (*chains,).
        preconditioner: state of the preconditioner.
    """

    position: Any
    velocity: Any
    gradient: Any
    logdensity: jax.Array
    preconditioner: Any


def smile(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    momentum_decoherence_length: float | jax.Array | None = None,
    preconditioner: Preconditioner | None = None,
    reference: bool = False,
    same_batch_energy: bool = False,
) -> SamplingAlgorithm:
    """SMILE; with ``preconditioner=gradient_noise()`` or ``posterior_scale(...)`` pSMILE.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        momentum_decoherence_length: length L > 0 over which the velocity forgets its direction, in units of the
            position, a number or one per chain; None: no refreshment, the batches are the only noise. With the full
            batch None samples another distribution; an empty batch is refused, all rows as a batch pass unnoticed.
        preconditioner: see ``smile.kernels.preconditioner``.
        reference: start and restart as the public code does, with zero velocity (the first kick makes it a unit one),
            zero gradient and log density at the start, and those of the rejected point after a restart
            (docs/deviations.md, K6, K12, K13).
        same_batch_energy: compute the energy error with the log density of the new batch at both ends of the step.

    Returns:
        A sampling algorithm with two gradient evaluations per step.

    Raises:
        ValueError: from the call, ``init`` or ``step``: L is not a finite number > 0; L is None and the batch is empty;
            the position has one dimension; the step size does not fit the position.
    """
    if momentum_decoherence_length is not None:
        check_range("momentum_decoherence_length", momentum_decoherence_length, "(0, inf)")
    value_and_grad = tree.value_and_grad(logdensity_fn)
    pre = preconditioner or identity()

    def init(position: Any, key: jax.Array, batch: Any) -> SMILEState:
        logdensity, gradient = value_and_grad(position, batch)
        check_dimension(position, logdensity.shape)
        velocity = microcanonical.random_unit_vector(key, position, jnp.ndim(logdensity))
        if reference:
            velocity, gradient, logdensity = jax.tree.map(jnp.zeros_like, (velocity, gradient, logdensity))
        return SMILEState(position, velocity, gradient, logdensity, pre.init(position, jnp.ndim(logdensity)))

    def step(key: jax.Array, state: SMILEState, batch: Any, step_size: jax.Array) -> tuple[SMILEState, Info]:
        check_step_size(step_size, state.position, state.logdensity)
        if momentum_decoherence_length is None:
            check_is_noisy(batch, "momentum_decoherence_length=None")
        chain_ndim = jnp.ndim(step_size)
        dimension = tree.num_scalars(state.position, chain_ndim)
        outer, middle = microcanonical.KICK_FRACTION, 1 - 2 * microcanonical.KICK_FRACTION
        scale = None if pre.scale is None else pre.scale(state.preconditioner, chain_ndim)

        def scaled(direction: Any) -> Any:
            return direction if scale is None else jax.tree.map(jnp.multiply, scale, direction)

        def drift(position: Any, velocity: Any) -> Any:
            return tree.axpy(0.5 * step_size, scaled(velocity), position)

        velocity = state.velocity
        if momentum_decoherence_length is not None:
            velocity = microcanonical.refresh(
                key, velocity, step_size, momentum_decoherence_length, dimension
            )
        stored = scaled(state.gradient) if pre.rescales_stored_gradient else state.gradient
        velocity, kinetic_1 = microcanonical.kick(velocity, stored, outer * step_size, dimension)
        position = drift(state.position, velocity)
        _, gradient = value_and_grad(position, batch)
        velocity, kinetic_2 = microcanonical.kick(velocity, scaled(gradient), middle * step_size, dimension)
        position = drift(position, velocity)
        logdensity, gradient = value_and_grad(position, batch)
        velocity, kinetic_3 = microcanonical.kick(velocity, scaled(gradient), outer * step_size, dimension)

        energy_error = kinetic_1 + kinetic_2 + kinetic_3
        if same_batch_energy:
            energy_error += logdensity_fn(state.position, batch) - logdensity
        elif reference:  # zero means unknown
            energy_error += jnp.where(state.logdensity == 0, 0.0, state.logdensity - logdensity)
        else:
            energy_error += state.logdensity - logdensity
        stored = gradient if pre.rescales_stored_gradient else scaled(gradient)
        new_state = SMILEState(
            position, velocity, stored, logdensity, pre.update(state.preconditioner, gradient)
        )
        return new_state, Info(energy_error, ~jnp.isfinite(energy_error), jnp.int32(2))

    def restart(key: jax.Array, old: SMILEState, new: SMILEState) -> SMILEState:
        if reference:
            return new._replace(position=old.position, velocity=jax.tree.map(jnp.zeros_like, old.velocity))
        velocity = microcanonical.random_unit_vector(key, old.position, jnp.ndim(old.logdensity))
        return old._replace(velocity=velocity)

    return SamplingAlgorithm(init, step, restart)


_DECOHERENCE_LENGTH = either({None: None, math.inf: None, "inf": None}, number(0))


@dataclass(frozen=True, kw_only=True)
class SMILE(Sampler):
    """``sampler=smile``; L None means no momentum refresh."""

    has_energy: ClassVar[bool] = True

    L: float | None = option(_DECOHERENCE_LENGTH)

    @property
    def needs_noise(self) -> bool:
        """Without a refresh."""
        return self.L is None

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """A velocity of unit length is a thermostat."""
        return _isokinetic(step_size, self.L, len(noise.precision))

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """SMILE-naive."""
        return partial(
            smile,
            momentum_decoherence_length=self.L,
            reference=build.reference,
            same_batch_energy=build.same_batch_energy,
        )


def _isokinetic(step_size: float, length: float | None, dimension: int) -> Langevin:
    root = math.sqrt(dimension)
    return Langevin(step_size / root, 0.0 if length is None else root / length, "mean")


_PRECONDITIONERS = ("noise_scale", "posterior_scale", "auto")


@dataclass(frozen=True, kw_only=True)
class PSMILE(Sampler):
    """``sampler=psmile``: SMILE in coordinates in which the gradient noise, or the posterior, is isotropic."""

    has_energy: ClassVar[bool] = True

    L: float | None = option(_DECOHERENCE_LENGTH)
    ema_rate: float = option(number(0, 1))
    freeze_after: int | None = option(optional(integer(1)))  # in units of the run
    reference: Literal["analytic", "network"] | None = option(optional(choice("analytic", "network")))
    preconditioner: Literal["noise_scale", "posterior_scale", "auto"] = option(
        choice(*_PRECONDITIONERS), neutral="noise_scale"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference and self.preconditioner == "posterior_scale":
            valid = f"noise_scale with sampler.reference={self.reference}, a variant of it"
            raise ConfigError("sampler.preconditioner", self.preconditioner, valid)

    @property
    def needs_subsampling(self) -> bool:
        """For the posterior's scale."""
        return self.preconditioner == "posterior_scale"

    @property
    def needs_noise(self) -> bool:
        """Without a refresh."""
        return self.L is None

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """The same in coordinates of the posterior's scale; those of the noise have no absolute one."""
        if self.preconditioner == "noise_scale":
            return None
        known, dimension = noise.subsampling, len(noise.precision)
        information = known.batch_size / known.num_rows * np.diag(noise.covariance)
        scale = np.sqrt(dimension / (np.asarray(known.prior_sd, float) ** -2 + information))
        return _isokinetic(step_size, self.L, dimension)._replace(scale=scale)

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """pSMILE-naive."""
        return partial(
            smile,
            momentum_decoherence_length=self.L,
            preconditioner=self._preconditioner(build),
            reference=build.reference,
            same_batch_energy=build.same_batch_energy,
        )

    def _preconditioner(self, build: Build) -> Preconditioner:
        """Raises ConfigError where it cannot be estimated."""
        freeze_after = self.freeze_after and self.freeze_after * build.unit
        known = build.subsampling
        name = self.preconditioner
        if name == "auto":
            has_scale = known is not None and known.is_information and not self.reference
            name = "posterior_scale" if has_scale else "noise_scale"
        match name:
            case "noise_scale":
                return gradient_noise(self.ema_rate, freeze_after, self.reference)
            case "posterior_scale":
                if known is None:
                    valid = "noise_scale where the target says no smile.base.Subsampling, or has other noise"
                    raise ConfigError("sampler.preconditioner", name, valid)
                if not known.is_information:
                    valid = (
                        f"batch with sampler.preconditioner={name}, which is learnt from the noise of rows"
                    )
                    raise ConfigError("target.gradient", "control_variate", valid)
                if known.batch_size >= known.num_rows:
                    valid = f"a whole number below {known.num_rows:g}, all rows, with sampler.preconditioner={name}"
                    raise ConfigError("target.batch_size", known.batch_size, valid)
                return posterior_scale(known, self.ema_rate, freeze_after)
            case never:
                assert_never(never)


@dataclass(frozen=True, kw_only=True)
class MCLMC(Sampler):
    """``sampler=mclmc``: SMILE on the full batch, the baseline; ``tuner=mclmc`` finds its L, one per chain."""

    has_energy: ClassVar[bool] = True
    is_full_batch: ClassVar[bool] = True
    tuned_by: ClassVar[str | None] = "mclmc"

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """MCLMC with the L in ``adapted``."""
        return partial(smile, momentum_decoherence_length=adapted)

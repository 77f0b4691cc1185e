"""Contrast friction: Langevin dynamics that cools exactly what the noise of its gradients heats (our own).

M independent unbiased gradients g_1, ..., g_M at x, their mean g, and M - 1 contrasts, each with the covariance of g
and uncorrelated with it and with each other:

    d_k = (g_1 + ... + g_k - k g_(k+1)) / sqrt(k (k + 1) M)

One step, with K = M - 2 contrasts that cool, the interval h0 = sqrt(u K / E|d|^2) measured where the chain starts and
h, w, c of the position x:

    h = h0 / sqrt(1 + h0^2 |d_1|^2 / (K u_max))      shorter where the noise is strong; x counts h in averages
    v <- q v + sqrt(1 - q^2) xi,  q = exp(-alpha h / h0),  xi ~ N(0, I)
    v <- B_1 ... B_K v,  B_k v = v - c b_k (b_k . v) / |b_k|^2,  c = 1 - sqrt(1 - min(w, 1)),  w = h^2 / K |b_k|^2
    v <- v + h g
    x <- x + h v

with b_1 = d_2 and b_k = B_(k-1)^(-1) ... B_1^(-1) d_(k+1), so that A = B_1 ... B_K has

    A A^T = I - h^2 / K (d_2 d_2^T + ... + d_(M-1) d_(M-1)^T),   E[A A^T] + h^2 Cov(g) = I,   wherever w < 1:

friction of rank K that matches correlated noise, and noise that changes with x, without an estimate, a lag or a matrix.
The contrast that sets h must not be one that cools, and h must not remember past noise: both bias. Averages have
weights h, unless u_max is infinite: all steps are then as long.

Dimension. Rank one asks for h^2 tr Cov(g) <= u, so that h falls as d^(-1/2). A batch cut into more parts has the same g
and more contrasts, and h^2 grows with K: up to K u = 1, whatever the noise. Where coordinates have noise of different
sizes, the noisiest need not hold up the others: with the mass matrix

    m_i = max(E d_i^2, 1 / s_i^2),   x_i <- x_i + h m_i^(-1/2) v_i,   g_i and d_i times m_i^(-1/2)

these are the dynamics above in coordinates in which noise has one size. The prior's sd s_i bounds the step of a
coordinate that no row says anything of. Noise is measured where the chain starts and, where that tells little of the
rest, such as units of a network that are dead there, over the first steps of the path; then it is frozen.

A step ends with the gradients at its new position, so that its weight is known. Rows drawn without replacement, M b of
N, leave g with (1 - M b / N) of the contrasts' covariance; these are scaled to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, assert_never, get_args

import jax
import jax.numpy as jnp
import numpy as np

from smile import tree
from smile.base import BatchNoise, Build, Info, Kernel, Langevin, SamplingAlgorithm
from smile.kernels.checks import check_count, check_is_noisy, check_range, check_step_size
from smile.kernels.contrasts import contrasts, cooled, divided
from smile.kernels.sampler import Sampler
from smile.options import ConfigError, choice, integer, number, option, optional, require

__all__ = ["ContrastFriction", "ContrastFrictionState", "contrast_friction"]

FEWEST_PARTS = 3  # one contrast sets the interval, the others cool

Mass = Literal["identity", "noise"]


class ContrastFrictionState(NamedTuple):
    """State of contrast friction; leaves of the pytrees are (..., *chains).

    Attributes:
        position: pytree of parameters.
        velocity: pytree like position.
        gradient: g at the position, times m^(-1/2).
        contrasts: d_2, ..., d_(M-1) at the position, likewise.
        interval: h at the position, (*chains,); zero while the noise is measured: the chain stands still.
        noise: mean of |d|^2 where the chain started, (*chains,), or with ``mass=noise`` of every d_i^2.
        num_measured: steps behind it, (*chains,) int32.
    """

    position: Any
    velocity: Any
    gradient: Any
    contrasts: tuple[Any, ...]
    interval: jax.Array
    noise: Any
    num_measured: jax.Array


def contrast_friction(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    parts: int = FEWEST_PARTS,
    mass: Mass = "identity",
    most_noise: float | None = 0.3,
    refreshment: float = 1e-3,
    measured_steps: int = 100,
    freeze_after: int = 0,
    sampled_fraction: float = 0.0,
    prior_sd: Any = math.inf,
) -> SamplingAlgorithm:
    """Contrast friction; its ``step_size`` is u, the noise E|h g|^2 that a contrast cools, with one optimum for all.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        parts: M >= 3, into which a batch is divided.
        mass: ``identity``, or ``noise``: m of every coordinate by its noise.
        most_noise: u_max > 0, which bounds h^2 |d_1|^2 / K; None: steps are all as long, and positions count equally.
        refreshment: alpha >= 0, of the velocity, per interval h0.
        measured_steps: steps during which the chain stands still and the noise is measured, at least 1.
        freeze_after: steps after which nothing is measured any more, which makes the chain Markovian, where they are
            more than that.
        sampled_fraction: M b / N in [0, 1), of the rows that are in a batch, where rows are drawn without replacement.
        prior_sd: s, a number or leaves like the position of one chain, or a prefix of its tree, for ``mass=noise``;
            infinite: there is no prior, and no coordinate may be without noise.

    Returns:
        A sampling algorithm whose batch is divided along its leading axis into M parts, a remainder left out.

    Raises:
        ValueError: from the call, ``init`` or ``step``, where an argument, a shape or the batch is not as it says.
    """
    require("parts", parts, integer(FEWEST_PARTS))
    require("mass", mass, choice(*get_args(Mass)))
    check_range("most_noise", 1.0 if most_noise is None else most_noise, "(0, inf)")
    check_range("refreshment", refreshment, "[0, inf)")
    check_range("sampled_fraction", sampled_fraction, "[0, 1)")
    check_count("measured_steps", measured_steps)
    require("freeze_after", freeze_after, integer(0))
    value_and_grad = tree.value_and_grad(logdensity_fn)
    cooling = parts - 2  # K

    def evaluate(position: Any, batch: Any) -> tuple[jax.Array, Any, list[Any]]:
        check_is_noisy(batch, "contrast friction")
        found = [value_and_grad(position, part) for part in divided(batch, parts)]
        values, gradients = zip(*found, strict=True)
        mean, *others = contrasts(gradients)
        return sum(values) / parts, mean, jax.tree.map(lambda d: math.sqrt(1 - sampled_fraction) * d, others)

    def measured(first: Any, second: Any, chain_ndim: int) -> Any:
        """Of the noise, by two contrasts: |d|^2, or every d_i^2."""
        match mass:
            case "identity":
                return sum(tree.vdot(d, d, chain_ndim) for d in (first, second)) / 2
            case "noise":
                return jax.tree.map(lambda a, b: (a**2 + b**2) / 2, first, second)
            case never:
                assert_never(never)

    def in_units(vector: Any, noise: Any, chain_ndim: int) -> Any:
        """Times m^(-1/2)."""
        if mass == "identity":
            return vector

        def one_leaf(x: jax.Array, variance: jax.Array, sd: Any) -> jax.Array:
            sd = jnp.reshape(sd, jnp.shape(sd) + (1,) * chain_ndim) if jnp.ndim(sd) else sd
            return (x * jax.lax.rsqrt(jnp.maximum(variance, sd**-2.0))).astype(x.dtype)

        return jax.tree.map(one_leaf, vector, noise, jax.tree.broadcast(prior_sd, noise))

    def longest_squared(step_size: jax.Array, noise: Any) -> jax.Array:
        """h0^2; where mass is noise, E|d|^2 is the dimension."""
        size = noise if mass == "identity" else tree.num_scalars(noise, jnp.ndim(step_size))
        return cooling * step_size / size

    def init(position: Any, key: jax.Array, batch: Any) -> ContrastFrictionState:
        logdensity, gradient, (first, *others) = evaluate(position, batch)
        zero = jnp.zeros(logdensity.shape, jax.tree.leaves(position)[0].dtype)
        noise = jax.tree.map(jnp.zeros_like, measured(first, first, zero.ndim))
        velocity, count = tree.random_normal(key, position), jnp.zeros(zero.shape, jnp.int32)
        return ContrastFrictionState(position, velocity, gradient, tuple(others), zero, noise, count)

    def step(
        key: jax.Array, state: ContrastFrictionState, batch: Any, step_size: jax.Array
    ) -> tuple[ContrastFrictionState, Info]:
        check_step_size(step_size, state.position, state.interval)
        chain_ndim, has_noise = jnp.ndim(step_size), state.num_measured > 0
        known = jax.tree.map(lambda x: jnp.where(has_noise, x, 1.0), state.noise)
        h = state.interval
        kept = jnp.exp(-refreshment * h / jnp.sqrt(longest_squared(step_size, known)))
        xi = tree.random_normal(key, state.velocity)
        velocity = tree.axpy(kept - 1, state.velocity, state.velocity)
        velocity = tree.axpy(jnp.sqrt(1 - kept**2), xi, velocity)
        velocity = cooled(velocity, state.contrasts, h**2 / cooling, chain_ndim)
        velocity = tree.axpy(h, state.gradient, velocity)
        position = tree.axpy(h, in_units(velocity, known, chain_ndim), state.position)

        logdensity, gradient, (first, *others) = evaluate(position, batch)
        is_measuring = state.num_measured < max(measured_steps, freeze_after)
        count = state.num_measured + is_measuring
        noise = jax.tree.map(
            lambda mean, new: (mean + jnp.where(is_measuring, (new - mean) / count, 0.0)).astype(mean.dtype),
            state.noise,
            measured(first, others[0], chain_ndim),
        )
        gradient, first, *others = (in_units(g, noise, chain_ndim) for g in (gradient, first, *others))
        interval_squared = longest_squared(step_size, noise)
        if most_noise is not None:
            square = tree.vdot(first, first, chain_ndim)
            interval_squared /= 1 + interval_squared * square / (cooling * most_noise)
        interval = jnp.where(count < measured_steps, 0.0, jnp.sqrt(interval_squared)).astype(h.dtype)
        new = ContrastFrictionState(
            position, velocity, gradient, tuple(others), interval, noise, count.astype(jnp.int32)
        )
        norm = tree.vdot(position, position, chain_ndim)
        is_divergent = ~(jnp.isfinite(norm) & jnp.isfinite(logdensity) & jnp.isfinite(interval))
        return new, Info(jnp.full_like(norm, jnp.nan), is_divergent, jnp.int32(parts))

    return SamplingAlgorithm(init, step, weight=lambda state: state.interval)


@dataclass(frozen=True, kw_only=True)
class ContrastFriction(Sampler):
    """``sampler=contrast_friction``."""

    parts: int = option(integer(FEWEST_PARTS), neutral=FEWEST_PARTS)
    mass: Mass = option(choice(*get_args(Mass)), neutral="identity")
    most_noise: float | None = option(optional(number(0)))
    refreshment: float = option(number(at_least=0))
    measured_steps: int = option(integer(1))
    freeze_after: int = option(integer(0), neutral=0)

    @property
    def is_weighted(self) -> bool:
        """Where steps differ in length."""
        return self.most_noise is not None

    @property
    def needs_noise(self) -> bool:
        """For friction."""
        return True

    @property
    def uncounted_steps(self) -> int:
        """While it measures."""
        return self.measured_steps

    def langevin(self, step_size: float, noise: BatchNoise) -> Langevin | None:
        """With the interval of noise that has its mean strength."""
        variance, scale = np.trace(noise.covariance), None
        if self.mass == "noise":
            least = np.broadcast_to(noise.subsampling.prior_sd, len(noise.covariance)) ** -2.0
            scale = np.maximum(np.diag(noise.covariance), least) ** -0.5
            variance = float(len(scale))
        cooling = self.parts - 2
        longest = math.sqrt(cooling * step_size / variance)
        shortened = 1 if self.most_noise is None else math.sqrt(1 + step_size / self.most_noise)
        return Langevin(longest / shortened, self.refreshment / longest, "all", scale=scale)

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """Contrast friction."""
        known = build.subsampling
        if known is not None and known.batch_size < self.parts:
            valid = f"a whole number >= sampler.parts={self.parts}, into which it is divided"
            raise ConfigError("target.batch_size", known.batch_size, valid)
        used = 0.0 if known is None else known.batch_size // self.parts * self.parts / known.num_rows
        return partial(
            contrast_friction,
            parts=self.parts,
            mass=self.mass,
            most_noise=self.most_noise,
            refreshment=self.refreshment,
            measured_steps=self.measured_steps,
            freeze_after=self.freeze_after * build.unit,
            sampled_fraction=used,
            prior_sd=math.inf if known is None else known.prior_sd,
        )

"""Contrast friction: Langevin dynamics that cools exactly what the noise of its gradients heats (our own).

Three independent unbiased gradients g_1, g_2, g_3 at x, their mean g, and two contrasts, each with the covariance of g
and uncorrelated with it:

    d_1 = (g_1 - g_2) / sqrt(6),   d_2 = (g_1 + g_2 - 2 g_3) / sqrt(18)

One step, with the interval h0 = sqrt(u / E|d|^2) measured where the chain starts and h, w, c of the position x:

    h = h0 / sqrt(1 + h0^2 |d_1|^2 / u_max)          shorter where the noise is strong; x counts h in averages
    v <- q v + sqrt(1 - q^2) xi,  q = exp(-alpha h / h0),  xi ~ N(0, I)
    v <- v - c d_2 (d_2 . v) / |d_2|^2,  c = 1 - sqrt(1 - min(w, 1)),  w = h^2 |d_2|^2
    v <- v + h g
    x <- x + h v

With A the map of the third line, E[A A^T] + h^2 Cov(g) = I wherever w < 1: friction of rank one that matches
correlated noise, and noise that changes with x, without an estimate, a lag or a matrix. The contrast that sets h must
not be the one that cools, and h must not remember past noise: both bias. Averages have weights h.

A step ends with the gradients at its new position, so that its weight is known. Rows drawn without replacement, 3 b of
N, leave g with (1 - 3 b / N) of the contrasts' covariance; these are scaled to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile import tree
from smile.base import BatchNoise, Build, Info, Kernel, Langevin, SamplingAlgorithm
from smile.kernels.checks import check_count, check_is_noisy, check_range, check_step_size
from smile.kernels.sampler import Sampler
from smile.options import integer, number, option

__all__ = ["NUM_PARTS", "ContrastFriction", "ContrastFrictionState", "contrast_friction", "contrasts"]

NUM_PARTS = 3  # M


class ContrastFrictionState(NamedTuple):
    """State of contrast friction; leaves of the pytrees are (..., *chains).

    Attributes:
        position: pytree of parameters.
        velocity: pytree like position.
        gradient: g at the position.
        contrast: d_2 at the position.
        interval: h at the position, (*chains,); zero while the noise is measured: the chain stands still.
        noise: mean of |d|^2 where the chain started, (*chains,).
        num_measured: steps behind it, (*chains,) int32.
    """

    position: Any
    velocity: Any
    gradient: Any
    contrast: Any
    interval: jax.Array
    noise: jax.Array
    num_measured: jax.Array


def contrasts(gradients: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """The mean g and the contrasts d_1 and d_2 of three gradients."""
    mean = jax.tree.map(lambda a, b, c: (a + b + c) / 3, *gradients)
    first = jax.tree.map(lambda a, b, c: (a - b) / math.sqrt(6), *gradients)
    second = jax.tree.map(lambda a, b, c: (a + b - 2 * c) / math.sqrt(18), *gradients)
    return mean, first, second


def contrast_friction(
    logdensity_fn: Callable[[Any, Any], jax.Array],
    *,
    most_noise: float = 0.3,
    refreshment: float = 1e-3,
    measured_steps: int = 100,
    sampled_fraction: float = 0.0,
) -> SamplingAlgorithm:
    """Contrast friction; its ``step_size`` is u, the noise E|h g|^2 that a step may take up, with one optimum for all.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        most_noise: u_max > 0, which bounds h^2 |d_1|^2.
        refreshment: alpha >= 0, of the velocity, per interval h0.
        measured_steps: steps during which the chain stands still and the noise is measured, at least 1.
        sampled_fraction: M b / N in [0, 1), of the rows that are in a batch, where rows are drawn without replacement.

    Returns:
        A sampling algorithm whose batch is divided along its leading axis into three, a remainder left out.

    Raises:
        ValueError: from the call, ``init`` or ``step``, where an argument, a shape or the batch is not as it says.
    """
    check_range("most_noise", most_noise, "(0, inf)")
    check_range("refreshment", refreshment, "[0, inf)")
    check_range("sampled_fraction", sampled_fraction, "[0, 1)")
    check_count("measured_steps", measured_steps)
    value_and_grad = tree.value_and_grad(logdensity_fn)

    def evaluate(position: Any, batch: Any) -> tuple[jax.Array, Any, Any, Any]:
        check_is_noisy(batch, "contrast friction")
        values, gradients = zip(*(value_and_grad(position, part) for part in _parts(batch)), strict=True)
        mean, *pair = contrasts(gradients)
        scaled = jax.tree.map(lambda d: math.sqrt(1 - sampled_fraction) * d, pair)
        return sum(values) / NUM_PARTS, mean, *scaled

    def init(position: Any, key: jax.Array, batch: Any) -> ContrastFrictionState:
        logdensity, gradient, _, contrast = evaluate(position, batch)
        zero = jnp.zeros(logdensity.shape, jax.tree.leaves(position)[0].dtype)
        velocity, count = tree.random_normal(key, position), jnp.zeros(zero.shape, jnp.int32)
        return ContrastFrictionState(position, velocity, gradient, contrast, zero, zero, count)

    def step(
        key: jax.Array, state: ContrastFrictionState, batch: Any, step_size: jax.Array
    ) -> tuple[ContrastFrictionState, Info]:
        check_step_size(step_size, state.position, state.interval)
        chain_ndim = jnp.ndim(step_size)
        h = state.interval
        longest = jnp.sqrt(step_size / jnp.where(state.num_measured > 0, state.noise, 1.0))
        kept = jnp.exp(-refreshment * h / longest)
        xi = tree.random_normal(key, state.velocity)
        velocity = tree.axpy(kept - 1, state.velocity, state.velocity)
        velocity = tree.axpy(jnp.sqrt(1 - kept**2), xi, velocity)
        square = tree.vdot(state.contrast, state.contrast, chain_ndim)
        w = jnp.minimum(h**2 * square, 1.0)
        cooled = (
            w / (1 + jnp.sqrt(1 - w)) / jnp.where(square > 0, square, 1.0)
        )  # c / |d_2|^2 without cancellation
        along = tree.vdot(state.contrast, velocity, chain_ndim)
        velocity = tree.axpy(-cooled * along, state.contrast, velocity)
        velocity = tree.axpy(h, state.gradient, velocity)
        position = tree.axpy(h, velocity, state.position)

        logdensity, gradient, first, second = evaluate(position, batch)
        squares = [tree.vdot(d, d, chain_ndim) for d in (first, second)]
        is_measuring = state.num_measured < measured_steps
        count = state.num_measured + is_measuring
        noise = state.noise + jnp.where(
            is_measuring, ((squares[0] + squares[1]) / 2 - state.noise) / count, 0.0
        )
        longest_squared = step_size / noise
        interval = jnp.sqrt(longest_squared / (1 + longest_squared * squares[0] / most_noise))
        interval = jnp.where(count < measured_steps, 0.0, interval).astype(h.dtype)
        noise, count = noise.astype(h.dtype), count.astype(jnp.int32)
        new = ContrastFrictionState(position, velocity, gradient, second, interval, noise, count)
        norm = tree.vdot(position, position, chain_ndim)
        is_divergent = ~(jnp.isfinite(norm) & jnp.isfinite(logdensity) & jnp.isfinite(interval))
        return new, Info(jnp.full_like(norm, jnp.nan), is_divergent, jnp.int32(NUM_PARTS))

    return SamplingAlgorithm(init, step, weight=lambda state: state.interval)


def _parts(batch: Any) -> list[Any]:
    """Equal parts of a batch along its leading axis; a remainder is left out."""
    rows = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0 for leaf in jax.tree.leaves(batch)}
    if len(rows) != 1 or min(rows) < NUM_PARTS:
        raise ValueError(f"a batch of {min(rows)} rows: contrast friction divides it into {NUM_PARTS}")
    size = rows.pop() // NUM_PARTS
    return [jax.tree.map(lambda leaf, k=k: leaf[k * size : (k + 1) * size], batch) for k in range(NUM_PARTS)]


@dataclass(frozen=True, kw_only=True)
class ContrastFriction(Sampler):
    """``sampler=contrast_friction``."""

    parts: ClassVar[int] = NUM_PARTS
    is_weighted: ClassVar[bool] = True

    most_noise: float = option(number(0))
    refreshment: float = option(number(at_least=0))
    measured_steps: int = option(integer(1))

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
        longest = math.sqrt(step_size / np.trace(noise.covariance))
        interval = longest / math.sqrt(1 + step_size / self.most_noise)
        return Langevin(interval, self.refreshment / longest, "all")

    def build(self, build: Build, adapted: Any = ()) -> Kernel:
        """Contrast friction."""
        known = build.subsampling
        used = 0.0 if known is None else known.batch_size // NUM_PARTS * NUM_PARTS / known.num_rows
        return partial(
            contrast_friction,
            most_noise=self.most_noise,
            refreshment=self.refreshment,
            measured_steps=self.measured_steps,
            sampled_fraction=used,
        )

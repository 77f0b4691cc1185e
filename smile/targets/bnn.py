"""The posterior of a network's weights given data (Sommer et al. 2026, section 5).

    log p(theta | batch) = log prior(theta) + N/B sum_{i in batch} log p(y_i | x_i, theta)

where p(y_i | x_i) of a window of text is the product over its tokens. A position is one flat vector per chain: a few
operations on long vectors are several times faster than many on small leaves, and cost large networks little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from smile.models import Model, check_parameters
from smile.options import ConfigError, choice, either, integer, number, option, optional
from smile.targets.options import TargetOptions
from smile.targets.prior import Prior, scales

__all__ = [
    "BNN",
    "LIKELIHOODS",
    "Likelihood",
    "NanoGPT",
    "NetworkPosterior",
    "NetworkTarget",
    "bnn",
    "likelihood",
]

LOG_SD_BOUNDS = (math.log(1e-6), math.log(1e6))


class Likelihood(NamedTuple):
    """How outputs of a network become a distribution of y.

    Attributes:
        num_outputs: of the network.
        has_log_sd: whether one log noise standard deviation is sampled beside the network.
        predict: ``(outputs (rows, num_outputs), log_sd ()) -> prediction``: logits (rows, classes), or mean and log
            standard deviation, each (rows,).
        log_prob: ``(prediction, y) -> (rows,)``; of text, logits (windows, context, tokens) -> (windows, context).
    """

    num_outputs: int
    has_log_sd: bool
    predict: Callable[[jax.Array, jax.Array], Any]
    log_prob: Callable[[Any, jax.Array], jax.Array]


def _gaussian_log_prob(prediction: tuple[jax.Array, jax.Array], y: jax.Array) -> jax.Array:
    mean, log_sd = prediction
    log_sd = jnp.clip(log_sd, *LOG_SD_BOUNDS)
    return -0.5 * ((y - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)


def _categorical_log_prob(logits: jax.Array, y: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
    return chosen - jax.nn.logsumexp(logits, axis=-1)


LIKELIHOODS = ("homoscedastic", "heteroscedastic", "categorical")


def likelihood(name: str, num_classes: int = 0) -> Likelihood:
    """``homoscedastic`` and ``heteroscedastic`` Gaussians, or ``categorical`` over ``num_classes``."""
    match name:
        case "homoscedastic":
            return Likelihood(
                1,
                True,
                lambda out, log_sd: (out[:, 0], jnp.broadcast_to(log_sd, out.shape[:1])),
                _gaussian_log_prob,
            )
        case "heteroscedastic":
            return Likelihood(2, False, lambda out, log_sd: (out[:, 0], out[:, 1]), _gaussian_log_prob)
        case "categorical":
            return Likelihood(num_classes, False, lambda out, log_sd: out, _categorical_log_prob)
    raise ValueError(f"no likelihood {name!r}: valid are {', '.join(LIKELIHOODS)}")


@dataclass(frozen=True)
class NetworkPosterior:
    """The posterior of one chain; everything vmaps over chains.

    Attributes:
        dim: number of scalars in a position.
        num_rows: N, the size of the training data; of text, in windows.
        prior_sd: standard deviations of the prior, (dim,).
        likelihood: of the data.
        logdensity: ``(position (dim,), batch (x, y)) -> ()``, an unbiased estimate of the log posterior, normalised
            but for the evidence.
        predict: ``(position (dim,), x) -> prediction`` of the likelihood.
        join: ``(params, log_sd ()) -> position (dim,)``.
        split: ``position (dim,) -> (params, log_sd ())``; log_sd is 0 where the likelihood samples none.
    """

    dim: int
    num_rows: float
    prior_sd: jax.Array
    likelihood: Likelihood
    logdensity: Callable[[jax.Array, Any], jax.Array]
    predict: Callable[[jax.Array, jax.Array], Any]
    join: Callable[[Any, jax.Array], jax.Array]
    split: Callable[[jax.Array], tuple[Any, jax.Array]]


def bnn(
    model: Model,
    likelihood: Likelihood,
    prior: Prior,
    example: tuple[jax.Array, jax.Array],
    num_rows: float,
    *,
    microbatches: int = 1,
) -> NetworkPosterior:
    """The posterior of a network.

    Args:
        model: the network.
        likelihood: whose ``num_outputs`` the network must have.
        prior: on every parameter, log noise standard deviation included.
        example: x and y of some rows, for shapes only.
        num_rows: N.
        microbatches: parts of a batch whose gradients are computed one after the other, so that the activations of one
            part at a time must fit into the memory. A divisor of the batch size.

    Raises:
        ValueError: where the network does not map x to num_outputs numbers for every y, or has no parameters, or some
            that are no real numbers, or the prior has no scale for a leaf.
    """
    example_x, example_y = example
    params = jax.eval_shape(model.init, jax.random.key(0), example_x)
    outputs = jax.eval_shape(model.apply, params, example_x)
    expected = (*example_y.shape, likelihood.num_outputs)
    if getattr(outputs, "shape", None) != expected:
        given = getattr(outputs, "shape", type(outputs).__name__)
        raise ValueError(f"the network maps x of shape {example_x.shape} to {given}, expected {expected}")
    check_parameters(params)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)
    flat, unravel = ravel_pytree(zeros)
    extra = 1 if likelihood.has_log_sd else 0
    scale = ravel_pytree(scales(prior, params))[0]
    scale = jnp.concatenate([prior.scale * scale, jnp.full(extra, prior.scale, scale.dtype)])

    def split(position: jax.Array) -> tuple[Any, jax.Array]:
        log_sd = position[-1] if extra else jnp.zeros((), position.dtype)
        return unravel(position[: flat.size]), log_sd

    def join(params: Any, log_sd: jax.Array) -> jax.Array:
        vector = ravel_pytree(params)[0]
        return jnp.append(vector, log_sd) if extra else vector

    def predict(position: jax.Array, x: jax.Array) -> Any:
        params, log_sd = split(position)
        return likelihood.predict(model.apply(params, x), log_sd)

    def log_prior(position: jax.Array) -> jax.Array:
        z = position / scale
        if prior.name == "laplace":
            return -jnp.sum(jnp.abs(z)) - jnp.sum(jnp.log(2 * scale))
        return -0.5 * jnp.sum(z**2) - jnp.sum(jnp.log(scale)) - 0.5 * scale.size * math.log(2 * math.pi)

    def log_likelihood(position: jax.Array, batch: Any) -> jax.Array:
        x, y = batch
        return jnp.sum(likelihood.log_prob(predict(position, x), y))

    accumulated = log_likelihood if microbatches == 1 else _accumulated(log_likelihood, microbatches)

    def logdensity(position: jax.Array, batch: Any) -> jax.Array:
        return log_prior(position) + num_rows / batch[1].shape[0] * accumulated(position, batch)

    prior_sd = math.sqrt(2) * scale if prior.name == "laplace" else scale
    return NetworkPosterior(
        flat.size + extra, num_rows, prior_sd, likelihood, logdensity, predict, join, split
    )


def _accumulated(function: Callable[[jax.Array, Any], jax.Array], parts: int) -> Callable[..., jax.Array]:
    """A sum over rows whose gradient is accumulated part by part, not kept for a backward pass over all of them."""

    def over_parts(one: Callable[..., Any], position: jax.Array, batch: Any) -> Any:
        split = jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), batch)
        zero = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype),
            jax.eval_shape(one, position, jax.tree.map(lambda leaf: leaf[0], split)),
        )
        return jax.lax.scan(
            lambda total, part: (jax.tree.map(jnp.add, total, one(position, part)), None), zero, split
        )[0]

    @jax.custom_vjp
    def total(position: jax.Array, batch: Any) -> jax.Array:
        return over_parts(function, position, batch)

    def forward(position: jax.Array, batch: Any) -> tuple[jax.Array, jax.Array]:
        return over_parts(jax.value_and_grad(function), position, batch)

    total.defvjp(forward, lambda gradient, cotangent: (cotangent * gradient, None))
    return total


_AUTO_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class NetworkTarget(TargetOptions):
    """The posterior of a network's weights; ``batch_size`` None means the full batch, ``auto`` 256 or half of the rows.

    The last three options divide the work so that it fits into the memory.

    Attributes:
        reads: kind of the data, see ``smile.data.families``.
    """

    reads: ClassVar[str]

    likelihood: Literal["auto", "homoscedastic", "heteroscedastic", "categorical"] = option(
        choice("auto", *LIKELIHOODS)
    )
    prior: Literal["normal", "laplace", "he", "glorot"] = option(choice("normal", "laplace", "he", "glorot"))
    prior_scale: float = option(number(0))
    batch_size: int | Literal["auto"] | None = option(either({"auto": "auto", None: None}, integer(1)))
    count: Literal["steps", "epochs"] = option(choice("steps", "epochs"))
    draws: Literal["none", "thinned", "last", "stream"] = option(
        choice("none", "thinned", "last", "stream"), in_run_id=False
    )
    posterior_megabytes: float = option(number(0), default=4.0, in_run_id=False)
    checkpoint_minutes: float = option(number(at_least=0), in_run_id=False)
    chains_at_once: int | None = option(optional(integer(1)), in_run_id=False)
    rows_at_once: int | None = option(optional(integer(1)), in_run_id=False)
    microbatches: int = option(integer(1), in_run_id=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.batch_size, int):
            self.check_microbatches(self.batch_size)

    def check_microbatches(self, batch_size: int) -> None:
        """Raises ConfigError where they do not divide a batch."""
        if batch_size % self.microbatches:
            valid = f"a divisor of target.batch_size={batch_size}"
            raise ConfigError("target.microbatches", self.microbatches, valid)

    def rows_per_batch(self, num_rows: int) -> int | None:
        """``batch_size`` where ``num_rows`` are there to train on; None: all of them.

        A batch of all rows has no noise, from which the preconditioner is estimated: ``auto`` leaves half of a small
        table out.
        """
        return min(_AUTO_BATCH, max(1, num_rows // 2)) if self.batch_size == "auto" else self.batch_size


@dataclass(frozen=True, kw_only=True)
class BNN(NetworkTarget):
    """``target=bnn``: of a network that reads rows of numbers."""

    reads: ClassVar[str] = "numbers"


@dataclass(frozen=True, kw_only=True)
class NanoGPT(NetworkTarget):
    """``target=nanogpt``: of a language model."""

    reads: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.batch_size, int):
            raise ConfigError("target.batch_size", self.batch_size, "a whole number with target=nanogpt")

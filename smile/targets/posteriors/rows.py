"""Posteriors of rows of real data, whose batches are rows, and how they become targets.

    log p(x | batch) = log prior(x) + N/B sum_{i in batch} log p(row_i | x)

Batches follow each other through epochs, every row once in each (``smile.data.batches``). What is measured of a
position is standardised by the reference: in units of the posterior's mean and standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import BatchNoise, Subsampling, Target
from smile.data.batches import epoch_batch_indices
from smile.options import ConfigError
from smile.targets.posteriors.reference import Reference

__all__ = ["RowModel", "full_logdensity", "observed", "row_target"]


_DRAWS_PER_COORDINATE = 20  # that the inverse of their covariance needs
_DRAWS_OF_NOISE = 20  # over which its covariance is averaged


class RowModel(NamedTuple):
    """A model of the rows of a data set.

    Attributes:
        rows: arrays, (N, ...) each.
        dim: number of scalars of a position, which is one vector.
        log_prior: ``position -> ()``, normalised or not.
        log_likelihood: ``(position, *rows of a batch) -> (B,)``.
        prior_sd: standard deviations of the prior, a number or (dim,); for preconditioners only.
        observe: ``position -> (k,)``, what is compared where positions themselves are not identified; None: these.
        reference_coordinates: ``z -> (position, log |det d position / dz|)``, coordinates in which NUTS has an easier
            time; None: those of the position.
        symmetry: ``position -> position``, its own inverse, which changes no density: NUTS need not find the other
            half; None: there is none. Of the two, the one whose second scalar is the larger counts as the first half.
    """

    rows: tuple[np.ndarray, ...]
    dim: int
    log_prior: Callable[[jax.Array], jax.Array]
    log_likelihood: Callable[..., jax.Array]
    prior_sd: Any = 1.0
    observe: Callable[[jax.Array], jax.Array] | None = None
    reference_coordinates: Callable[[jax.Array], tuple[jax.Array, jax.Array]] | None = None
    symmetry: Callable[[jax.Array], jax.Array] | None = None

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.rows[0])

    @property
    def has_one_mode(self) -> bool:
        """Whether no other positions say the same, by a symmetry or as functions alone are compared."""
        return self.observe is None and self.symmetry is None


def full_logdensity(model: RowModel) -> Callable[[jax.Array], jax.Array]:
    """``position -> ()``, of all rows."""
    return lambda position: _logdensity(model, position, ())


def observed(model: RowModel, position: jax.Array) -> jax.Array:
    """What is measured of a position, (k,), in its own units."""
    return position if model.observe is None else model.observe(position)


def row_target(name: str, model: RowModel, reference: Reference, batch_size: int | None) -> Target:
    """The target; chains start at draws of the reference.

    Args:
        name: what tables call it.
        model: of the rows.
        reference: draws of its posterior.
        batch_size: B; None: all rows, and exact gradients.

    Raises:
        ConfigError: where the model has not so many rows.
    """
    num_rows = model.num_rows
    if batch_size is not None and not 1 <= batch_size < num_rows:
        valid = f"full, or a whole number from 1 to {num_rows - 1}, as target={name} has {num_rows} rows"
        raise ConfigError("target.batch_size", batch_size, valid)
    starts = jnp.asarray(reference.draws, jnp.float32)
    mean, sd = jnp.asarray(reference.mean, jnp.float32), jnp.asarray(reference.sd, jnp.float32)

    def batch_of_step(key: jax.Array, step: jax.Array, chains: tuple[int, ...]) -> jax.Array:
        assert batch_size is not None
        return epoch_batch_indices(key, step, num_rows, batch_size)

    def draw_batch(key: jax.Array, chains: tuple[int, ...]) -> Any:
        return () if batch_size is None else batch_of_step(key, jnp.int32(0), chains)

    def observe(position: jax.Array) -> jax.Array:
        # float32 would lose the digits of a mean far from zero if it were subtracted after the average
        return (observed(model, position) - mean) / sd

    subsampling = None if batch_size is None else Subsampling(num_rows, batch_size, model.prior_sd)
    return Target(
        name=name,
        dim=model.dim,
        init=lambda key: starts[jax.random.randint(key, (), 0, len(starts))],
        logdensity=lambda position, batch: _logdensity(model, position, batch),
        draw_batch=draw_batch,
        batch_of_step=None if batch_size is None else batch_of_step,
        divides=True,
        observe=observe,
        reference=((_observed_draws(model, reference) - reference.mean) / reference.sd).astype(np.float32),
        subsampling=subsampling,
        batch_noise=None if subsampling is None else _batch_noise(model, reference, subsampling),
    )


def _observed_draws(model: RowModel, reference: Reference) -> np.ndarray:
    draws = jnp.asarray(reference.draws, jnp.float32)
    return np.asarray(jax.jit(jax.vmap(lambda x: observed(model, x)))(draws), np.float64)


def _batch_noise(model: RowModel, reference: Reference, subsampling: Subsampling) -> BatchNoise | None:
    """As far as one Gaussian can say it: of several modes, or of functions alone, it cannot.

    The precision is that of the draws, or, where they are too few for that, minus the Hessian at their mean.
    """
    if not model.has_one_mode:
        return None
    draws = np.asarray(reference.draws, np.float64)
    with jax.enable_x64(True):
        if len(draws) < _DRAWS_PER_COORDINATE * model.dim:
            hessian = jax.jit(jax.hessian(full_logdensity(model)))
            precision = -np.asarray(hessian(jnp.asarray(reference.mean)))
        else:
            precision = np.linalg.inv(np.cov(draws.T))
        of_rows = jax.jit(jax.jacfwd(lambda x: model.log_likelihood(x, *map(jnp.asarray, model.rows))))
        some = draws[:: max(1, len(draws) // _DRAWS_OF_NOISE)]
        covariance = np.mean([np.cov(np.asarray(of_rows(jnp.asarray(x))).T) for x in some], axis=0)
    rows, size = subsampling.num_rows, subsampling.batch_size
    return BatchNoise(precision, (1 - size / rows) * rows**2 / size * covariance, subsampling, rows / size)


def _logdensity(model: RowModel, position: jax.Array, batch: Any) -> jax.Array:
    """Of the rows whose numbers are the batch, or of all where it is ()."""
    rows = tuple(jnp.asarray(array, position.dtype) for array in model.rows)
    if isinstance(batch, tuple):
        return model.log_prior(position) + jnp.sum(model.log_likelihood(position, *rows))
    some = tuple(array[batch] for array in rows)
    scale = model.num_rows / batch.shape[0]
    return model.log_prior(position) + scale * jnp.sum(model.log_likelihood(position, *some))

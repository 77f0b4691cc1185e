"""What is wrong with the gradients: structure (which directions) x distribution (which tails) x source (how drawn).

A noisy log density is log p(x) + s.x with a fresh s every step, so the gradient noise is s; ``spatially_varied``
multiplies s.x by exp(-x_2 / kappa), and the gradient includes the derivative of that factor, as in the public code.
s has mean zero and

    Cov s = batch_size (1 - batch_size / num_rows) scale^2 A A^T

where A is the identity (isotropic), diag(scales) in the coordinate axes (diagonal) or Q diag(scales), whose A A^T is
the covariance of the ill-conditioned Gaussian (correlated, spatially_varied). Two sources have this law:

- ``minibatch`` sums a random subset of the rows of a real data set. Sums of 256 rows are nearly Gaussian, whatever the
  distribution of the rows.
- ``injected`` draws s at once: Gaussian, or with the tails of ``distribution`` as in the paper's Appendix D.2, where
  s = sqrt(batch_size) scale A xi with iid unit-variance xi and no finite-population factor.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import Target
from smile.noise.distribution import Distribution, checked_parameter, data_set, unit_variates
from smile.noise.minibatch import minibatch_sums
from smile.targets.icg import covariance_factor, scales

__all__ = ["DEFAULT_KAPPA", "Source", "Structure", "add_noise"]

Structure = Literal["none", "isotropic", "diagonal", "correlated", "spatially_varied"]
Source = Literal["injected", "minibatch"]

DEFAULT_KAPPA = {"icg": 6.5, "funnel": 9.0, "rosenbrock": 1.414}
_VARYING_COORDINATE = 2


def add_noise(
    target: Target,
    *,
    structure: Structure,
    source: Source = "injected",
    distribution: Distribution = "gaussian",
    parameter: float | None = None,
    scale: float = 1.0,
    rotation: int | None = 1,
    condition_number: float = 100.0,
    kappa: float | None = None,
    num_rows: int = 409_600,
    batch_size: int = 256,
) -> Target:
    """Wraps a target so that every gradient is noisy.

    Args:
        target: any; coordinates of a pytree position are those of its flattened leaves in order. A target's own
            batches are replaced by its full batch.
        structure: see the module; ``none`` returns the target as it is.
        source: how s is drawn.
        distribution: of the iid entries, before the structure is applied.
        parameter: degrees of freedom (> 2) of ``student_t``, sigma (> 0) of ``lognormal``.
        scale: standard deviation (> 0) of one row's entries before the structure is applied.
        rotation: seed of the rotation Q of correlated noise, by default the default Gaussian's; None: no rotation.
        condition_number: ratio of the largest to the smallest of the scales in A, at least 1.
        kappa: length (> 0) over which spatially varied noise falls by e; None: the public code's for the target.
        num_rows: rows of the data set.
        batch_size: rows of a batch, at most ``num_rows``.

    Returns:
        A target whose batches are noise vectors (dim, *chains). Its full batch ``()`` stands for no noise.

    Raises:
        ValueError: where an argument is out of range, or kappa has no default.
    """
    if structure not in get_args(Structure) or source not in get_args(Source):
        valid = f"structure one of {get_args(Structure)}, source one of {get_args(Source)}"
        raise ValueError(f"{valid}; got {structure!r} and {source!r}")
    if structure == "none":
        return target
    tail = checked_parameter(distribution, parameter)
    if not scale > 0 or not condition_number >= 1 or (kappa is not None and not kappa > 0):
        raise ValueError(
            f"scale and kappa must be > 0 and condition_number >= 1, got {scale}, {kappa} and {condition_number}"
        )
    if not 0 < batch_size <= num_rows:
        raise ValueError(f"batch_size must lie in 1..num_rows={num_rows}, got {batch_size}")
    length = _length(target, kappa) if structure == "spatially_varied" else None
    factor = _factor(structure, target.dim, condition_number, rotation)
    if source == "minibatch":
        sums = minibatch_sums(data_set(num_rows, target.dim, distribution, tail), batch_size)
        factor = scale * factor
    else:
        finite_population = 1 - batch_size / num_rows if distribution == "gaussian" else 1.0
        factor = scale * np.sqrt(batch_size * finite_population) * factor

        def sums(key: jax.Array, chains: tuple[int, ...]) -> jax.Array:
            return unit_variates(key, (target.dim, *chains), distribution, tail)

    def draw_batch(key: jax.Array, chains: tuple[int, ...]) -> jax.Array:
        variates = sums(key, chains)
        matrix = jnp.asarray(factor, variates.dtype)
        if matrix.ndim == 1:
            return matrix.reshape(-1, *(1,) * len(chains)) * variates
        return jnp.tensordot(matrix, variates, 1, precision="highest")

    def logdensity(position: Any, batch: Any) -> jax.Array:
        value = target.logdensity(position, target.full_batch)
        if isinstance(batch, tuple):
            return value
        x = _coordinates(position, batch.shape)
        tilt = jnp.sum(x * batch.astype(x.dtype), axis=0)
        if length is not None:
            tilt = tilt * jnp.exp(-x[_VARYING_COORDINATE] / length)
        return value + tilt

    return target.replace(logdensity=logdensity, draw_batch=draw_batch, full_batch=())


def _coordinates(position: Any, shape: tuple[int, ...]) -> jax.Array:
    """All scalars of a chain in one leading axis: (dim, *chains)."""
    leaves = jax.tree.leaves(position)
    if len(leaves) == 1:
        return leaves[0].reshape(shape)
    return jnp.concatenate([leaf.reshape(-1, *shape[1:]) for leaf in leaves])


def _factor(structure: Structure, dim: int, condition_number: float, rotation: int | None) -> np.ndarray:
    """A of the module's docstring; its diagonal (dim,) where it is diagonal, else (dim, dim)."""
    if structure == "isotropic":
        return np.ones(dim)
    if structure == "diagonal":
        return scales(dim, condition_number)
    return covariance_factor(dim, condition_number, rotation)


def _length(target: Target, kappa: float | None) -> float:
    if target.dim <= _VARYING_COORDINATE:
        raise ValueError(f"spatially_varied noise needs 3 coordinates, {target.name} has {target.dim}")
    if kappa is None and target.name not in DEFAULT_KAPPA:
        raise ValueError(f"spatially_varied noise needs kappa > 0: {target.name} has no default")
    return DEFAULT_KAPPA[target.name] if kappa is None else kappa

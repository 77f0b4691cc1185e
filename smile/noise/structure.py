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

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, assert_never, get_args

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import Target
from smile.choices import Choices
from smile.noise.distribution import Distribution, data_set, unit_variates, wrong_parameter
from smile.noise.minibatch import minibatch_sums
from smile.options import SEED, ConfigError, Options, choice, either, integer, number, option, optional
from smile.targets.icg import covariance_factor, scales

__all__ = ["NOISES", "Isotropic", "NoNoise", "Noise", "NoiseOptions", "SpatiallyVaried", "add_noise"]

Source = Literal["injected", "minibatch"]

_VARYING_COORDINATE = 2


@dataclass(frozen=True, kw_only=True)
class NoiseOptions(Options):
    """What every ``noise=...`` declares.

    Attributes:
        is_noisy: whether gradients are noisy at all.
        needs_scales: whether the noise has other scales than one, in units of the coordinates.
        fewest_coordinates: that a target must have.
    """

    group: ClassVar[str] = "noise"
    is_noisy: ClassVar[bool] = True
    needs_scales: ClassVar[bool] = True
    fewest_coordinates: ClassVar[int] = 1

    # Constants of the choice that has no such options.
    source = "none"
    distribution = "none"

    def check(self, target: Target) -> None:
        """Raises ValueError where the noise does not fit the target."""

    @abstractmethod
    def add(self, target: Target) -> Target:
        """The target with noisy gradients.

        Raises:
            ValueError: where the noise does not fit the target.
        """


@dataclass(frozen=True, kw_only=True)
class NoNoise(NoiseOptions):
    """``noise=none``."""

    is_noisy: ClassVar[bool] = False
    needs_scales: ClassVar[bool] = False

    def add(self, target: Target) -> Target:
        """The target as it is."""
        return target


@dataclass(frozen=True, kw_only=True)
class Noise(NoiseOptions):
    """``noise=isotropic|diagonal|correlated``, see the module for the names.

    Attributes:
        source: how s is drawn.
        distribution: of the iid entries, before the structure is applied.
        parameter: degrees of freedom (> 2) of ``student_t``, sigma (> 0) of ``lognormal``.
        scale: standard deviation of one row's entries before the structure is applied.
        rotation: seed of the rotation Q of correlated noise; ``aligned``: the target's; ``independent``: one that has
            nothing to do with the target's.
        num_rows: rows of the data set.
        batch_size: rows of a batch, at most ``num_rows``.
    """

    source: Source = option(choice(*get_args(Source)), default="injected")
    distribution: Distribution = option(choice(*get_args(Distribution)), default="gaussian")
    parameter: float | None = option(optional(number()), default=None)
    scale: float = option(number(0), default=1.0)
    rotation: Literal["aligned", "independent"] | int = option(
        either({"aligned": "aligned", "independent": "independent"}, SEED), default="independent"
    )
    num_rows: int = option(integer(1), default=409_600)
    batch_size: int = option(integer(1), default=256)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size > self.num_rows:
            valid = f"a whole number <= noise.num_rows={self.num_rows}"
            raise ConfigError("noise.batch_size", self.batch_size, valid)
        if valid := wrong_parameter(self.distribution, self.parameter):
            valid = f"{valid} with noise.distribution={self.distribution}"
            raise ConfigError("noise.parameter", self.parameter, valid)

    def add(self, target: Target) -> Target:
        """The target with this noise."""
        return add_noise(target, self)


@dataclass(frozen=True, kw_only=True)
class Isotropic(Noise):
    """``noise=isotropic``."""

    needs_scales: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class SpatiallyVaried(Noise):
    """``noise=spatially_varied``; ``kappa`` is the length over which it falls by e, None: the target's own."""

    fewest_coordinates: ClassVar[int] = _VARYING_COORDINATE + 1

    kappa: float | None = option(optional(number(0)), default=None)

    def check(self, target: Target) -> None:
        """Needs a third coordinate and a length."""
        _length(target, self)


NOISES: Choices[NoiseOptions] = Choices(
    "noise",
    NoiseOptions,
    {
        "none": NoNoise,
        "isotropic": Isotropic,
        "diagonal": Noise,
        "correlated": Noise,
        "spatially_varied": SpatiallyVaried,
    },
)


def add_noise(target: Target, noise: Noise) -> Target:
    """Wraps a target so that every gradient is noisy.

    Args:
        target: any; coordinates of a pytree position are those of its flattened leaves in order. A target's own
            batches are replaced by its full batch.
        noise: what kind of noise.

    Returns:
        A target whose batches are noise vectors (dim, *chains). Its full batch ``()`` stands for no noise.

    Raises:
        ValueError: where the target has too few coordinates, or kappa has no default.
    """
    length, scale = _length(target, noise), noise.scale
    if noise.source == "minibatch":
        rows = data_set(noise.num_rows, target.dim, noise.distribution, noise.parameter or 0.0)
        sums = minibatch_sums(rows, noise.batch_size)
    elif noise.source == "injected":
        is_finite = noise.distribution == "gaussian"
        finite_population = 1 - noise.batch_size / noise.num_rows if is_finite else 1.0
        scale *= np.sqrt(noise.batch_size * finite_population)

        def sums(key: jax.Array, chains: tuple[int, ...]) -> jax.Array:
            return unit_variates(key, (target.dim, *chains), noise.distribution, noise.parameter or 0.0)

    else:
        assert_never(noise.source)
    factor = scale * _factor(noise, target)

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

    return target.replace(
        logdensity=logdensity, draw_batch=draw_batch, batch_of_step=None, divides=False, full_batch=()
    )


def _coordinates(position: Any, shape: tuple[int, ...]) -> jax.Array:
    """All scalars of a chain in one leading axis: (dim, *chains)."""
    leaves = jax.tree.leaves(position)
    if len(leaves) == 1:
        return leaves[0].reshape(shape)
    return jnp.concatenate([leaf.reshape(-1, *shape[1:]) for leaf in leaves])


def _factor(noise: Noise, target: Target) -> np.ndarray:
    """A of the module's docstring; its diagonal (dim,) where it is diagonal, else (dim, dim)."""
    frame = target.frame
    match noise.name:
        case "isotropic":
            return np.ones(target.dim)
        case "diagonal":
            return scales(target.dim, frame.condition_number)
        case "correlated" | "spatially_varied":
            named = {"aligned": frame.rotation, "independent": frame.other_rotation}
            rotation = named[noise.rotation] if isinstance(noise.rotation, str) else noise.rotation
            return covariance_factor(target.dim, frame.condition_number, rotation)
    raise ValueError(f"no noise {noise.name!r}")


def _length(target: Target, noise: Noise) -> float | None:
    if not isinstance(noise, SpatiallyVaried):
        return None
    if target.dim < noise.fewest_coordinates:
        raise ValueError(f"spatially_varied noise needs 3 coordinates, {target.name} has {target.dim}")
    if noise.kappa is None and target.noise_length is None:
        raise ValueError(f"spatially_varied noise needs kappa > 0: {target.name} has no default")
    return target.noise_length if noise.kappa is None else noise.kappa

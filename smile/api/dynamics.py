"""What ``smile.sample`` and ``smile.as_blackjax`` share: starts, batches, kernels with their step sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from smile.api.choices import composed
from smile.base import Info, Subsampling
from smile.config.rules import check_tuner
from smile.data import Source, rows_of
from smile.execute.problem import Dynamics
from smile.kernels import Sampler
from smile.options import ConfigError, integer, number, require
from smile.tuners import AdaptingTuner, Tuner, TunerOptions

__all__ = [
    "LogDensity",
    "Schedule",
    "check_scalar",
    "dynamics_of",
    "scheduled",
    "source_of",
    "starting_positions",
    "subsampling_of",
]

LogDensity = Callable[[Any, Any], jax.Array]
Schedule = Callable[[Any], Any]


def starting_positions(init: Any, keys: jax.Array) -> Any:
    """Positions, leaves (chains, ...).

    Raises:
        ValueError: where they are no finite real numbers.
    """
    valid = f"finite real numbers that {jnp.result_type(float)} holds, or arrays of them"

    def real(leaf: Any) -> jax.Array:
        array = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
        if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
            given = f"an array of {array.dtype}" if array.ndim else type(leaf).__name__
            raise ValueError(f"init: got {given}; valid: {valid}")
        with np.errstate(over="ignore"):  # what is too large is refused below
            return jnp.asarray(array, jnp.result_type(float))

    starts = jax.vmap(lambda key: jax.tree.map(real, init(key) if callable(init) else init))(keys)
    leaves = jax.tree.leaves(starts)
    if sum(leaf.size for leaf in leaves) == 0:
        raise ValueError("init: got a position without numbers; valid: arrays, or a function key -> arrays")
    if not all(jnp.isfinite(leaf).all() for leaf in leaves):
        raise ValueError(f"init: got a position that is not finite; valid: {valid}")
    return starts


def source_of(data: Any, batch_size: int | None) -> tuple[Source, int | None]:
    if data is None:
        if batch_size is not None:
            raise ConfigError("batch_size", batch_size, "null without data")
        return Source(None, 0, 0, lambda data, choices: None), None
    leaves = jax.tree.leaves(data)
    rows = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else None for leaf in leaves}
    if len(rows) != 1 or None in rows:
        raise ConfigError("data", [jnp.shape(leaf) for leaf in leaves], "arrays with equally many rows")
    if batch_size is not None:
        require("batch_size", batch_size, integer(1, rows.pop()))
    return rows_of(data), batch_size


def subsampling_of(
    source: Source, size: int | None, prior_sd: Any, like: Any, temperature: float
) -> Subsampling:
    """How batches stand for all rows; ``like``: a position that is flattened, and the prior's deviations with it."""
    wide = jax.tree.map(lambda sd: sd * jnp.sqrt(temperature), prior_sd)
    if like is not None and jnp.ndim(prior_sd) + len(jax.tree.leaves(prior_sd)) > 1:
        full = jax.tree.map(lambda sd, leaf: jnp.broadcast_to(jnp.asarray(sd), leaf.shape), wide, like)
        wide = ravel_pytree(full)[0]
    return Subsampling(source.num_rows, size or source.num_choices, wide)


def dynamics_of(
    sampler: Sampler,
    tuner: TunerOptions | None,
    step_size: float | None,
    schedule: Schedule | None,
    chains: int,
    num_steps: int,
) -> Dynamics:
    tuner = composed("sampler=psmile", "tuner=none").tuner if tuner is None else tuner
    if not isinstance(sampler, Sampler):
        raise ConfigError("sampler", sampler, "one such as smile.psmile()")
    if not isinstance(tuner, TunerOptions):
        raise ConfigError("tuner", tuner, "one such as smile.energy_variance()")
    check_tuner(tuner, sampler)
    if isinstance(tuner, AdaptingTuner):
        if step_size is not None or schedule is not None:
            raise ConfigError(
                "step_size", step_size, f"null, and no schedule, with tuner={tuner.name}, which finds it"
            )
        return Dynamics(sampler, tuner, (), chains, num_steps)
    if step_size is None:
        if schedule is None:
            raise ConfigError("step_size", None, "a number > 0, unless schedule says it")
        step_size = 1.0
    require("step_size", step_size, number(0))
    return Dynamics(sampler, tuner, (float(step_size),), chains, num_steps)


def check_scalar(logdensity: LogDensity, position: jax.Array, source: Source, size: int | None) -> None:
    """Raises ValueError where the log density is no scalar."""

    def value(position: jax.Array) -> jax.Array:
        return logdensity(position, source.draw(source.data, jax.random.key(0), jnp.int32(0), size))

    shape = getattr(jax.eval_shape(value, position), "shape", None)
    if shape != ():
        raise ValueError(f"logdensity_fn: got a value of shape {shape}; valid: a scalar, ()")


class _Scheduled(NamedTuple):
    """State of a tuner whose step size a schedule multiplies; ``num_resets`` is the tuner's."""

    inner: Any
    step: jax.Array

    @property
    def num_resets(self) -> Any:
        return getattr(self.inner, "num_resets", None)


def scheduled(tuner: Tuner, *, schedule: Schedule, first: float) -> Tuner:
    """The same tuner, whose step size in step n is multiplied by ``schedule(n)``; ``first``: its first one."""

    def init(step_size: jax.Array) -> _Scheduled:
        return _Scheduled(tuner.init(jnp.full_like(step_size, first)), jnp.int32(0))

    def update(state: _Scheduled, info: Info) -> tuple[_Scheduled, jax.Array, jax.Array | None]:
        inner, step_size, reset = tuner.update(state.inner, info)
        step = state.step + 1
        scaled = jnp.asarray(step_size * schedule(step), step_size.dtype)
        return _Scheduled(inner, step), scaled, reset

    return Tuner(init, update, tuner.keeps)

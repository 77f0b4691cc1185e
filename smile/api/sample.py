"""A log density of one's own: ``smile.sample``, and the same kernels in BlackJAX's loop, ``smile.as_blackjax``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

from smile import metrics, random
from smile.base import Info, Subsampling
from smile.data import Source, rows_of
from smile.execute.problem import Dynamics, adapt, algorithm_of
from smile.kernels import Sampler
from smile.options import ConfigError, integer, number, require
from smile.sampling import Batches, Chains, Length, Monitor, sample_ensemble
from smile.tuners import Tuner, TunerOptions
from smile.tuners.base import TunedAlgorithm, TunedState

__all__ = ["Draws", "as_blackjax", "sample"]

LogDensity = Callable[[Any, Any], jax.Array]
Schedule = Callable[[Any], Any]


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """What chains drew.

    Attributes:
        position: like the initial position, leaves (chains, draws, ...).
        step_size: of every chain at the end, (chains,).
        num_divergent: steps that were divergent, (chains,).
        num_resets: steps that the tuner undid, (chains,).
        gradient_evaluations: of one chain.
    """

    position: Any
    step_size: np.ndarray
    num_divergent: np.ndarray
    num_resets: np.ndarray
    gradient_evaluations: int

    def __repr__(self) -> str:
        chains, draws = jax.tree.leaves(self.position)[0].shape[:2]
        return f"Draws({chains} chains x {draws} draws, {int(self.num_divergent.sum())} divergent steps)"

    def summary(self) -> pd.DataFrame:
        """Of every coordinate, by its name: mean, sd, R-hat, and the effective sample size of all chains together."""
        frames = []
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.position):
            name = jax.tree_util.keystr(path, simple=True, separator=".") or "x"
            flat = leaf.reshape(*leaf.shape[:2], -1).astype(np.float64)
            rhat, ess = metrics.rank_diagnostics(flat)
            names = [f"{name}[{','.join(map(str, i))}]" if i else name for i in np.ndindex(leaf.shape[2:])]
            columns = {"mean": flat.mean((0, 1)), "sd": flat.std((0, 1)), "rhat": rhat, "ess": ess}
            frames.append(pd.DataFrame(columns, index=names))
        return pd.concat(frames)


def sample(
    logdensity_fn: LogDensity,
    init: Any,
    *,
    data: Any = None,
    batch_size: int | None = None,
    sampler: Sampler | None = None,
    tuner: TunerOptions | None = None,
    step_size: float | None = None,
    schedule: Schedule | None = None,
    chains: int = 4,
    num_steps: int = 10_000,
    burn_in: int | None = None,
    thinning: int = 1,
    prior_sd: Any = 1.0,
    temperature: float = 1.0,
    seed: int = 0,
) -> Draws:
    """Runs chains on a log density that is estimated from batches of rows.

    Args:
        logdensity_fn: ``(position, batch) -> scalar``, an unbiased estimate of the log density up to a constant, so that
            the sum over a batch counts N / B times; ``batch`` is rows of ``data``, all of them with ``batch_size=None``,
            ``None`` without data.
        init: where chains start, a pytree of numbers or arrays; or ``key -> position``, without which all chains start
            at one point and R-hat is blind to what all of them miss.
        data: arrays (rows, ...), a tree of them; None: the log density knows its data.
        batch_size: rows per step, in epochs without replacement; None: all of them.
        sampler: such as ``smile.psmile()``; None: that one.
        tuner: such as ``smile.energy_variance()``; None: the step size stays as given.
        step_size: the initial one, > 0; of pSMILE with data in standard deviations of the posterior. Needed unless the
            tuner finds one or ``schedule`` says all.
        schedule: ``step -> factor``, such as optax's, by which the step size is multiplied, the tuner's included.
        chains: how many.
        num_steps: of a chain, burn-in included.
        burn_in: first steps, whose draws are not kept; None: half of all.
        thinning: every how many steps a draw is kept; a divisor of num_steps.
        prior_sd: standard deviations of the prior, a number or a tree like the position, by which pSMILE knows the scale
            of what the rows say nothing of.
        temperature: T > 0; chains sample exp(log density / T).
        seed: determines every number.

    Raises:
        ConfigError: which option is wrong, and what is valid.
        ValueError: where the log density is no scalar, or the position is empty.
    """
    from smile.api.choices import psmile

    for name, value, converter in (
        ("chains", chains, integer(1)), ("num_steps", num_steps, integer(1)), ("thinning", thinning, integer(1)),
        ("temperature", temperature, number(0)), ("seed", seed, integer(0, 2**32 - 1)),
    ):  # fmt: skip
        require(name, value, converter)
    burn_in = num_steps // 2 if burn_in is None else burn_in
    if num_steps % thinning or not 0 <= burn_in < num_steps:
        raise ConfigError(
            "thinning", thinning, f"a divisor of num_steps={num_steps}, and 0 <= burn_in < num_steps"
        )
    key_init, key_adapt, key_sample = jax.random.split(random.key(seed), 3)
    starts = _starts(init, jax.random.split(key_init, chains))
    positions = jax.vmap(lambda start: ravel_pytree(start)[0])(starts)
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], starts))[1]
    source, size = _source(data, batch_size)

    def logdensity(position: jax.Array, batch: Any) -> jax.Array:
        return logdensity_fn(unravel(position), batch) / temperature

    _check(logdensity, positions[0], source, size)
    subsampling = (
        None if data is None else _subsampling(source, size, prior_sd, unravel(positions[0]), temperature)
    )
    dynamics = _dynamics(sampler or psmile(), tuner, step_size, schedule, chains, num_steps)
    adapted, adaptation = adapt(
        dynamics, lambda p: logdensity(p, source.data), positions, jax.random.split(key_adapt, chains)
    )
    first = jnp.asarray(adapted.step_size, positions.dtype)
    around: Callable[[Tuner], Tuner] = lambda tuner: tuner  # noqa: E731
    if schedule is not None:
        around = partial(_scheduled, schedule=schedule, first=dynamics.step_size[0])
        first = first * schedule(0)
    algorithm = algorithm_of(
        dynamics, logdensity, num_steps, subsampling=subsampling, dimension=positions.shape[1], around=around
    )
    chunks: list[np.ndarray] = []
    result = sample_ensemble(
        Chains(algorithm.of, adapted.position, first, adapted.parameters),
        Batches(source, size),
        Monitor(lambda chains: (), lambda state, positions, data: (), lambda state: (), ()),
        Length(num_steps, burn_in, thinning, algorithm.keeps),
        key=key_sample,
        on_draws=lambda index, draws: chunks.append(draws),
    )
    draws = np.concatenate(chunks).swapaxes(0, 1)
    flat = jax.vmap(unravel)(draws.reshape(-1, draws.shape[-1]))
    position = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(*draws.shape[:2], *leaf.shape[1:]), flat)
    resets = getattr(result.state.tuner, "num_resets", None)
    return Draws(
        position,
        np.asarray(result.state.step_size),
        result.num_divergent,
        np.zeros(chains, int) if resets is None else np.asarray(resets),
        num_steps * result.gradients_per_step + adaptation,
    )


class BlackJAXState(NamedTuple):
    """State of a chain in BlackJAX's loop.

    Attributes:
        position: like the initial one.
        tuned: kernel, tuner and step size.
        step: made so far, () int32.
        batch_key: that orders the rows.
    """

    position: Any
    tuned: TunedState
    step: jax.Array
    batch_key: jax.Array


def as_blackjax(
    sampler: Sampler,
    logdensity_fn: LogDensity,
    *,
    step_size: float,
    data: Any = None,
    batch_size: int | None = None,
    tuner: TunerOptions | None = None,
    num_steps: int | None = None,
    prior_sd: Any = 1.0,
) -> Any:
    """One chain as a ``blackjax.SamplingAlgorithm``, for ``blackjax.util.run_inference_algorithm``.

    Args:
        sampler: such as ``smile.psmile()``.
        logdensity_fn: as for ``sample``.
        step_size: the initial one, > 0.
        data: as for ``sample``.
        batch_size: as for ``sample``.
        tuner: as for ``sample``.
        num_steps: of the chain; only tuners that follow a schedule, and samplers that freeze, need it.
        prior_sd: as for ``sample``.

    Raises:
        ConfigError: which option is wrong, and what is valid.
    """
    from blackjax import SamplingAlgorithm

    source, size = _source(data, batch_size)
    dynamics = _dynamics(sampler, tuner, step_size, None, 1, num_steps or 1)
    if num_steps is None and dynamics.tuner.name in ("linear", "cosine", "cyclical"):
        raise ConfigError(
            "num_steps", None, f"a whole number >= 1 with tuner={dynamics.tuner.name}, a schedule over it"
        )

    def algorithm(position: Any) -> TunedAlgorithm:
        dimension = sum(jnp.size(leaf) for leaf in jax.tree.leaves(position))
        subsampling = None if data is None else _subsampling(source, size, prior_sd, None, 1.0)
        return algorithm_of(
            dynamics, logdensity_fn, dynamics.num_steps, subsampling=subsampling, dimension=dimension
        ).of(())

    def init(position: Any, rng_key: jax.Array) -> BlackJAXState:
        position = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), position)
        key_kernel, key_batch = jax.random.split(rng_key)
        batch = source.draw(source.data, key_batch, jnp.int32(0), size)
        start = jnp.asarray(step_size, jax.tree.leaves(position)[0].dtype)
        state = algorithm(position).init(position, key_kernel, batch, start)
        return BlackJAXState(position, state, jnp.int32(0), key_batch)

    def step(rng_key: jax.Array, state: BlackJAXState) -> tuple[BlackJAXState, Info]:
        batch = source.draw(source.data, state.batch_key, state.step, size)
        new, info = algorithm(state.position).step(rng_key, state.tuned, batch)
        return BlackJAXState(new.kernel.position, new, state.step + 1, state.batch_key), info

    return SamplingAlgorithm(init, step)


# ---- parts ---------------------------------------------------------------------------------------


def _starts(init: Any, keys: jax.Array) -> Any:
    """Positions, leaves (chains, ...)."""

    def start(key: jax.Array) -> Any:
        found = init(key) if callable(init) else init
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), found)

    starts = jax.vmap(start)(keys)
    if sum(leaf.size for leaf in jax.tree.leaves(starts)) == 0:
        raise ValueError("init: got a position without numbers; valid: arrays, or a function key -> arrays")
    return starts


def _source(data: Any, batch_size: int | None) -> tuple[Source, int | None]:
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


def _subsampling(
    source: Source, size: int | None, prior_sd: Any, like: Any, temperature: float
) -> Subsampling:
    """How batches stand for all rows; ``like``: a position that is flattened, and the prior's deviations with it."""
    wide = jax.tree.map(lambda sd: sd * jnp.sqrt(temperature), prior_sd)
    if like is not None and jnp.ndim(prior_sd) + len(jax.tree.leaves(prior_sd)) > 1:
        full = jax.tree.map(lambda sd, leaf: jnp.broadcast_to(jnp.asarray(sd), leaf.shape), wide, like)
        wide = ravel_pytree(full)[0]
    return Subsampling(source.num_rows, size or source.num_choices, wide)


def _dynamics(
    sampler: Sampler,
    tuner: TunerOptions | None,
    step_size: float | None,
    schedule: Schedule | None,
    chains: int,
    num_steps: int,
) -> Dynamics:
    from smile.api.choices import composed
    from smile.config.rules import check_tuner
    from smile.tuners import AdaptingTuner

    tuner = composed("sampler=psmile", "tuner=none").tuner if tuner is None else tuner
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


def _check(logdensity: LogDensity, position: jax.Array, source: Source, size: int | None) -> None:
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


def _scheduled(tuner: Tuner, *, schedule: Schedule, first: float) -> Tuner:
    """The same tuner, whose step size in step n is multiplied by ``schedule(n)``; ``first``: its first one."""

    def init(step_size: jax.Array) -> _Scheduled:
        return _Scheduled(tuner.init(jnp.full_like(step_size, first)), jnp.int32(0))

    def update(state: _Scheduled, info: Info) -> tuple[_Scheduled, jax.Array, jax.Array | None]:
        inner, step_size, reset = tuner.update(state.inner, info)
        step = state.step + 1
        scaled = jnp.asarray(step_size * schedule(step), step_size.dtype)
        return _Scheduled(inner, step), scaled, reset

    return Tuner(init, update, tuner.keeps)

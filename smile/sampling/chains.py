"""Many chains in one compiled program: step sizes and replications are axes, not processes.

The host loop runs equal chunks of one jitted double scan: the inner scan makes ``thinning`` steps, the outer one looks
at the position and adds to running sums. A chunk returns sums and a few whole positions, so memory depends on the
number of chunks and not on the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from smile.base import Target
from smile.sampling.weights import equally_weighted
from smile.tuners import TunedState
from smile.tuners.base import TunedAlgorithm

__all__ = ["Samples", "num_chunks", "sample", "trailing_chains"]

MAX_CHUNKS = 128
DRAWS_PER_CHUNK = 10


class Samples(NamedTuple):
    """What is kept of all chains: what the target observes, or flattened positions, ``dim`` scalars per chain.

    Attributes:
        second_moment: mean over draws of x_i^2, with the kernel's weights, (chains, dim), float64.
        draws: evenly spaced positions, (chains, at most MAX_CHUNKS * DRAWS_PER_CHUNK, dim), all of the same weight.
        mean: over draws of x_i, (chains, dim), float64.
        step_size: of each chain at the end, (chains,).
        gradient_evaluations: of one chain.
        counts: by name, how often something happened in each chain, (chains,): ``num_divergent`` unless the target is
            finite everywhere, and what the tuner counts.
    """

    second_moment: np.ndarray
    draws: np.ndarray
    mean: np.ndarray
    step_size: np.ndarray
    gradient_evaluations: int
    counts: Mapping[str, np.ndarray]


class _Counted(NamedTuple):
    """All chains, and how many steps of each were divergent, (chains,) int32."""

    tuned: TunedState
    num_divergent: jax.Array


class _Draw(NamedTuple):
    """What is looked at: the weight, (chains,), and what is observed, (dim, chains)."""

    weight: jax.Array
    observed: jax.Array


def trailing_chains(target: Target) -> Target:
    """Gives a target written for one chain the trailing chain axis of ``smile.base``."""
    if target.handles_chains:
        return target

    def draw_batch(key: jax.Array, chains: tuple[int, ...]) -> Any:
        if not chains:
            return target.draw_batch(key, ())
        return jax.vmap(lambda k: target.draw_batch(k, ()), out_axes=-1)(jax.random.split(key, chains[0]))

    def vmapped(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.vmap(function, in_axes=-1, out_axes=-1)

    of_step, observe = target.batch_of_step, target.observe

    def batch_of_step(key: jax.Array, step: jax.Array, chains: tuple[int, ...]) -> Any:
        assert of_step is not None
        if not chains:
            return of_step(key, step, ())
        return jax.vmap(lambda k: of_step(k, step, ()), out_axes=-1)(jax.random.split(key, chains[0]))

    return target.replace(
        logdensity=vmapped(target.logdensity),
        draw_batch=draw_batch,
        batch_of_step=of_step and batch_of_step,
        observe=observe and vmapped(observe),
        handles_chains=True,
    )


def num_chunks(num_draws: int) -> int:
    """The largest divisor of ``num_draws`` up to MAX_CHUNKS: equal chunks need one compilation."""
    return max(n for n in range(1, min(num_draws, MAX_CHUNKS) + 1) if num_draws % n == 0)


def sample(
    target: Target,
    algorithm: TunedAlgorithm,
    step_size: np.ndarray,
    *,
    key: jax.Array,
    num_steps: int,
    thinning: int = 1,
    burn_in: int = 0,
    on_chunk: Callable[[int], None] = lambda num_steps: None,
) -> Samples:
    """Runs one chain per entry of ``step_size``.

    Args:
        target: with the noise already added; ``trailing_chains`` has been applied.
        algorithm: kernel and tuner.
        step_size: initial step sizes, (chains,).
        key: determines every number that comes out.
        num_steps: steps per chain, burn-in included; a multiple of ``thinning``.
        thinning: every how many steps the position is looked at.
        burn_in: the first steps, whose positions are ignored; below ``num_steps``.
        on_chunk: called after each chunk with the number of steps it made.

    Returns:
        The sums and draws of all chains. A chain that left the floating-point numbers has NaN there.
    """
    chains = len(step_size)
    chunks = num_chunks(num_steps // thinning)
    chunk_draws = num_steps // thinning // chunks
    keep_every = -(-chunk_draws // DRAWS_PER_CHUNK)
    key_start, key_chunks = jax.random.split(key)
    key_batches = jax.random.fold_in(key_chunks, chunks)
    observe = target.observe or _flatten

    def batch_of(key: jax.Array, step: jax.Array) -> Any:
        if target.batch_of_step is not None:
            return target.batch_of_step(key_batches, step, (chains,))
        return target.draw_batch(key, (chains,))

    def drawn(state: TunedState) -> _Draw:
        seen = observe(state.kernel.position)
        weight = algorithm.weight
        return _Draw(jnp.ones(chains, seen.dtype) if weight is None else weight(state), seen)

    @partial(jax.jit, donate_argnums=0)
    def run_chunk(
        state: _Counted, chunk: jax.Array
    ) -> tuple[_Counted, tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        keys = jax.random.split(jax.random.fold_in(key_chunks, chunk), (chunk_draws, thinning, 2))
        looked_at = (chunk * chunk_draws + jnp.arange(chunk_draws) + 1) * thinning > burn_in

        def one_step(state: _Counted, xs: tuple[jax.Array, jax.Array]) -> tuple[_Counted, None]:
            keys, step = xs
            tuned, info = algorithm.step(keys[1], state.tuned, batch_of(keys[0], step))
            if target.is_finite:
                return state._replace(tuned=tuned), None
            return _Counted(tuned, state.num_divergent + info.is_divergent), None

        def one_draw(carry: tuple[_Counted, Any, Any], xs: tuple[jax.Array, ...]) -> tuple[Any, None]:
            state, totals, kept = carry
            keys, counts, index = xs
            steps = (chunk * chunk_draws + index) * thinning + jnp.arange(thinning)
            state, _ = jax.lax.scan(one_step, state, (keys, steps))
            draw = drawn(state.tuned)
            powers = (draw.weight, draw.observed, draw.observed**2)
            if algorithm.weight is not None:
                powers = (draw.weight, draw.weight * powers[1], draw.weight * powers[2])
            totals = tuple(total + jnp.where(counts, x, 0.0) for total, x in zip(totals, powers, strict=True))
            kept = jax.tree.map(
                lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, index // keep_every, 0),
                kept,
                draw,
            )
            return (state, totals, kept), None

        shapes = jax.eval_shape(drawn, state.tuned)
        weight, observed = (jnp.zeros(shape.shape, shape.dtype) for shape in shapes)
        kept = jax.tree.map(lambda x: jnp.zeros((-(-chunk_draws // keep_every), *x.shape), x.dtype), shapes)
        xs = (keys, looked_at, jnp.arange(chunk_draws))
        (state, totals, kept), _ = jax.lax.scan(one_draw, (state, (weight, observed, observed), kept), xs)
        return state, totals, kept

    start = jax.jit(lambda key, step_size: _start(target, algorithm, key, step_size))
    tuned, gradients_per_step = start(key_start, jnp.asarray(step_size))
    state = _shard(_Counted(tuned, jnp.zeros(chains, jnp.int32)), chains)
    totals, draws = [], []
    for chunk in range(chunks):
        state, total, kept = run_chunk(state, jnp.int32(chunk))
        totals.append([np.asarray(one, np.float64).T for one in total])
        draws.append(jax.tree.map(np.asarray, kept))
        on_chunk(chunk_draws * thinning)

    draw_steps = (np.arange(chunks * chunk_draws) + 1) * thinning
    counts = (draw_steps > burn_in).reshape(chunks, chunk_draws).sum(1)
    full = counts == chunk_draws
    weight, mean, second_moment = (sum(one) for one in zip(*totals, strict=True))
    whole = [draw for draw, keep in zip(draws, full, strict=True) if keep] or draws[-1:]
    found = np.concatenate([draw.observed for draw in whole]).transpose(2, 0, 1)
    if algorithm.weight is not None:
        found = equally_weighted(found, np.concatenate([draw.weight for draw in whole]).T)
    with np.errstate(invalid="ignore"):  # a chain that left the numbers
        mean, second_moment = mean / weight[:, None], second_moment / weight[:, None]
    return Samples(
        second_moment=second_moment,
        draws=found,
        mean=mean,
        step_size=np.asarray(state.tuned.step_size, np.float64),
        gradient_evaluations=int(gradients_per_step) * target.gradients * num_steps,
        counts=_counts(state, target.is_finite),
    )


def _start(
    target: Target, algorithm: TunedAlgorithm, key: jax.Array, step_size: jax.Array
) -> tuple[TunedState, jax.Array]:
    """First states, and the gradient evaluations of a step: a constant, for which XLA drops the step around it."""
    key_position, key_state, key_batch = jax.random.split(key, 3)
    position = jax.vmap(target.init, out_axes=-1)(jax.random.split(key_position, len(step_size)))
    step_size = step_size.astype(jax.tree.leaves(position)[0].dtype)
    batch = target.draw_batch(key_batch, step_size.shape)
    state = algorithm.init(position, key_state, batch, step_size)
    return state, algorithm.step(key_state, state, batch)[1].gradient_evaluations


def _counts(state: _Counted, is_finite: bool) -> dict[str, np.ndarray]:
    counts = {} if is_finite else {"num_divergent": np.asarray(state.num_divergent)}
    for name in ("num_resets", "num_non_finite"):
        if (count := getattr(state.tuned.tuner, name, None)) is not None:
            counts[name] = np.asarray(count)
    return counts


def _shard(state: _Counted, chains: int) -> _Counted:
    """Splits the chain axis over the devices, as many of them as divide it."""
    count = max(n for n in range(1, jax.device_count() + 1) if chains % n == 0)
    mesh = Mesh(np.array(jax.devices()[:count]), ("chain",))

    def put(leaf: jax.Array) -> jax.Array:
        axes = (None,) * (leaf.ndim - 1) + ("chain",)
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*axes)))

    return jax.tree.map(put, state)


def _flatten(position: Any) -> jax.Array:
    """All scalars of a chain in one leading axis: (dim, chains)."""
    return jnp.concatenate([leaf.reshape(-1, leaf.shape[-1]) for leaf in jax.tree.leaves(position)])

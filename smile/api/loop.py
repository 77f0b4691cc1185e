"""The kernels in BlackJAX's loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from smile.api.dynamics import LogDensity, dynamics_of, source_of, subsampling_of
from smile.base import Info
from smile.execute.problem import algorithm_of
from smile.kernels import Sampler
from smile.options import ConfigError
from smile.tuners import TunerOptions
from smile.tuners.base import TunedAlgorithm, TunedState

__all__ = ["BlackJAXState", "as_blackjax"]


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

    source, size = source_of(data, batch_size)
    dynamics = dynamics_of(sampler, tuner, step_size, None, 1, num_steps or 1)
    if num_steps is None and dynamics.tuner.name in ("linear", "cosine", "cyclical"):
        raise ConfigError(
            "num_steps", None, f"a whole number >= 1 with tuner={dynamics.tuner.name}, a schedule over it"
        )

    def algorithm(position: Any) -> TunedAlgorithm:
        dimension = sum(jnp.size(leaf) for leaf in jax.tree.leaves(position))
        subsampling = None if data is None else subsampling_of(source, size, prior_sd, None, 1.0)
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

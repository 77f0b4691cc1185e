"""Adaptation of full-batch MCLMC before sampling: a step size for a wanted energy error, L from the autocorrelation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, assert_never

import jax
import jax.numpy as jnp

from smile.kernels.checks import check_count, check_dimension, check_range
from smile.options import choice, integer, number, option
from smile.tuners.line_search import mclmc_from_line_search
from smile.tuners.options import Adaptation, Adapted, AdaptingTuner

__all__ = ["MCLMCAdaptation", "find_L_and_step_size"]


def find_L_and_step_size(  # noqa: N802 - the name that BlackJAX gave it
    logdensity_fn: Callable[[Any], jax.Array],
    position: Any,
    key: jax.Array,
    *,
    num_steps: int,
    desired_energy_variance: float,
) -> Adapted:
    """Momentum decoherence length and step size of MCLMC for one chain (Robnik et al. 2023, section 4).

    Args:
        logdensity_fn: ``position -> scalar``, of the full batch.
        position: where the chain starts.
        key: of the chain's adaptation.
        num_steps: how many steps the adaptation takes, three phases of a third each.
        desired_energy_variance: wanted variance of the energy error per dimension, > 0.

    Returns:
        What was adapted, for one chain; ``parameters`` is L.

    Raises:
        ValueError: where an argument is not as it says, or the position has one dimension.
    """
    check_count("num_steps", num_steps)
    check_range("desired_energy_variance", desired_energy_variance, "(0, inf)")
    check_dimension(position, ())
    import blackjax  # here, because it takes longer to import than a wrong option to answer
    from blackjax.mcmc.integrators import isokinetic_mclachlan

    key_start, key_tune = jax.random.split(key)
    state, parameters, _ = blackjax.mclmc_find_L_and_step_size(
        mclmc_kernel=blackjax.mcmc.mclmc.build_kernel(integrator=isokinetic_mclachlan),
        num_steps=num_steps,
        state=blackjax.mcmc.mclmc.init(position, logdensity_fn, key_start),
        rng_key=key_tune,
        logdensity_fn=logdensity_fn,
        frac_tune1=1 / 3,
        frac_tune2=1 / 3,
        frac_tune3=1 / 3,
        desired_energy_var=desired_energy_variance,
        diagonal_preconditioning=False,
    )
    return Adapted(parameters.L, parameters.step_size, state.position)


@dataclass(frozen=True, kw_only=True)
class MCLMCAdaptation(AdaptingTuner):
    """``tuner=mclmc``: adapts L and step size, before sampling."""

    num_steps: int = option(integer(1))
    desired_energy_variance: float = option(number(0))
    algorithm: Literal["blackjax", "line_search"] = option(
        choice("blackjax", "line_search"), neutral="blackjax"
    )

    def adapt(self, logdensity_fn: Callable[[Any], jax.Array], positions: Any, keys: jax.Array) -> Adapted:
        """L, step size and position of every chain."""
        one_chain = partial(
            find_L_and_step_size,
            logdensity_fn,
            num_steps=self.num_steps,
            desired_energy_variance=self.desired_energy_variance,
        )
        if adaptation := self.stepwise(lambda position, batch: logdensity_fn(position)):
            one_chain = partial(_in_one_go, adaptation)
        adapted: Adapted = jax.jit(jax.vmap(one_chain))(positions, keys)
        return adapted

    def stepwise(self, logdensity_fn: Callable[[Any, Any], jax.Array]) -> Adaptation | None:
        """That from a line search."""
        match self.algorithm:
            case "blackjax":
                return None
            case "line_search":
                return mclmc_from_line_search(
                    logdensity_fn,
                    num_steps=self.num_steps,
                    desired_energy_variance=self.desired_energy_variance,
                )
            case never:
                assert_never(never)


def _in_one_go(adaptation: Adaptation, position: Any, key: jax.Array) -> Adapted:
    key_start, key_steps = jax.random.split(key)
    batch = jnp.zeros(())  # of no meaning, but an empty one would be refused

    def one_step(state: Any, index: jax.Array) -> tuple[Any, None]:
        return adaptation.step(state, jax.random.fold_in(key_steps, index), index, batch), None

    start = adaptation.init(position, key_start, batch)
    return adaptation.result(jax.lax.scan(one_step, start, jnp.arange(adaptation.num_steps))[0])

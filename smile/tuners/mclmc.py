"""BlackJAX's adaptation of full-batch MCLMC: a step size for a wanted energy error, L from the autocorrelation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from smile.kernels.checks import check_count, check_dimension, check_range
from smile.options import integer, number, option
from smile.tuners.options import Adapted, AdaptingTuner

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
    """``tuner=mclmc``: BlackJAX's adaptation of L and step size, before sampling."""

    num_steps: int = option(integer(1))
    desired_energy_variance: float = option(number(0))

    def adapt(self, logdensity_fn: Callable[[Any], jax.Array], positions: Any, keys: jax.Array) -> Adapted:
        """L, step size and position of every chain."""
        one_chain = partial(
            find_L_and_step_size,
            logdensity_fn,
            num_steps=self.num_steps,
            desired_energy_variance=self.desired_energy_variance,
        )
        adapted: Adapted = jax.jit(jax.vmap(one_chain))(positions, keys)
        return adapted

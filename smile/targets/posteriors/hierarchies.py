"""Posteriors whose scales are unknown: a hierarchy, which can be a funnel, and a mixture with two equal modes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from smile.targets.posteriors.regressions import standard_normal, standardised, table
from smile.targets.posteriors.rows import RowModel

__all__ = ["hierarchy", "mixture"]

_GROUPS = 20


def hierarchy(centred: bool) -> RowModel:
    """Progression of diabetes by age group: theta_j ~ N(mu, tau^2), y ~ N(theta_group, sigma^2) (d = 23).

    Age says little, so that tau may be near zero: the centred positions (theta, mu, log tau, log sigma) then lie in the
    neck of a funnel, the non-centred ones, with z_j = (theta_j - mu) / tau for theta_j, do not. Priors are half-normal
    for tau and standard normal for the others. NUTS samples the non-centred form and says either posterior.
    """
    x, y = table("diabetes")
    order = np.argsort(np.argsort(x[:, 0], kind="stable"), kind="stable")
    groups = np.eye(_GROUPS)[order * _GROUPS // len(y)]

    def log_prior_of_scales(mu: jax.Array, log_tau: jax.Array, log_sigma: jax.Array) -> jax.Array:
        half_normal = -0.5 * jnp.exp(2 * log_tau) + log_tau  # in its logarithm
        return half_normal - 0.5 * mu**2 - 0.5 * log_sigma**2

    def to_centred(position: jax.Array) -> jax.Array:
        theta = position[-3] + jnp.exp(position[-2]) * position[:-3]
        return jnp.concatenate([theta, position[-3:]])

    def log_prior(position: jax.Array) -> jax.Array:
        if not centred:
            return standard_normal(position[:-3]) + log_prior_of_scales(*position[-3:])
        z = (position[:-3] - position[-3]) * jnp.exp(-position[-2])
        return standard_normal(z) - _GROUPS * position[-2] + log_prior_of_scales(*position[-3:])

    def log_likelihood(position: jax.Array, groups: jax.Array, y: jax.Array) -> jax.Array:
        theta = (position if centred else to_centred(position))[:-3]
        return _normal(y, groups @ theta, position[-1])

    return RowModel(
        (groups, standardised(y)),
        _GROUPS + 3,
        log_prior,
        log_likelihood,
        reference_coordinates=(lambda z: (to_centred(z), _GROUPS * z[-2])) if centred else None,
    )


def mixture() -> RowModel:
    """The body mass of diabetes patients as two normals that may change their names: two equal modes (d = 5).

    Positions are (mu_1, mu_2, log s_1, log s_2, logit of the first weight).
    """
    x, _ = table("diabetes")

    def log_prior(position: jax.Array) -> jax.Array:
        return standard_normal(position)

    def log_likelihood(position: jax.Array, x: jax.Array) -> jax.Array:
        mu, log_sd, logit = position[:2], position[2:4], position[4]
        log_weight = jnp.stack([jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)])
        return jax.nn.logsumexp(log_weight + _normal(x[:, None], mu, log_sd), axis=1)

    def swapped(position: jax.Array) -> jax.Array:
        return position[jnp.array([1, 0, 3, 2, 4])] * jnp.array([1, 1, 1, 1, -1])

    return RowModel((x[:, 2],), 5, log_prior, log_likelihood, symmetry=swapped)


def _normal(y: jax.Array, mean: jax.Array, log_sd: jax.Array) -> jax.Array:
    return -0.5 * ((y - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)

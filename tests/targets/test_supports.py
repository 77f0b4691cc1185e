"""Transforms of constrained parameters: their borders, their Jacobians by autodiff, and what is sampled with them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.kernels import sgld
from smile.sampling import sample, trailing_chains
from smile.targets import from_logdensity, interval, ordered, positive, simplex
from smile.tuners import constant, tuned

Transform = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
TRANSFORMS: dict[str, tuple[Transform, Transform]] = {  # and the coordinates that the Jacobian is of
    "positive": (positive, lambda x: x),
    "interval": (lambda free: interval(free, -2.0, jnp.array([1.0, 3.0, 5.0])), lambda x: x),
    "ordered": (ordered, lambda x: x),
    "simplex": (simplex, lambda x: x[:-1]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_jacobian_is_that_of_autodiff(name: str) -> None:
    transform, coordinates = TRANSFORMS[name]
    with jax.enable_x64(True):
        for seed in range(5):
            free = 3 * jax.random.normal(jax.random.key(seed), (3,), jnp.float64)
            jacobian = jax.jacfwd(lambda u: coordinates(transform(u)[0]))(free)
            found = transform(free)[1]
            assert found.shape == ()
            np.testing.assert_allclose(found, np.linalg.slogdet(jacobian)[1], rtol=1e-10)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [0.0, 1.0, 15.0, -15.0])
def test_every_number_becomes_a_parameter_and_has_a_gradient(name: str, size: float) -> None:
    free = jnp.full(3, size, jnp.float32)
    parameters, log_jacobian = TRANSFORMS[name][0](free)
    assert (
        parameters.dtype == jnp.float32
        and bool(jnp.isfinite(parameters).all())
        and jnp.isfinite(log_jacobian)
    )
    assert bool(jnp.isfinite(jax.grad(lambda u: TRANSFORMS[name][0](u)[1])(free)).all())
    match name:
        case "positive":
            assert bool((parameters > 0).all())
        case "interval":
            assert bool(((parameters > -2) & (parameters < jnp.array([1.0, 3.0, 5.0]))).all())
        case "ordered":
            assert bool((jnp.diff(parameters) >= 0).all())
        case "simplex":
            assert parameters.shape == (4,) and bool((parameters >= 0).all())
            np.testing.assert_allclose(parameters.sum(), 1, rtol=1e-6)


def test_zero_is_the_middle() -> None:
    np.testing.assert_allclose(simplex(jnp.zeros(4))[0], np.full(5, 0.2), rtol=1e-6)
    assert interval(jnp.zeros(()), 1.0, 3.0)[0] == 2


def test_a_parameter_that_is_positive_is_sampled_without_a_divergent_step() -> None:
    """Gamma(3): mean 3, variance 3. Without the transform most steps leave x > 0.

    A z of 4.5 over 64 chains is a false alarm of 1e-5 twice; the bias of SGLD at this step is below a hundredth.
    """

    def logdensity(free: jax.Array) -> jax.Array:
        x, log_jacobian = positive(free)
        return jnp.sum(2 * jnp.log(x) - x) + log_jacobian

    target = from_logdensity(logdensity, jnp.zeros(2))
    noisy = trailing_chains(target)
    algorithm = tuned(sgld(noisy.logdensity), constant())
    lengths = {"num_steps": 3000, "thinning": 20, "burn_in": 500}
    found = sample(noisy, algorithm, np.full(64, 0.02), key=random.key(0), **lengths)
    assert (found.counts["num_divergent"] == 0).all()
    draws = np.asarray(positive(found.draws.astype(np.float64))[0])[..., 0]
    for values, truth in ((draws, 3.0), ((draws - 3) ** 2, 3.0)):
        means = values.mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(len(means))
        assert abs(means.mean() - truth) < 4.5 * error + 0.03

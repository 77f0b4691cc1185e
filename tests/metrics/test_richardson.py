"""Richardson extrapolation: exact on biases of its order; where it helps on a Gaussian, and where it does not."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.base import Target
from smile.kernels import psgld, sgld
from smile.metrics import extrapolate
from smile.sampling import sample
from smile.tuners import constant, tuned

CHAINS = 200


def second_moments(kernel, step_size):
    """Of a standard normal in two dimensions, by chain."""
    target = Target(
        "normal",
        2,
        lambda key: jnp.ones(2),
        lambda x, batch: -0.5 * jnp.sum(x**2, axis=0),
        handles_chains=True,
    )
    samples = sample(
        target, tuned(kernel(target.logdensity), constant()), np.full(CHAINS, step_size),
        key=random.key(int(1000 * step_size)), num_steps=int(200 / step_size), burn_in=int(20 / step_size), thinning=5,
    )  # fmt: skip
    return samples.second_moment


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_bias_of_the_order_goes_and_the_error_is_that_of_both(order):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 5000, 20))
    estimate, error = extrapolate(3 + 0.8**order + noise[0], 3 + 0.4**order + noise[1], order=order)
    assert np.abs((estimate - 3) / error).max() < 4.5
    expected = np.sqrt((4**order + 1) / 5000) / (2**order - 1)
    np.testing.assert_allclose(error, expected, rtol=0.05)


def test_it_removes_the_first_order_of_sgld_whose_law_is_known():
    """Variance 1 / (1 - h / 2); what is left is of second order, and the wrong order leaves more."""
    coarse, fine = second_moments(sgld, 0.4), second_moments(sgld, 0.2)
    estimate, error = extrapolate(coarse, fine, order=1)
    left = 2 / 0.9 - 1 / 0.8
    assert np.abs((estimate - left) / error).max() < 4.5
    assert np.abs(estimate - 1).max() < 0.5 * np.abs(fine.mean(0) - 1).min()
    wrong = extrapolate(coarse, fine, order=2).estimate
    assert (np.abs(wrong - 1) > np.abs(estimate - 1)).all()


def test_it_does_not_help_where_the_bias_does_not_vanish_with_the_step():
    """A metric that follows the gradient: pSGLD without the term Gamma."""
    coarse, fine = (second_moments(lambda f: psgld(f, rate=0.5, damping=0.1), step) for step in (0.04, 0.02))
    estimate, error = extrapolate(coarse, fine, order=1)
    assert (estimate - 1 > 10 * error).all()
    assert (np.abs(estimate - 1) > 0.5 * np.abs(fine.mean(0) - 1)).all()


@pytest.mark.parametrize(
    ("coarse", "fine", "order", "valid"),
    [
        (np.ones(3), np.ones(3), 0, "order=0: give a whole number >= 1"),
        (np.ones(1), np.ones(3), 1, r"shapes \(1,\) and \(3,\): give .* at least two chains"),
        (np.ones((3, 2)), np.ones((3, 4)), 1, "otherwise of one shape"),
    ],
)
def test_bad_input_is_refused(coarse, fine, order, valid):
    with pytest.raises(ValueError, match=valid):
        extrapolate(coarse, fine, order=order)

"""The convolution that is a matrix product on CPUs."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.models.convolution import Conv


@pytest.mark.parametrize("shape", [(2, 9, 8, 3), (2, 7, 10, 1)])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, None), (3, 2, None), (1, 2, None), (5, 1, 2), (5, 1, 0), (2, 3, 1)]
)
def test_is_that_of_flax_with_its_parameters(shape, size, stride, padding):
    x = jax.random.normal(jax.random.key(0), shape)
    ours = Conv(4, size, stride, padding)
    flax = nn.Conv(4, (size, size), stride, padding="SAME" if padding is None else padding)
    variables = flax.init(jax.random.key(1), x)
    np.testing.assert_array_equal(
        variables["params"]["kernel"], ours.init(jax.random.key(1), x)["params"]["kernel"]
    )

    def loss(module):
        return lambda variables, x: jnp.sum(jnp.sin(module.apply(variables, x)))

    np.testing.assert_allclose(ours.apply(variables, x), flax.apply(variables, x), rtol=1e-4, atol=1e-5)
    given, expected = (jax.grad(loss(m), argnums=(0, 1))(variables, x) for m in (ours, flax))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), given, expected)


@pytest.mark.parametrize(("platform", "operation"), [("cpu", "dot_general"), ("cuda", "convolution")])
def test_accelerators_convolve(platform, operation):
    x = jnp.ones((1, 6, 6, 2))
    module = Conv(3, 3)
    variables = module.init(jax.random.key(0), x)
    lowered = jax.jit(module.apply).trace(variables, x).lower(lowering_platforms=(platform,)).as_text()
    assert {name for name in ("dot_general", "convolution") if f"stablehlo.{name}" in lowered} == {operation}

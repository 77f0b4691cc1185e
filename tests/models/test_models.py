"""Networks and how users bring their own."""

from __future__ import annotations

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.models import FCN, Model, custom, from_flax

X = np.random.default_rng(0).normal(size=(7, 11)).astype(np.float32)


class Plain(nn.Module):
    """What ``FCN`` computes, in flax's own layers."""

    @nn.compact
    def __call__(self, x):
        for width in (16, 16, 16):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(1)(x)


@pytest.mark.parametrize(("features", "parameters"), [(5, 657), (8, 705), (11, 753)])
def test_fcn_has_the_published_number_of_parameters(features, parameters):
    params = from_flax(FCN((16, 16, 16, 1))).init(jax.random.key(0), X[:, :features])
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters


def test_fcn_is_a_stack_of_dense_layers_with_the_same_parameters():
    params = from_flax(FCN((16, 16, 16, 1))).init(jax.random.key(0), X)
    expected = Plain().init(jax.random.key(0), X)["params"]
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    np.testing.assert_allclose(
        from_flax(FCN((16, 16, 16, 1))).apply(expected, X),
        Plain().apply({"params": expected}, X),
        rtol=1e-5,
        atol=1e-6,
    )


class WithState(nn.Module):
    outputs: int = 1

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Dense(self.outputs)(x))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    made = types.ModuleType("my_networks")
    made.WithState = WithState
    made.dense = lambda outputs: nn.Dense(outputs)
    made.linear = lambda outputs: Model(
        lambda key, x: {"w": jnp.zeros((11, outputs))}, lambda p, x: x @ p["w"]
    )
    made.number = lambda outputs: outputs
    made.broken = lambda outputs: 1 / 0
    monkeypatch.setitem(sys.modules, "my_networks", made)
    return "my_networks"


@pytest.mark.parametrize("name", ["dense", "linear"])
def test_a_flax_module_or_two_functions(module, name):
    model = custom(f"{module}.{name}", 3)
    assert model.apply(model.init(jax.random.key(0), X), X).shape == (7, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "returned int, not a flax module or a Model"),
        ("broken", "raised ZeroDivisionError"),
        ("dens", "did you mean 'dense'"),
    ],
)
def test_what_is_wrong_is_one_line(module, name, message):
    with pytest.raises(ValueError, match=message):
        custom(f"{module}.{name}", 3)


def test_variables_that_are_no_parameters_are_refused(module):
    with pytest.raises(ValueError, match="not parameters \\(batch_stats\\)"):
        custom(f"{module}.WithState", 1).init(jax.random.key(0), X)

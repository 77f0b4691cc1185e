from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import smile
from smile.api.networks import NetworkError, architecture, from_facts
from smile.targets import Prior, bnn, likelihood

EXAMPLE = (jnp.zeros((2, 3)), jnp.zeros(2))


class Plain(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(3, 8, rngs=rngs)
        self.last = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(nnx.relu(self.first(x)))


class Dropping(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(3, 1, rngs=rngs)


class Normalising(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.last = nnx.Linear(3, 1, rngs=rngs)


class DroppingLinen(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(1)(nn.Dropout(0.5, deterministic=False)(x))


class NormalisingLinen(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(1)(nn.BatchNorm(use_running_average=True)(x))


def made(network: object, prior: Prior | None = None) -> object:
    model = architecture(network).make(1, None)
    return bnn(model, likelihood("homoscedastic"), prior or Prior(), EXAMPLE, 10)


@pytest.mark.parametrize(
    "network",
    [
        nn.Dense(1),
        nn.Dense,
        Plain,
        Plain(nnx.Rngs(0)),
        lambda outputs: nn.Dense(outputs),
        lambda rngs: Plain(rngs),
        lambda outputs, *, rngs: nnx.Linear(3, outputs, rngs=rngs),
        (lambda key, x: {"w": jnp.zeros((x.shape[1], 1))}, lambda params, x: x @ params["w"]),
        "flax.linen.Dense",
        smile.mlp(4),
    ],
)
def test_networks_as_they_come(network: object) -> None:
    posterior = made(network)
    position = jnp.ones(posterior.dim)
    mean, _ = posterior.predict(position, jnp.ones((5, 3)))
    assert mean.shape == (5,) and np.isfinite(posterior.logdensity(position, EXAMPLE))


def test_chains_of_a_module_that_has_numbers_start_apart() -> None:
    module = Plain(nnx.Rngs(0))
    model = architecture(module).make(1, None)
    first, second = (model.init(jax.random.key(seed), jnp.zeros((2, 3))) for seed in (0, 1))
    kernels = [np.asarray(params["first"]["kernel"]) for params in (first, second)]
    assert not np.array_equal(*kernels)
    np.testing.assert_array_equal(*(np.sort(kernel.ravel()) for kernel in kernels))
    given = jax.tree.leaves(nnx.to_pure_dict(nnx.split(module, nnx.Param, ...)[1]))
    x = jnp.arange(6.0).reshape(2, 3)
    tree = jax.tree.unflatten(jax.tree.structure(first), given)
    np.testing.assert_allclose(model.apply(tree, x), module(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (DroppingLinen(), r"DroppingLinen draws random numbers \(Dropout\?\)"),
        (NormalisingLinen(), r"not parameters \(batch_stats\)"),
        (Dropping, "Dropout, which makes the log density random"),
        (Dropping(nnx.Rngs(0)), "Dropout, which makes the log density random"),
        (Normalising(nnx.Rngs(0)), r"not parameters \(BatchStat\)"),
        (nn.Dense(2), "expected"),
        (7, "network: got int; valid: a module of flax linen, nnx or Equinox"),
        ("flax.linen.Dens", "did you mean 'Dense'"),
    ],
)
def test_networks_that_cannot_be_sampled_are_refused_with_the_reason(network: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(network)


def test_priors_by_shape_do_not_depend_on_names() -> None:
    """He's variance 2 / fan_in on weights, for flax's names and for others."""
    pair = (
        lambda key, x: {"b": jnp.zeros(4), "w": jnp.zeros((3, 4)), "v": jnp.zeros((4, 1))},
        lambda params, x: jnp.tanh(x @ params["w"] + params["b"]) @ params["v"],
    )
    sd = np.asarray(made(pair, smile.priors.he(0.5)).prior_sd)
    np.testing.assert_allclose(
        sd,
        0.5 * np.concatenate([np.ones(4), np.full(4, np.sqrt(2 / 4)), np.full(12, np.sqrt(2 / 3)), [1]]),
        1e-6,
    )
    by_name, by_shape = (
        np.asarray(made(Plain, prior).prior_sd) for prior in (Prior("he"), smile.priors.he())
    )
    np.testing.assert_array_equal(by_name, by_shape)
    assert by_name.min() < 0.6
    with pytest.raises(
        ValueError, match=r"leaves named kernel, and the network has none .*smile\.priors\.he\(\)"
    ):
        made(pair, Prior("he"))


def test_priors_of_ones_own() -> None:
    rule = smile.priors.by_leaf(lambda names, shape: 2.0 if names == ("kernel",) else 3.0, "laplace")
    np.testing.assert_allclose(made(nn.Dense(1), rule).prior_sd, np.sqrt(2) * np.array([3, 2, 2, 2, 1]), 1e-6)
    with pytest.raises(ValueError, match="scale of bias is 0"):
        made(nn.Dense(1), smile.priors.by_leaf(lambda names, shape: 0.0))
    with pytest.raises(ValueError, match="> 0"):
        smile.priors.normal(0)
    with pytest.raises(ValueError, match="normal, laplace"):
        smile.priors.by_leaf(lambda names, shape: 1.0, "cauchy")  # type: ignore[arg-type]


def test_what_another_process_can_make_again() -> None:
    facts = architecture(nn.Dense(1, use_bias=False)).facts
    assert facts["path"] == "flax.linen.linear.Dense" and facts["fields"] == {
        "features": 1,
        "use_bias": False,
    }
    assert from_facts(facts).make(1, None).init(jax.random.key(0), EXAMPLE[0])["kernel"].shape == (3, 1)
    for network in (Plain(nnx.Rngs(0)), lambda outputs: nn.Dense(outputs), nn.Sequential([lambda x: x])):
        with pytest.raises(NetworkError, match="no path leads to"):
            from_facts(architecture(network).facts)
    with pytest.raises(NetworkError, match="not what it was"):
        from_facts({**architecture(Plain).facts, "digest": "0" * 64})

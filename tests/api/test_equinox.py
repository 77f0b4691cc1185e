"""Equinox modules as networks: what their parameters are, what a prior means for them, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import smile
from smile.api.networks import NetworkError, architecture, from_facts
from smile.extras import MissingExtraError
from smile.targets import NetworkPosterior, Prior, bnn, likelihood

KEY = jax.random.key(0)
EXAMPLE = (jnp.zeros((2, 3)), jnp.zeros(2))


class Net(eqx.Module):
    """Beside parameters it has a norm, an index, a word and a function."""

    first: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    last: eqx.nn.Linear
    order: jax.Array
    name: str
    activation: Callable[[jax.Array], jax.Array]

    def __init__(self, outputs: int, *, key: jax.Array) -> None:
        first, last = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(3, 4, key=first), eqx.nn.Linear(4, outputs, key=last)
        self.norm, self.order = eqx.nn.LayerNorm(4), jnp.array([2, 0, 1])
        self.name, self.activation = "net", lambda x: jnp.tanh(x)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(self.norm(self.activation(self.first(x[self.order]))))


class Keyed(eqx.Module):
    last: eqx.nn.Linear

    def __call__(self, x: jax.Array, key: jax.Array) -> jax.Array:
        return self.last(x) + jax.random.normal(key, (1,))


class Complex(eqx.Module):
    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.weight @ x).real


def normalising(key: jax.Array) -> eqx.Module:
    return eqx.nn.Sequential([eqx.nn.BatchNorm(3, "batch", mode="batch"), eqx.nn.Linear(3, 1, key=key)])


def dropping(key: jax.Array) -> eqx.Module:
    return eqx.nn.Sequential([eqx.nn.Dropout(0.5), eqx.nn.Linear(3, 1, key=key)])


def made(network: object, prior: Prior | None = None, example: object = EXAMPLE) -> NetworkPosterior:
    model = architecture(network).make(1, None)
    return bnn(model, likelihood("homoscedastic"), prior or Prior(), example, 10)


@pytest.mark.parametrize(
    "network",
    [
        Net,
        Net(1, key=KEY),
        lambda outputs, key: eqx.nn.MLP(3, outputs, 4, 1, key=key),
        lambda outputs: eqx.nn.MLP(3, outputs, 4, 1, key=KEY),
        eqx.nn.Linear(3, 1, key=KEY),
        eqx.nn.inference_mode(dropping(KEY)),
    ],
)
def test_modules_of_equinox_are_networks(network: object) -> None:
    posterior = made(network)
    position = jnp.ones(posterior.dim)
    mean, _ = posterior.predict(position, jnp.ones((5, 3)))
    assert mean.shape == (5,)
    gradient = jax.grad(posterior.logdensity)(position, (jnp.eye(2, 3), jnp.ones(2)))
    assert np.isfinite(gradient).all()


def test_the_network_is_that_of_the_module_row_by_row() -> None:
    """And its arrays of whole numbers, words and functions stay what they are."""
    module = Net(1, key=KEY)
    for network in (module, Net):
        model = architecture(network).make(1, None)
        params = model.init(jax.random.key(1), EXAMPLE[0])
        assert {name: sorted(part) for name, part in params.items()} == {
            "first": ["bias", "kernel"], "last": ["bias", "kernel"], "norm": ["bias", "scale"],
        }  # fmt: skip
        first, last, norm = params["first"], params["last"], params["norm"]
        assert first["kernel"].shape == (3, 4)
        x = jnp.arange(6.0).reshape(2, 3)
        same = eqx.tree_at(
            lambda m: [m.first.weight, m.first.bias, m.norm.weight, m.norm.bias, m.last.weight, m.last.bias],
            module,
            [first["kernel"].T, first["bias"], norm["scale"], norm["bias"], last["kernel"].T, last["bias"]],
        )
        np.testing.assert_allclose(model.apply(params, x), jnp.stack([same(row) for row in x]), rtol=1e-6)


def test_chains_start_apart() -> None:
    for network in (Net, Net(1, key=KEY)):
        init = architecture(network).make(1, None).init
        one, other = (init(jax.random.key(seed), EXAMPLE[0])["first"]["kernel"] for seed in (0, 1))
        assert not np.array_equal(one, other)


def test_priors_mean_what_they_mean_for_flax() -> None:
    """Equinox has weights (out, in, height, width), and biases of a convolution (out, 1, 1)."""

    class Images(eqx.Module):
        convolution: eqx.nn.Conv2d
        last: eqx.nn.Linear

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(self.convolution(jnp.moveaxis(x, -1, 0)).ravel())

    class FlaxImages(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.Conv(5, (3, 3), padding="VALID", name="convolution")(x)
            return nn.Dense(1, name="last")(x.reshape(len(x), -1))

    module = Images(eqx.nn.Conv2d(2, 5, 3, key=KEY), eqx.nn.Linear(20, 1, key=KEY))
    example = (jnp.ones((2, 4, 4, 2)), jnp.zeros(2))
    for prior in (smile.priors.he(), smile.priors.glorot(), Prior("he")):
        ours, flax = (made(network, prior, example) for network in (module, FlaxImages()))
        np.testing.assert_array_equal(ours.prior_sd, flax.prior_sd)
    params, log_sd = flax.split(jax.random.normal(KEY, (flax.dim,)))
    assert jax.tree.structure(params) == jax.tree.structure(ours.split(jnp.zeros(ours.dim))[0])
    images = jax.random.normal(KEY, (3, 4, 4, 2))
    convolution = params["convolution"]
    same = eqx.tree_at(
        lambda m: [m.convolution.weight, m.convolution.bias, m.last.weight, m.last.bias],
        module,
        [
            jnp.transpose(convolution["kernel"], (3, 2, 0, 1)), convolution["bias"].reshape(5, 1, 1),
            params["last"]["kernel"].T, params["last"]["bias"],
        ],
    )  # fmt: skip
    mean, _ = ours.predict(ours.join(params, log_sd), images)
    np.testing.assert_allclose(mean, jnp.concatenate([same(image) for image in images]), rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (normalising(KEY), "Sequential has a layer that keeps a state, which cannot be sampled"),
        (normalising, "normalising has a layer that keeps a state"),
        (eqx.nn.make_with_state(normalising)(KEY), "a module and its state, which cannot be sampled"),
        (
            lambda key: eqx.nn.make_with_state(normalising)(key),
            "a module and its state, which cannot be sampled",
        ),
        (dropping, "dropping has Dropout, which makes the log density random"),
        (dropping(KEY), "Sequential has Dropout, which makes the log density random"),
        (Keyed(eqx.nn.Linear(3, 1, key=KEY)), r"Keyed is called with \(x, key\); valid: one argument"),
        (Complex(jnp.ones((1, 3), jnp.complex64)), "'weight' of the network are complex64"),
        (eqx.nn.Linear(3, 2, key=KEY), r"\(2, 2\), expected \(2, 1\)"),
        (eqx.nn.Identity(), r"expected \(2, 1\)"),
        (lambda key: nn.Dense(1), r"\(key=...\) returned Dense, not a module of Equinox"),
        (lambda outputs, key: eqx.nn.Linear(key=key), r"\(key=...\) raised TypeError"),
    ],
)
def test_what_cannot_be_sampled_is_refused_with_the_reason(network: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(network)


def test_what_another_process_can_make_again() -> None:
    """``tests/api/test_fit.py`` loads a saved fit with a module of Equinox."""
    again = from_facts(architecture(Net).facts).make(1, None)
    assert again.init(KEY, EXAMPLE[0])["first"]["kernel"].shape == (3, 4)
    with pytest.raises(NetworkError, match="no path leads to"):
        from_facts(architecture(Net(1, key=KEY)).facts)


def test_a_path_to_a_network_without_equinox_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_equinox.py").write_text("import equinox\n\nmake = equinox.nn.Linear\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(MissingExtraError, match=r"needs equinox, .*: pip install 'smile-bnn\[equinox\]'"):
        architecture("nets_of_equinox.make")
    architecture(nn.Dense(1))

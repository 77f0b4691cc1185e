"""The posterior of a network against densities worked out with SciPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from smile.models import FCN, GPT, from_flax
from smile.targets import Prior, bnn, likelihood

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=12).astype(np.float32)
LABELS = np.arange(12) % 4


def posterior(name: str = "homoscedastic", prior: Prior | None = None, classes: int = 0):
    chosen = likelihood(name, classes)
    model = from_flax(FCN((5, chosen.num_outputs)))
    return model, bnn(model, chosen, prior or Prior(), (jnp.asarray(X), jnp.asarray(Y)), num_rows=48)


def position(made, seed: int = 0):
    return 0.3 * jax.random.normal(jax.random.key(seed), (made.dim,))


def test_homoscedastic_regression():
    model, made = posterior()
    assert made.dim == 3 * 5 + 5 + 5 + 1 + 1
    theta = position(made)
    params, log_sd = made.split(theta)
    np.testing.assert_array_equal(made.join(params, log_sd), theta)
    np.testing.assert_array_equal(log_sd, theta[-1])
    mean = np.asarray(model.apply(params, X))[:, 0]
    expected = stats.norm.logpdf(theta).sum()
    expected += 48 / 12 * stats.norm.logpdf(Y, mean, np.exp(float(log_sd))).sum()
    np.testing.assert_allclose(made.logdensity(theta, (X, Y)), expected, rtol=1e-5)


def test_heteroscedastic_regression():
    model, made = posterior("heteroscedastic")
    theta = position(made)
    out = np.asarray(model.apply(made.split(theta)[0], X))
    expected = stats.norm.logpdf(theta).sum()
    expected += 4 * stats.norm.logpdf(Y, out[:, 0], np.exp(out[:, 1])).sum()
    np.testing.assert_allclose(made.logdensity(theta, (X, Y)), expected, rtol=1e-5)


def test_classification():
    model, made = posterior("categorical", classes=4)
    theta = position(made)
    logits = np.asarray(model.apply(made.split(theta)[0], X), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = stats.norm.logpdf(theta).sum() + 4 * log_p[np.arange(12), LABELS].sum()
    np.testing.assert_allclose(made.logdensity(theta, (X, LABELS)), expected, rtol=1e-5)


def test_batches_estimate_the_full_posterior_without_bias():
    _, made = posterior()
    theta = position(made)
    full = jax.grad(made.logdensity)(theta, (np.tile(X, (4, 1)), np.tile(Y, 4)))
    parts = [jax.grad(made.logdensity)(theta, (X[i : i + 3], Y[i : i + 3])) for i in range(0, 12, 3)]
    np.testing.assert_allclose(np.mean(parts, axis=0), full, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("name", ["normal", "laplace", "he", "glorot"])
def test_priors(name, scale):
    _, made = posterior(prior=Prior(name, scale))
    theta = np.asarray(position(made), np.float64)
    params, _ = made.split(jnp.asarray(theta))
    sd = {"he": lambda i, o: np.sqrt(2 / i), "glorot": lambda i, o: np.sqrt(2 / (i + o))}.get(
        name, lambda i, o: 1.0
    )
    scales = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.full(leaf.shape, sd(*leaf.shape) if path[-1].key == "kernel" else 1.0), params
    )
    scales = scale * np.asarray(made.join(scales, jnp.float32(1)), np.float64)
    law = stats.laplace if name == "laplace" else stats.norm
    expected = law.logpdf(theta, scale=scales).sum()
    no_rows = (
        made.logdensity(jnp.asarray(theta), (X, Y))
        - 4 * made.likelihood.log_prob(made.predict(jnp.asarray(theta), X), Y).sum()
    )
    np.testing.assert_allclose(no_rows, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made.prior_sd, law.std(scale=scales), rtol=1e-6)


def test_extreme_noise_scales_stay_finite():
    _, made = posterior()
    for log_sd in (-1e4, 1e4):
        theta = position(made).at[-1].set(log_sd)
        assert jnp.isfinite(jax.grad(made.logdensity)(theta, (X, Y))).all()


def test_a_network_with_other_outputs_is_refused():
    with pytest.raises(ValueError, match=r"to \(12, 2\), expected \(12, 1\)"):
        bnn(from_flax(FCN((2,))), likelihood("homoscedastic"), Prior(), (jnp.asarray(X), jnp.asarray(Y)), 12)
    with pytest.raises(ValueError, match="valid are homoscedastic"):
        likelihood("poisson")


@pytest.mark.parametrize("parts", [2, 6])
def test_a_gradient_accumulated_over_parts_is_that_of_the_batch(parts):
    chosen = likelihood("categorical", 4)
    model = from_flax(FCN((5, 4)))
    example = (jnp.asarray(X), jnp.asarray(LABELS))
    whole, divided = (bnn(model, chosen, Prior(), example, 48, microbatches=m) for m in (1, parts))
    theta = jnp.stack([position(whole, seed) for seed in range(3)])  # under vmap, as chains call it
    expected, gradient = (
        jax.vmap(f, (0, None))(theta, example) for f in (whole.logdensity, jax.grad(whole.logdensity))
    )
    value, accumulated = jax.vmap(jax.value_and_grad(divided.logdensity), (0, None))(theta, example)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(accumulated, gradient, rtol=1e-4, atol=1e-4)


def test_the_likelihood_of_text_is_the_product_over_all_tokens():
    model = from_flax(GPT(7, context=6, embedding=8, depth=1, num_heads=2, mlp_width=8))
    tokens = np.random.default_rng(2).integers(0, 7, (4, 7))
    x, y = tokens[:, :-1], tokens[:, 1:]
    made = bnn(model, likelihood("categorical", 7), Prior(), (jnp.asarray(x), jnp.asarray(y)), num_rows=20.5)
    theta = position(made)
    logits = np.asarray(model.apply(made.split(theta)[0], x), np.float64)
    log_p = logits - special.logsumexp(logits, axis=-1, keepdims=True)
    chosen = np.take_along_axis(log_p, y[..., None], -1).sum()
    expected = stats.norm.logpdf(theta).sum() + 20.5 / 4 * chosen
    np.testing.assert_allclose(made.logdensity(theta, (x, y)), expected, rtol=1e-5)

"""Noise: its law, by structure, distribution and source.

Means and covariances of draws are compared entry by entry at 4 standard errors (65 entries per case: a right
implementation fails one case in 240), p-values with 1e-5. Seeds are fixed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from smile.base import Target
from smile.noise import NOISES
from smile.noise.distribution import data_set, unit_variates
from smile.noise.minibatch import BLOCK, SHUFFLES, block_indices, blocks_of_rows, minibatch_sums
from smile.targets import from_logdensity, funnel, icg, rosenbrock
from smile.targets.icg import covariance_factor, rotation_matrix, scales

NUM_ROWS, BATCH_SIZE = (
    51_200,
    256,
)  # a smaller data set than the default: faster, and a larger finite-population factor
PARAMETER = {"gaussian": None, "laplace": None, "student_t": 5.0, "lognormal": 0.5}
EXCESS_KURTOSIS = {"gaussian": 0.0, "laplace": 3.0, "student_t": 6.0, "lognormal": 5.9}
each_distribution = pytest.mark.parametrize("distribution", PARAMETER)


def noisy_target(target: Target, structure: str, **options) -> Target:
    return NOISES.make(structure, **options).add(target)


def draw(target, n, seed=0):
    return np.asarray(target.draw_batch(jax.random.key(seed), (n,)), np.float64)


def structure_matrix(structure):
    if structure == "isotropic":
        return np.eye(10)
    return np.diag(scales(10, 100.0)) if structure == "diagonal" else covariance_factor(10, 100.0, 43)


@each_distribution
@pytest.mark.parametrize("source", ["injected", "minibatch"])
@pytest.mark.parametrize("structure", ["isotropic", "diagonal", "correlated"])
def test_mean_and_covariance(structure, source, distribution):
    n, scale = 50_000, 0.5
    noisy = noisy_target(
        icg(),
        structure,
        source=source,
        distribution=distribution,
        parameter=PARAMETER[distribution],
        scale=scale,
        num_rows=NUM_ROWS,
        batch_size=BATCH_SIZE,
    )
    # In coordinates where the covariance should be the identity: small scales are tested as well as large ones.
    factor = np.sqrt(BATCH_SIZE) * scale * structure_matrix(structure)
    white = np.linalg.solve(factor, draw(noisy, n))
    products = white[:, None] * white[None]
    error = products.std(-1) / np.sqrt(n)
    variance = 1.0
    if source == "minibatch" or distribution == "gaussian":
        variance -= BATCH_SIZE / NUM_ROWS
    if source == "minibatch":  # the variance of one data set, and of its blocks, scatters, too
        data = (2 + EXCESS_KURTOSIS[distribution]) / NUM_ROWS + 2 * BLOCK / (SHUFFLES * NUM_ROWS)
        error = np.sqrt(error**2 + data)
    assert np.abs(white.mean(1)).max() < 4 / np.sqrt(n)
    assert np.abs((products.mean(-1) - variance * np.eye(10)) / error).max() < 4


@each_distribution
def test_injected_entries_have_the_distribution(distribution):
    parameter = PARAMETER[distribution]
    law = {
        "gaussian": stats.norm(),
        "laplace": stats.laplace(scale=np.sqrt(0.5)),
        "student_t": stats.t(5, scale=np.sqrt(3 / 5)),
        "lognormal": stats.lognorm(
            0.5, loc=-np.exp(1 / 8) / (s := np.sqrt(np.expm1(0.25) * np.exp(0.25))), scale=1 / s
        ),
    }[distribution]
    entries = np.asarray(unit_variates(jax.random.key(0), (10, 20_000), distribution, parameter or 0.0))
    assert stats.kstest(entries.ravel(), law.cdf).pvalue > 1e-5
    rows = data_set(20_000, 10, distribution, parameter or 0.0)
    assert stats.kstest(rows.ravel(), law.cdf).pvalue > 1e-5
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-12)


@pytest.mark.parametrize("degrees", [2.5, 3.0, 30.0])
def test_student_t_with_other_degrees_of_freedom(degrees):
    entries = np.asarray(unit_variates(jax.random.key(1), (100_000,), "student_t", degrees), np.float64)
    law = stats.t(degrees, scale=np.sqrt((degrees - 2) / degrees))
    assert stats.kstest(entries, law.cdf).pvalue > 1e-5
    far = np.abs(entries) > law.isf(5e-4)  # one out of 1000
    assert abs(far.sum() - 100) < 4 * np.sqrt(100)


def test_sources_agree():
    injected, minibatch = (
        draw(noisy_target(icg(), "correlated", source=source), 20_000, seed)
        for seed, source in enumerate(["injected", "minibatch"])
    )
    assert min(stats.ks_2samp(a, b).pvalue for a, b in zip(injected, minibatch, strict=True)) > 1e-5


@pytest.mark.parametrize(("num_rows", "batch_size"), [(409_600, 256), (1000, 48), (7, 7), (30, 1), (60, 45)])
def test_a_batch_is_the_sum_of_distinct_rows(num_rows, batch_size):
    rows = data_set(num_rows, 3, "laplace")
    blocks = blocks_of_rows(num_rows, batch_size)
    picks, num_blocks = batch_size // blocks.shape[1], len(blocks) // SHUFFLES
    key, chains = jax.random.key(0), (500,)
    members = blocks[np.asarray(block_indices(key, chains, num_blocks, picks))]  # (picks, chains, block)
    members = members.transpose(1, 0, 2).reshape(500, batch_size)
    assert all(len(set(batch)) == batch_size for batch in members)
    sums = minibatch_sums(rows, batch_size)(key, chains)
    np.testing.assert_allclose(sums, rows[members].sum(1).T, rtol=1e-4, atol=1e-4)


def test_all_rows_are_drawn_equally_often():
    blocks = blocks_of_rows(1600, 64)
    drawn = np.asarray(block_indices(jax.random.key(0), (100_000,), 50, 2))
    assert all(sorted(shuffle.ravel()) == list(range(1600)) for shuffle in np.split(blocks, SHUFFLES))
    counts = np.bincount(drawn[0], minlength=len(blocks))
    assert stats.chisquare(counts).pvalue > 1e-5
    pairs = (drawn[1] - drawn[0]) % 50  # strides
    assert stats.chisquare(np.bincount(pairs)[[s for s in range(50) if np.gcd(s, 50) == 1]]).pvalue > 1e-5


def test_minibatch_tails_are_those_of_sums():
    """256 rows of Student's t are nearly Gaussian; the injected vector keeps the tails of one row."""
    arguments = {"structure": "isotropic", "distribution": "student_t", "parameter": 5.0}
    kurtosis = {
        source: stats.kurtosis(draw(noisy_target(icg(), source=source, **arguments), 20_000).ravel())
        for source in ("injected", "minibatch")
    }
    assert abs(kurtosis["minibatch"]) < 0.15 and kurtosis["injected"] > 2


@pytest.mark.parametrize("target", [icg(), funnel(), rosenbrock()], ids=lambda target: target.name)
def test_spatially_varied_gradient(target):
    """By hand: grad log p + exp(-x_2 / kappa) (s - e_2 (s.x) / kappa)."""
    kappa = {"icg": 6.5, "funnel": 9.0, "rosenbrock": 1.414}[target.name]
    noisy = noisy_target(target, "spatially_varied")
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).standard_normal(10))
        s = noisy.draw_batch(jax.random.key(0), ())
        noise = jax.jit(jax.grad(noisy.logdensity))(x, s) - jax.jit(jax.grad(target.logdensity))(x, ())
    x, s = np.asarray(x), np.asarray(s, np.float64)
    expected = np.exp(-x[2] / kappa) * (s - np.eye(10)[2] * (s @ x) / kappa)
    np.testing.assert_allclose(noise, expected, rtol=1e-9, atol=1e-9)
    with jax.enable_x64(True):
        assert noisy.logdensity(jnp.asarray(x), noisy.full_batch) == target.logdensity(jnp.asarray(x), ())


@pytest.mark.parametrize("source", ["injected", "minibatch"])
@pytest.mark.parametrize("structure", ["isotropic", "diagonal", "correlated", "spatially_varied"])
def test_gradient_noise_is_the_batch_for_every_chain(structure, source):
    length = {"kappa": 1e9} if structure == "spatially_varied" else {}
    noisy = noisy_target(rosenbrock(dim=4), structure, source=source, num_rows=3200, batch_size=32, **length)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)
    batch = jax.jit(noisy.draw_batch, static_argnums=1)(jax.random.key(0), (3,))
    assert batch.shape == (4, 3)

    def gradient(batch):
        return jax.jit(jax.grad(lambda x: noisy.logdensity(x, batch).sum()))(x)

    np.testing.assert_allclose(gradient(batch) - gradient(noisy.full_batch), batch, rtol=1e-4, atol=1e-3)
    single = jax.jit(jax.vmap(noisy.logdensity, in_axes=-1))(x, batch)
    np.testing.assert_allclose(jax.jit(noisy.logdensity)(x, batch), single, rtol=1e-4, atol=1e-3)


def test_noise_on_a_pytree_acts_on_its_leaves_in_order():
    target = from_logdensity(lambda p: jnp.sum(p["b"]) * 0.0, {"b": jnp.ones((2, 2)), "a": 1.0})
    noisy = noisy_target(target, "diagonal")
    batch = noisy.draw_batch(jax.random.key(0), ())
    gradient = jax.grad(noisy.logdensity)(target.init(jax.random.key(0)), batch)
    np.testing.assert_allclose(gradient["a"], batch[0])
    np.testing.assert_allclose(gradient["b"], batch[1:].reshape(2, 2))


def test_rotations():
    aligned, independent, axes = (
        np.cov(draw(noisy_target(icg(rotation=target), "correlated", rotation=noise), 2000))
        for target, noise in ((1, "aligned"), (1, 43), (None, "aligned"))
    )
    for covariance, seed in ((aligned, 1), (independent, 43), (axes, None)):
        q = rotation_matrix(seed, 10)
        principal = q.T @ covariance @ q
        off_diagonal = principal / np.sqrt(np.outer(np.diag(principal), np.diag(principal))) - np.eye(10)
        assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


def test_none_changes_nothing():
    target = icg()
    assert NOISES.make("none").add(target) is target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "isotropc"}, "noise: got 'isotropc'; valid: .*did you mean 'isotropic'"),
        ({"source": "inject"}, "noise.source: got 'inject'; valid: injected, minibatch"),
        ({"distribution": "cauchy"}, "noise.distribution: got 'cauchy'; valid: gaussian"),
        ({"distribution": "student_t"}, "noise.parameter: got null; valid: degrees of freedom > 2"),
        (
            {"distribution": "student_t", "parameter": 2.0},
            "noise.parameter: got 2.0; .*degrees of freedom > 2",
        ),
        ({"distribution": "lognormal"}, "sigma > 0"),
        ({"parameter": 3.0}, "noise.parameter: got 3.0; valid: null with noise.distribution=gaussian"),
        ({"scale": 0.0}, "noise.scale: got 0.0; valid: a finite number > 0"),
        ({"structure": "spatially_varied", "kappa": -1.0}, "noise.kappa: got -1.0"),
        ({"batch_size": 0}, "noise.batch_size: got 0; valid: a whole number >= 1"),
        (
            {"batch_size": 500_000},
            "noise.batch_size: got 500000; valid: a whole number <= noise.num_rows=409600",
        ),
        ({"source": "minibatch", "batch_size": 409_599}, "larger common divisor"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        noisy_target(icg(), **{"structure": "isotropic", **arguments})


def test_spatially_varied_noise_needs_kappa_and_a_third_coordinate():
    with pytest.raises(ValueError, match="needs kappa > 0: custom has no default"):
        noisy_target(from_logdensity(jnp.sum, jnp.zeros(3)), "spatially_varied")
    with pytest.raises(ValueError, match="needs 3 coordinates, icg has 2"):
        noisy_target(icg(dim=2), "spatially_varied")

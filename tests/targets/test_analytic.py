"""Analytic targets: densities, gradients, samplers and moments, each against an independent source.

z-scores are compared with 4 and p-values with 1e-5: a right sampler fails one such comparison out of 16,000 and one out
of 100,000. Seeds are fixed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from smile.targets import funnel, icg, rosenbrock
from smile.targets.icg import rotation_matrix, scales

TARGETS = {
    "icg": icg(),
    "icg_axes": icg(dim=4, condition_number=10.0, rotation=None),
    "rosenbrock": rosenbrock(),
    "rosenbrock_4": rosenbrock(dim=4),
    "funnel": funnel(),
    "funnel_3": funnel(dim=3),
}
each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


def icg_covariance(dim=10, condition_number=100.0, seed=1):
    q = rotation_matrix(seed, dim)
    return (q * scales(dim, condition_number) ** 2) @ q.T


def scipy_logdensity(name, x):
    if name == "icg":
        return stats.multivariate_normal(cov=icg_covariance()).logpdf(x)
    if name == "icg_axes":
        return stats.norm(scale=scales(4, 10.0)).logpdf(x).sum()
    if name.startswith("rosenbrock"):
        first, second = np.split(x, 2)
        return stats.norm.logpdf(first, 1).sum() + stats.norm.logpdf(second, first**2, np.sqrt(0.1)).sum()
    return stats.norm.logpdf(x[0], 0, 3) + stats.norm.logpdf(x[1:], 0, np.exp(x[0] / 2)).sum()


@pytest.mark.parametrize("name", TARGETS)
def test_logdensity_is_scipys_up_to_a_constant(name):
    target = TARGETS[name]
    points = np.random.default_rng(0).standard_normal((5, target.dim))
    with jax.enable_x64(True):
        ours = [target.logdensity(jnp.asarray(x), ()) for x in points]
    theirs = [scipy_logdensity(name, x) for x in points]
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9)


@each_target
def test_gradient_is_the_finite_difference(target):
    x, h = np.random.default_rng(1).standard_normal(target.dim), 1e-5
    shifts = h * np.eye(target.dim)
    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(target.logdensity))(jnp.asarray(x), ())
        up, down = (jax.jit(target.logdensity)(jnp.asarray(x[:, None] + s), ()) for s in (shifts, -shifts))
        difference = (np.asarray(up) - np.asarray(down)) / (2 * h)
    np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-6)


@each_target
@pytest.mark.parametrize("x64", [False, True])
def test_chains_are_trailing_axes_and_dtypes_are_kept(target, x64):
    with jax.enable_x64(x64):
        x = jnp.asarray(np.random.default_rng(2).standard_normal((target.dim, 3)), jnp.zeros(()).dtype)
        both = jax.jit(jax.value_and_grad(target.logdensity))
        values = jax.jit(target.logdensity)(x, ())
        gradients = jax.jit(jax.grad(lambda x: target.logdensity(x, ()).sum()))(x)
        single = [both(column, ()) for column in x.T]
        assert values.dtype == gradients.dtype == target.init(jax.random.key(0)).dtype == x.dtype
        vmapped = jax.jit(jax.vmap(target.logdensity, in_axes=(-1, None)))(x, ())
    rtol = 1e-12 if x64 else 1e-4
    np.testing.assert_allclose(values, [v for v, _ in single], rtol=rtol)
    np.testing.assert_allclose(values, vmapped, rtol=rtol)
    np.testing.assert_allclose(gradients.T, np.stack([g for _, g in single]), rtol=rtol, atol=rtol)


def test_icg_value_and_gradient_cost_one_matrix_product():
    target = icg()
    program = jax.jit(jax.value_and_grad(target.logdensity)).lower(jnp.ones(10), ()).as_text()
    assert program.count("dot_general") == 1


def test_icg_has_second_derivatives():
    hessian = jax.jit(jax.hessian(icg().logdensity))(jnp.ones(10), ())
    np.testing.assert_allclose(-hessian, np.linalg.inv(icg_covariance()), atol=2e-4)


@pytest.mark.parametrize("name", [name for name in TARGETS if "funnel" not in name])
def test_exact_draws_have_the_exact_moments(name):
    target, n = TARGETS[name], 200_000
    exact = target.moments["exact"]
    squares = np.asarray(target.sample(jax.random.key(0), n), np.float64) ** 2
    assert (np.abs(squares.mean(0) - exact.second) < 4 * np.sqrt(exact.variance / n)).all()
    deviations = (squares - exact.second) ** 2
    assert (np.abs(deviations.mean(0) - exact.variance) < 4 * deviations.std(0) / np.sqrt(n)).all()


def test_icg_draws_have_the_exact_covariance():
    draws = np.asarray(TARGETS["icg"].sample(jax.random.key(1), 100_000), np.float64)
    white = np.linalg.solve(rotation_matrix(1, 10) * scales(10, 100.0), draws.T)
    z = (white @ white.T / 100_000 - np.eye(10)) / np.sqrt((1 + np.eye(10)) / 100_000)
    assert np.abs(z).max() < 4


def test_funnel_draws_are_the_funnels():
    """Its squares are too heavy-tailed for z-scores: the whitened coordinates are compared with normals."""
    draws = np.asarray(funnel().sample(jax.random.key(2), 20_000), np.float64)
    white = np.column_stack([draws[:, 0] / 3, draws[:, 1:] * np.exp(-draws[:, :1] / 2)])
    assert min(stats.kstest(column, "norm").pvalue for column in white.T) > 1e-5
    assert abs(np.corrcoef(white[:, 0] ** 2, (white[:, 1:] ** 2).mean(1))[0, 1]) < 4 / np.sqrt(20_000)


def test_funnel_moments_by_quadrature():
    theta, weights = np.polynomial.hermite_e.hermegauss(120)
    theta, weights = 3 * theta, weights / weights.sum()
    second, fourth = weights @ np.exp(theta), weights @ (3 * np.exp(2 * theta))
    exact = funnel().moments["exact"]
    np.testing.assert_allclose([exact.second[0], exact.variance[0]], [9, 162])
    np.testing.assert_allclose(exact.second[1:], second, rtol=1e-9)
    np.testing.assert_allclose(exact.variance[1:], fourth - second**2, rtol=1e-9)


def test_constants_of_the_public_code():
    reference = {name: TARGETS[name].moments["reference"] for name in ("icg", "rosenbrock", "funnel")}
    exact = TARGETS["icg"].moments["exact"]
    np.testing.assert_allclose(exact.second, reference["icg"].second, atol=5.1e-5)
    np.testing.assert_allclose(reference["icg"].variance, 2 * reference["icg"].second ** 2)
    assert reference["rosenbrock"].second.tolist() == [2.0] * 5 + [10.10017429] * 5
    assert reference["rosenbrock"].variance.tolist() == [6.00036273] * 5 + [668.69693635] * 5
    assert reference["funnel"].second[[0, 3, 9]].tolist() == [8.9997, 88.939, 89.014]
    assert reference["funnel"].variance[[0, 1, 3, 4, 9]].tolist() == [
        161.8151,
        42427520.222,
        47809629.5,
        40488175.9,
        42427520.222,
    ]


@pytest.mark.parametrize(
    "target", [icg(dim=4), icg(rotation=2), icg(condition_number=10.0), rosenbrock(dim=4), funnel(dim=4)]
)
def test_other_set_ups_have_no_public_constants(target):
    assert set(target.moments) == {"exact"}


def test_starts():
    key = jax.random.key(0)
    assert not icg().init(key).any() and not funnel().init(key).any()
    assert rosenbrock().init(key).tolist() == [1.0] * 5 + [2.0] * 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: icg(dim=1), "dim must be a whole number >= 2, got 1"),
        (lambda: icg(condition_number=0.5), r"condition_number must be a finite number >= 1, got 0\.5"),
        (
            lambda: icg(condition_number=float("nan")),
            "condition_number must be a finite number >= 1, got nan",
        ),
        (lambda: rosenbrock(dim=5), "dim must be an even number >= 2, got 5"),
        (lambda: funnel(dim=1), "dim must be a whole number >= 2, got 1"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()

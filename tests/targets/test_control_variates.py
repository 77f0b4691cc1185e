"""Control variates: unbiased whatever the position, without noise at the mode, and right on what is known exactly."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile import random
from smile.base import Build, Subsampling, Target
from smile.config.lengths import equal_work
from smile.kernels import SAMPLERS, sghmc, sgld
from smile.options import ConfigError
from smile.sampling import sample, trailing_chains
from smile.targets import TARGETS
from smile.targets.control_variates import MODE_GRADIENTS, find_mode, with_control_variates
from smile.tuners import constant, tuned

NUM_ROWS, BATCH, DIM = 60, 6, 2
X = np.random.default_rng(1).standard_normal((NUM_ROWS, DIM))
Y = X @ [1.0, -2.0] + np.random.default_rng(2).standard_normal(NUM_ROWS)
PRECISION = X.T @ X + np.eye(DIM)
MEAN, COVARIANCE = np.linalg.solve(PRECISION, X.T @ Y), np.linalg.inv(PRECISION)


def regression() -> Target:
    """Linear, with unit noise and prior: a Gaussian."""
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)

    def logdensity(theta, rows):
        of_rows = jnp.sum((y[rows] - x[rows] @ theta) ** 2) * NUM_ROWS / len(rows)
        return -0.5 * of_rows - 0.5 * jnp.sum(theta**2)

    return Target(
        "regression",
        DIM,
        lambda key: jnp.asarray(MEAN, jnp.float32),
        logdensity,
        lambda key, chains: jax.random.randint(key, (*chains, BATCH), 0, NUM_ROWS),
        full_batch=jnp.arange(NUM_ROWS),
        subsampling=Subsampling(NUM_ROWS, BATCH),
    )


def gradients(target, positions, num_steps):
    """Of the batches of the first steps, (positions, num_steps, dim)."""

    def of_step(position, step):
        return jax.grad(target.logdensity)(position, target.batch_of_step(jax.random.key(1), step, ()))

    at_position = jax.jit(jax.vmap(of_step, in_axes=(None, 0)))
    return np.stack([at_position(position, jnp.arange(num_steps)) for position in positions]).astype(float)


def test_an_epoch_of_batches_averages_to_all_rows_and_noise_falls_towards_the_mode():
    """569 steps of 16 rows are 16 epochs, whose mean is exact for gradients of batches and with control variates."""
    plain, varied = (
        TARGETS.make("breast_cancer", batch_size=16, gradient=name).build()
        for name in ("batch", "control_variate")
    )
    full = jax.jit(jax.grad(lambda x: plain.logdensity(x, ())))
    mode = find_mode(lambda x: plain.logdensity(x, ()), jnp.zeros(31))
    assert np.abs(full(jnp.asarray(mode))).max() < 1e-2
    away = plain.init(jax.random.key(0)) - mode  # to a draw of the posterior
    positions = [jnp.asarray(mode + share * away) for share in (0.0, 0.01, 0.1)]
    ones, others = (gradients(target, positions, 569) for target in (plain, varied))
    for position, one, other in zip(positions, ones, others, strict=True):
        for found in (one, other):
            np.testing.assert_allclose(found.mean(0), full(position), atol=2e-4 * one.std())
    at_mode, near, further = others.var(1).sum(-1) / ones.var(1).sum(-1)
    assert at_mode < 1e-9 < near < further
    np.testing.assert_allclose(further / near, 100, rtol=0.5)  # the square of the distance
    assert varied.gradients == 2


@pytest.mark.parametrize(("kernel", "step_size"), [(sgld, 1e-3), (sghmc, 0.02)])
def test_the_mean_and_covariance_of_a_gaussian_are_right(kernel, step_size):
    """At a step at which those of the batches' own gradients are too wide."""
    covariances, errors = [], []
    for target in (with_control_variates(regression(), jnp.zeros(DIM)), regression()):
        target = trailing_chains(target)
        chains = 100
        samples = sample(
            target,
            tuned(kernel(target.logdensity), constant()),
            np.full(chains, step_size),
            key=random.key(0),
            num_steps=2000,
            thinning=5,
            burn_in=400,
        )
        away = samples.draws.astype(np.float64) - MEAN
        mean, second = away.mean(1), np.einsum("cti,ctj->cij", away, away) / away.shape[1]
        covariances.append(second.mean(0))
        errors.append(second.std(0, ddof=1) / np.sqrt(chains))
        if len(errors) == 1:
            assert (np.abs(mean.mean(0)) < 4.5 * mean.std(0, ddof=1) / np.sqrt(chains)).all()
            evaluations = samples.gradient_evaluations
    allowed = 4.5 * errors[0] + 0.06 * np.abs(COVARIANCE).max()  # which a step of this size may cost
    assert (np.abs(covariances[0] - COVARIANCE) < allowed).all()
    assert (np.diag(covariances[1]) > np.diag(COVARIANCE + allowed)).all()
    assert evaluations == 2 * samples.gradient_evaluations


def test_equal_work_counts_two_gradients_and_the_mode():
    plain, varied = (
        equal_work(10**6, 50, 500, 1, 100, gradient) for gradient in ("batch", "control_variate")
    )
    assert plain == 20_000
    assert varied == round((10**6 - MODE_GRADIENTS * 500) / 1e4) * 100


@pytest.mark.parametrize(
    ("name", "batch_size", "message"),
    [
        ("breast_cancer", None, "target.batch_size=full, whose gradients are exact"),
        ("diabetes_network", 16, "target=diabetes_network, whose positions have many modes"),
        ("diabetes_mixture", 16, "target=diabetes_mixture, whose positions have many modes"),
        ("diabetes_funnel", 16, "target=diabetes_funnel, whose log density has no mode within 64 gradients"),
    ],
)
def test_what_has_no_mode_to_go_by_is_refused(name, batch_size, message):
    with pytest.raises(
        ConfigError, match=rf"^target\.gradient: got 'control_variate'; valid: batch with {message}"
    ):
        TARGETS.make(name, batch_size=batch_size, gradient="control_variate").build()


MODULE = """
import jax.numpy as jnp
from smile.base import Subsampling, Target

def rows(full_batch={"rows": jnp.arange(10)}, subsampling=Subsampling(10, 2)):
    def logdensity(x, batch):
        return -5.0 * jnp.mean((x["a"] - jnp.arange(10)[batch["rows"]]) ** 2)
    draw = lambda key, chains: {"rows": jnp.array([0, 9])}
    return Target("mine", 1, lambda key: {"a": jnp.float32(0)}, logdensity, draw, full_batch, subsampling=subsampling)

no_rows = lambda: rows(subsampling=None)
not_all = lambda: rows(full_batch=())
"""


def test_a_target_of_ones_own_has_them_where_it_says_what_its_rows_are(tmp_path, monkeypatch):
    (tmp_path / "users_rows.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def made(name):
        return TARGETS.make("custom", factory=f"users_rows.{name}", gradient="control_variate").build()

    target = made("rows")
    gradient = jax.grad(target.logdensity)({"a": jnp.float32(3.5)}, {"rows": jnp.array([0, 1])})
    np.testing.assert_allclose(
        gradient["a"], 10.0, rtol=1e-4
    )  # of all rows, as those of linear ones differ by nothing
    with pytest.raises(
        ConfigError, match=r"target\.gradient.*whose batches are not known to be some of its rows"
    ):
        made("no_rows")
    with pytest.raises(ValueError, match=r"log density of all rows of users_rows\.not_all raised"):
        made("not_all")


def test_a_scale_that_is_learnt_from_the_noise_of_rows_is_refused():
    known = Build(100, subsampling=Subsampling(NUM_ROWS, BATCH, is_information=False))
    options = {"L": None, "ema_rate": 0.01, "freeze_after": None, "reference": None}
    SAMPLERS.make("psmile", **options, preconditioner="auto").build(known)
    with pytest.raises(
        ConfigError, match=r"target\.gradient.*batch with sampler.preconditioner=posterior_scale"
    ):
        SAMPLERS.make("psmile", **options, preconditioner="posterior_scale").build(known)

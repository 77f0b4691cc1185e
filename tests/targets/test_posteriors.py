"""Posteriors of real data: batches are unbiased, references are of these posteriors, and wrong ones are refused.

z-scores are compared with 5: of 2,000 comparisons a right reference fails one in a thousand runs of the file.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from smile.metrics import posterior_errors
from smile.options import ConfigError
from smile.paths import experiments_dir
from smile.targets import POSTERIORS, TARGETS
from smile.targets.posteriors import reference as references
from smile.targets.posteriors.options import row_model
from smile.targets.posteriors.rows import full_logdensity, row_target

each_posterior = pytest.mark.parametrize("name", POSTERIORS)


def target_of(name, batch_size):
    return TARGETS.make(name, batch_size=batch_size).build()


def scipy_logdensity(name, x):
    """From scratch, with scipy's densities."""
    matrix, y = row_model(name).rows[0], row_model(name).rows[-1]
    prior = stats.norm.logpdf(x).sum()
    match name:
        case "breast_cancer":
            return prior + stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-matrix @ x))).sum()
        case "diabetes_poisson":
            return prior + stats.poisson.logpmf(y, np.exp(matrix @ x)).sum()
        case "diabetes_student_t":
            return prior + stats.t.logpdf(y, 4, matrix @ x[:-1], np.exp(x[-1])).sum()
        case "digits_softmax":
            logits = matrix @ x.reshape(-1, 10)
            return prior + np.log((np.exp(logits) * y).sum(1) / np.exp(logits).sum(1)).sum()
        case "diabetes_mixture":
            weight = 1 / (1 + np.exp(-x[4]))
            first, second = (stats.norm.pdf(y, x[k], np.exp(x[2 + k])) for k in (0, 1))
            return prior + np.log(weight * first + (1 - weight) * second).sum()
        case "diabetes_network":
            units = np.tanh(matrix @ x[:60].reshape(10, 6) + x[60:66])
            return prior + stats.norm.logpdf(y, units @ x[66:72] + x[72], np.exp(x[73])).sum()
        case "diabetes_hierarchy" | "diabetes_funnel":
            mu, tau, sigma = x[-3], np.exp(x[-2]), np.exp(x[-1])
            is_centred = name == "diabetes_funnel"
            theta = x[:-3] if is_centred else mu + tau * x[:-3]
            groups = stats.norm.logpdf(x[:-3], *((mu, tau) if is_centred else ())).sum()
            scales = stats.halfnorm.logpdf(tau) + np.log(tau) + stats.norm.logpdf([x[-3], x[-1]]).sum()
            return groups + scales + stats.norm.logpdf(y, matrix @ theta, sigma).sum()
    raise ValueError(name)


@each_posterior
def test_logdensity_is_scipys_up_to_a_constant(name):
    points = 0.1 * np.random.default_rng(0).standard_normal((3, row_model(name).dim))
    theirs = [scipy_logdensity(name, x) for x in points]
    with jax.enable_x64(True):
        ours = [full_logdensity(row_model(name))(jnp.asarray(x)) for x in points]
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9)


@each_posterior
def test_batches_of_whole_epochs_average_to_all_rows(name):
    """N steps of B rows are B epochs: the mean of the batches' log densities is that of all rows, but for rounding."""
    target, num_rows = target_of(name, 16), row_model(name).num_rows
    position = target.init(jax.random.key(0))

    def of_step(step):
        return target.logdensity(position, target.batch_of_step(jax.random.key(1), step, ()))

    values = np.asarray(jax.jit(jax.vmap(of_step))(jnp.arange(num_rows)), np.float64)
    exact = float(jax.jit(lambda x: target.logdensity(x, ()))(position))
    assert values.std() > 1e-3 * abs(exact)
    np.testing.assert_allclose(values.mean(), exact, rtol=1e-4)


@each_posterior
def test_the_draws_of_the_reference_satisfy_steins_identities(name):
    """E grad log p = 0 and E x_i d_i log p = -1 under the posterior, and no other distribution with its tails."""
    reference, _ = references.read(name)
    draws = jnp.asarray(reference.draws)
    gradient = jax.jit(jax.vmap(jax.grad(full_logdensity(row_model(name)))))(draws)
    gradient, draws = np.asarray(gradient, np.float64), np.asarray(draws, np.float64)
    centred = draws - draws.mean(0)
    for values in (gradient, centred * gradient + 1):
        z = values.mean(0) / (values.std(0, ddof=1) / np.sqrt(len(values)))
        assert np.abs(z).max() < 5, name


@each_posterior
def test_references_have_converged(name):
    reference, _ = references.read(name)
    assert reference.rhat_max < 1.005 and reference.ess_min > 4000
    target = target_of(name, None)
    spread = 5 / np.sqrt(len(target.reference))
    assert np.abs(target.reference.mean(0)).max() < spread * 1.2
    assert np.isfinite(target.reference).all()


def test_a_network_is_compared_by_its_predictions_of_rows_that_it_has_not_seen():
    """Units change their names and signs, which is another position of the same function, of which errors are zero."""
    name = "diabetes_network"
    target, model, (reference, _) = target_of(name, None), row_model(name), references.read(name)
    seen = np.asarray(jax.vmap(target.observe)(jnp.asarray(reference.draws)))
    np.testing.assert_allclose(seen, target.reference, atol=1e-4)
    errors = posterior_errors(seen.mean(0)[None], (seen**2).mean(0)[None], seen[None], target.reference)
    monte_carlo = 5 / np.sqrt(len(seen))
    assert errors["mean_error_max"][0] < monte_carlo
    for of in ("median", "min", "max"):
        assert abs(errors[f"sd_ratio_{of}"][0] - 1) < monte_carlo
    np.testing.assert_allclose(errors["interval_coverage_90"], 0.9, atol=1e-3)
    draw = reference.draws[0]
    sign, renamed = np.array([-1, 1, 1, -1, 1, 1]), [2, 0, 1, 5, 4, 3]
    hidden, output = (
        draw[:66].reshape(11, 6) * sign,
        draw[66:72] * sign,
    )  # weights and, in the last row, biases
    other = jnp.concatenate([hidden[:, renamed].reshape(-1), output[renamed], draw[72:]])
    np.testing.assert_allclose(target.observe(other), seen[0], atol=1e-4)
    assert model.num_rows + seen.shape[1] == 442 and target.batch_noise is None


def test_a_reference_survives_its_file():
    reference, digest = references.read("breast_cancer")
    again, said = references.from_bytes(references.to_bytes(reference))
    assert said == digest == references.digest_of(again)
    np.testing.assert_array_equal(again.draws, reference.draws)


def test_a_missing_reference_is_refused_by_name(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^target: got 'breast_cancer without its reference.*make references"
    ):
        references.read("breast_cancer", tmp_path)


@pytest.mark.parametrize("damage", ["a number", "the file"])
def test_a_changed_reference_is_refused_by_name(tmp_path, damage, monkeypatch):
    content = (experiments_dir() / "posteriors/references/breast_cancer.parquet").read_bytes()
    if damage == "a number":
        reference, digest = references.from_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(references, "digest_of", lambda changed: digest)
            content = references.to_bytes(reference._replace(mean=reference.mean + 1e-9))
    else:
        content = content[: len(content) // 2]
    (tmp_path / "breast_cancer.parquet").write_bytes(content)
    with pytest.raises(ConfigError, match=r"breast_cancer.*(unreadable|digest).*make references"):
        references.read("breast_cancer", tmp_path)


def test_the_reference_of_another_posterior_is_refused():
    model, (reference, _) = row_model("breast_cancer"), references.read("breast_cancer")
    wider = model._replace(log_prior=lambda x: model.log_prior(x / 2))
    with pytest.raises(ConfigError, match="breast_cancer, whose reference is of another posterior"):
        references.check_density("breast_cancer", reference, full_logdensity(wider))
    with pytest.raises(ConfigError, match=r"target\.reference: got '0123'"):
        TARGETS.make("breast_cancer", batch_size=16, reference="0123")


@pytest.mark.parametrize("batch_size", [0, 569, 1000])
def test_batches_have_fewer_rows_than_there_are(batch_size):
    model, (reference, _) = row_model("breast_cancer"), references.read("breast_cancer")
    with pytest.raises(ConfigError, match=r"target\.batch_size.*568, as target=breast_cancer has 569 rows"):
        row_target("breast_cancer", model, reference, batch_size)

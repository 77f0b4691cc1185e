"""Streamed averages against all draws at once, and metrics against SciPy, scikit-learn and small cases by hand."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm

from smile.metrics.evaluation import (
    coverage_curve,
    evaluate,
    evaluate_text,
    evaluate_unfamiliar,
    reliability,
)
from smile.metrics.predictive import (
    chain_lppd,
    init_classification,
    init_regression,
    lppd,
    update_classification,
    update_regression,
)

ROUNDING = {"rtol": 2e-5, "atol": 2e-5}  # of float32, over some dozens of draws


def select(state, chains):
    """The state of some chains."""
    return jax.tree.map(lambda leaf: leaf[chains] if leaf.ndim else leaf, state)


def regression(mean, log_sd, y):
    """The state after draws (chains, draws, rows)."""

    def step(state, draw):
        return update_regression(state, draw[0], draw[1], y), None

    draws = (jnp.moveaxis(mean, 1, 0), jnp.moveaxis(log_sd, 1, 0))
    return jax.lax.scan(step, init_regression(mean.shape[0], mean.shape[2]), draws)[0]


def classification(logits):
    """The state after draws (chains, draws, rows, classes)."""

    def step(state, draw):
        return update_classification(state, draw), None

    chains, _, rows, classes = logits.shape
    draws = jnp.moveaxis(logits, 1, 0)
    return jax.lax.scan(step, init_classification(chains, rows, classes), draws)[0]


def of_probabilities(probabilities):
    """One chain, one draw."""
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(np.asarray(probabilities, float)), -1e3)
    return classification(logits[None, None])


@pytest.fixture
def normal_draws():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(40)
    mean = y + rng.standard_normal((3, 25, 40))
    return mean, rng.normal(-0.5, 0.3, mean.shape), y


@pytest.mark.parametrize("draws", [1, 2, 25])
@pytest.mark.parametrize("chains", [1, 3])
def test_regression_is_the_mixture_of_all_draws(normal_draws, chains, draws):
    mean, log_sd, y = normal_draws
    mean, log_sd = mean[:chains, :draws], log_sd[:chains, :draws]
    log_density = norm.logpdf(y, mean, np.exp(log_sd))
    variance = (np.exp(2 * log_sd) + mean**2).mean((0, 1)) - mean.mean((0, 1)) ** 2
    pit = norm.cdf(y, mean, np.exp(log_sd)).mean((0, 1))
    levels = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    observed = np.array([np.mean((pit >= (1 - q) / 2) & (pit <= (1 + q) / 2)) for q in levels])
    density = np.mean(logsumexp(log_density, axis=(0, 1)) - math.log(chains * draws))
    rmse = math.sqrt(sklearn.metrics.mean_squared_error(y, mean.mean((0, 1))))

    state = regression(mean, log_sd, y)
    metrics = evaluate(state, y, y_scale=2.5)
    expected = {
        "lppd": density,
        "lppd_original": density - math.log(2.5),
        "rmse": rmse,
        "rmse_original": 2.5 * rmse,
        "member_nll": -log_density.mean(),
        "predictive_sd": np.sqrt(variance).mean(),
        **{f"coverage_{100 * levels[i]:.0f}": observed[i] for i in (4, 7, 8, 9)},
        "calibration_error": math.sqrt(np.mean((observed - levels) ** 2)),
    }
    assert list(metrics) == list(expected)
    np.testing.assert_allclose(list(metrics.values()), list(expected.values()), **ROUNDING)
    np.testing.assert_allclose(coverage_curve(state), [levels, observed])
    np.testing.assert_allclose(jax.jit(lppd)(state, y), density, **ROUNDING)
    by_chain = np.mean(logsumexp(log_density, axis=1) - math.log(draws), axis=1)
    np.testing.assert_allclose(chain_lppd(state, y), by_chain, **ROUNDING)


def test_original_scale_is_that_of_the_original_targets(normal_draws):
    mean, log_sd, y = normal_draws
    scale, shift = 7.0, -3.0
    standardised = evaluate(regression(mean, log_sd, y), y, y_scale=scale)
    original = scale * y + shift
    raw = evaluate(regression(scale * mean + shift, log_sd + math.log(scale), original), original)
    for name in ("lppd", "rmse"):
        np.testing.assert_allclose(standardised[f"{name}_original"], raw[name], **ROUNDING)


def test_100_000_draws_in_float32():
    """Drifting, skewed draws around near and far targets stay within the errors that the module promises."""
    rng = np.random.default_rng(0)
    draws, rows = 100_000, 20
    y = np.linspace(-3, 3, rows)
    drift = np.linspace(0, 0.5, draws)[:, None]
    mean = np.float32(1 + drift + 0.1 * rng.standard_normal((1, draws, rows)))
    log_sd = np.float32(-2 + 0.3 * rng.standard_normal(mean.shape))
    log_density = norm.logpdf(y, np.float64(mean), np.exp(np.float64(log_sd)))
    state = regression(mean, log_sd, y)
    exact = logsumexp(log_density, axis=1) - math.log(draws)
    np.testing.assert_allclose(state.log_density, exact, rtol=2e-4)
    np.testing.assert_allclose(state.mean_log_density, log_density.mean(1), rtol=2e-4)
    np.testing.assert_allclose(state.mean, mean.mean(1, dtype=float), rtol=2e-4)
    variance = np.exp(2.0 * log_sd).mean(1) + mean.var(1, dtype=float)
    np.testing.assert_allclose(state.variance, variance, rtol=2e-4)
    np.testing.assert_allclose(state.cdf, norm.cdf(y, mean, np.exp(log_sd)).mean(1), atol=1e-3)


@pytest.mark.parametrize("first", [0, 1])
def test_densities_that_underflow_are_averaged_in_log_space(first):
    """Of log densities near -2000 and -1500 the average is the larger one minus log 2, in either order."""
    mean = np.array([[math.sqrt(4000.0)], [math.sqrt(3000.0)]])[None, [first, 1 - first]]
    state = regression(mean, np.zeros_like(mean), np.zeros(1))
    expected = -1500 - 0.5 * math.log(2 * math.pi) - math.log(2)
    np.testing.assert_allclose(lppd(state, np.zeros(1)), expected, rtol=1e-6)
    np.testing.assert_allclose(evaluate(state, np.zeros(1))["lppd"], expected, rtol=1e-6)
    # and between chains
    np.testing.assert_allclose(lppd(regression(mean.swapaxes(0, 1), 0 * mean.swapaxes(0, 1), np.zeros(1)), None),
                               expected, rtol=1e-6)  # fmt: skip


def test_standard_deviations_are_clipped():
    log_sd = np.array([[[-50.0, 50.0]]])
    metrics = evaluate(regression(np.zeros((1, 1, 2)), log_sd, np.zeros(2)), np.zeros(2))
    np.testing.assert_allclose(metrics["predictive_sd"], (1e-6 + 1e6) / 2, rtol=1e-6)


def test_intervals_of_two_far_modes_leave_out_both_tails_and_keep_the_gap():
    """Half of the mass is at -10, half at 10, sd 1: the central 80 % reach from -10.84 to 10.84."""
    y = np.array([-10.9, -10.8, 0.0, 10.8, 10.9])
    mean = np.broadcast_to(np.array([-10.0, 10.0])[:, None, None], (2, 1, 5))
    metrics = evaluate(regression(mean, np.zeros_like(mean), y), y)
    assert norm.ppf(0.2) == pytest.approx(-0.8416, abs=1e-4)
    np.testing.assert_allclose(metrics["coverage_80"], 3 / 5)
    np.testing.assert_allclose(metrics["predictive_sd"], math.sqrt(101), rtol=1e-6)


def test_calibrated_predictions_have_nominal_coverage():
    rng = np.random.default_rng(0)
    rows = 10_000
    mean = rng.standard_normal((1, 1, rows))
    y = mean[0, 0] + 0.5 * rng.standard_normal(rows)
    levels, observed = coverage_curve(regression(mean, np.full_like(mean, math.log(0.5)), y))
    assert (np.abs(observed - levels) < 4 * np.sqrt(levels * (1 - levels) / rows)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["mean", "log_sd"])
def test_a_regression_chain_that_is_not_finite_is_nan_alone(normal_draws, bad, where):
    mean, log_sd, y = normal_draws
    {"mean": mean, "log_sd": log_sd}[where][1, 4, 7] = bad
    state = regression(mean, log_sd, y)
    np.testing.assert_array_equal(np.isnan(chain_lppd(state, y)), [False, True, False])
    assert math.isnan(lppd(state, y))
    assert all(math.isnan(value) for value in evaluate(state, y).values())
    for chains in (np.array([0, 2]), np.array([True, False, True]), slice(0, 3, 2)):
        assert all(map(math.isfinite, evaluate(select(state, chains), y).values()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_classifier_that_is_not_finite_is_nan_alone(bad):
    logits = np.random.default_rng(0).standard_normal((2, 5, 8, 3))
    logits[1, 2, 3, 0] = bad
    state, y = classification(logits), np.arange(8) % 3
    np.testing.assert_array_equal(np.isnan(chain_lppd(state, np.full(8, 1))), [False, True])
    assert all(math.isnan(value) for value in evaluate(state, y).values())
    assert np.isnan(reliability(state, y).accuracy).all()
    assert all(map(math.isfinite, evaluate(select(state, np.array([0])), y).values()))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("chains", "draws"), [(1, 1), (1, 30), (4, 1), (3, 30)])
def test_classification_is_the_mixture_of_all_draws(chains, draws, classes):
    rng = np.random.default_rng(classes)
    y = rng.integers(classes, size=60)
    logits = 2 * np.eye(classes)[y] + 2 * rng.standard_normal((chains, draws, 60, classes))
    p = softmax(logits, axis=-1).mean((0, 1))
    predicted, confidence = p.argmax(1), p.max(1)
    ece = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            ece += inside.mean() * abs(np.mean(predicted[inside] == y[inside]) - confidence[inside].mean())
    errors = (predicted != y)[np.argsort(-confidence)]
    theirs = (p[:, 1],) if classes == 2 else (p,)
    expected = {
        "lppd": -sklearn.metrics.log_loss(y, p),
        "accuracy": sklearn.metrics.accuracy_score(y, predicted),
        "f1": sklearn.metrics.f1_score(y, predicted, average="macro"),
        "brier": sklearn.metrics.brier_score_loss(y, p, scale_by_half=False, labels=np.arange(classes)),
        "ece": ece,
        "auroc": sklearn.metrics.roc_auc_score(y, *theirs, multi_class="ovr"),
        "aurc": np.mean([errors[:i].mean() for i in range(1, 61)]),
    }
    state = classification(logits)
    metrics = evaluate(state, y)
    assert list(metrics) == list(expected)
    np.testing.assert_allclose(list(metrics.values()), list(expected.values()), **ROUNDING)
    by_label = np.take_along_axis(log_softmax(logits, axis=-1), y[None, None, :, None], -1)[..., 0]
    by_chain = np.mean(logsumexp(by_label, axis=1) - math.log(draws), axis=1)
    np.testing.assert_allclose(jax.jit(chain_lppd)(state, y), by_chain, **ROUNDING)
    np.testing.assert_allclose(jax.jit(lppd)(state, y), expected["lppd"], **ROUNDING)


def test_class_probabilities_that_underflow():
    logits = np.array([0.0, -2000.0])[None, None, None].repeat(3, axis=1)
    metrics = evaluate(classification(logits), np.array([1]))
    np.testing.assert_allclose(metrics["lppd"], -2000)
    assert (metrics["accuracy"], metrics["brier"], metrics["ece"]) == (0, 2, 1)
    assert math.isnan(metrics["auroc"])  # one class only


def test_a_class_that_is_not_in_the_labels():
    """Class 2 is predicted once and never true: F1 and AUROC average over classes 0 and 1."""
    p = [[0.8, 0.2, 0.0], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]]
    metrics = evaluate(of_probabilities(p), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(metrics["f1"], (1 + 2 / 3) / 2)  # of class 1: precision 1, recall 1/2
    np.testing.assert_allclose(metrics["auroc"], (1 + 3.5 / 4) / 2)  # the two 0.3 tie


def test_ties_are_broken_by_the_first_class_and_share_their_errors():
    p, y = np.full((4, 2), 0.5), np.array([0, 1, 1, 0])
    for order in ([0, 1, 2, 3], [1, 2, 0, 3]):
        metrics = evaluate(of_probabilities(p), y[order])
        assert (metrics["accuracy"], metrics["auroc"], metrics["aurc"]) == (0.5, 0.5, 0.5)
        np.testing.assert_allclose(metrics["ece"], 0, atol=1e-7)


def test_risk_coverage_and_reliability_by_hand():
    """Confidences 0.95 right, 0.85 wrong, 0.75 right, 0.55 wrong: risks 0, 1/2, 1/3, 1/2."""
    confidence = np.array([0.75, 0.95, 0.55, 0.85])
    state = of_probabilities(np.stack([confidence, 1 - confidence], axis=1))
    y = np.array([0, 0, 1, 1])
    metrics = evaluate(state, y)
    np.testing.assert_allclose(metrics["aurc"], (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    np.testing.assert_allclose(metrics["ece"], (0.25 + 0.05 + 0.55 + 0.85) / 4, rtol=1e-6)
    bins = reliability(state, y)
    np.testing.assert_array_equal(np.flatnonzero(bins.num_rows), [8, 11, 12, 14])  # 0.55 is in (8/15, 9/15]
    np.testing.assert_allclose(bins.confidence[bins.num_rows > 0], np.sort(confidence), rtol=1e-6)
    np.testing.assert_array_equal(bins.accuracy[bins.num_rows > 0], [0, 1, 0, 1])
    assert np.isnan(bins.accuracy[bins.num_rows == 0]).all()


def test_what_cannot_be_evaluated_is_refused():
    state = of_probabilities(np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="no draw"):
        evaluate(init_classification(1, 2, 3), np.zeros(2, int))
    with pytest.raises(ValueError, match="no draw"):
        coverage_curve(init_regression(1, 2))
    with pytest.raises(ValueError, match="2 rows"):
        evaluate(state, np.zeros(3, int))
    for y in (np.array([0, 3]), np.array([-1, 0]), np.zeros(2)):
        with pytest.raises(ValueError, match="0 to 2"):
            reliability(state, y)
    with pytest.raises(ValueError, match="above zero"):
        evaluate(regression(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros(2)), np.zeros(2), y_scale=0)


def test_text_is_rated_by_the_average_of_probabilities():
    """Two members: one sure and right, one sure and wrong, on the first token; both undecided on the second."""
    state = init_classification(2, 2, 4)
    logits = np.log(
        np.array([[[0.97, 0.01, 0.01, 0.01], [0.25] * 4], [[0.01, 0.97, 0.01, 0.01], [0.25] * 4]])
    )
    state = update_classification(state, jnp.asarray(logits, jnp.float32))
    metrics = evaluate_text(state, np.array([0, 2]))
    log_p = (math.log(0.49) + math.log(0.25)) / 2  # not the average of log 0.97 and log 0.01
    np.testing.assert_allclose(metrics["lppd"], log_p, rtol=1e-5)
    np.testing.assert_allclose(metrics["perplexity"], math.exp(-log_p), rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_character"], -log_p / math.log(2), rtol=1e-5)
    assert metrics["accuracy"] == 0.5
    broken = update_classification(init_classification(1, 2, 4), jnp.full((1, 2, 4), jnp.nan))
    assert all(math.isnan(value) for value in evaluate_text(broken, np.array([0, 2])).values())


def test_unfamiliar_rows_are_told_by_their_largest_probability():
    known = of_probabilities(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    unfamiliar = of_probabilities(np.array([[0.5, 0.5], [0.3, 0.7]]))
    found = evaluate_unfamiliar(known, unfamiliar)
    np.testing.assert_allclose(
        found["unfamiliar_auroc"], 5 / 6
    )  # of six pairs only (0.6, 0.7) is the wrong way round
    np.testing.assert_allclose(found["unfamiliar_confidence"], 0.6, rtol=1e-6)


def test_infinite_averages_stay_infinite_and_opposite_ones_are_nan() -> None:
    """A member whose density of a row is zero has an infinite negative log density, not an unknown one."""
    state = init_regression(1, 1)
    for mean in (0.0, 1e30, 0.0, 1e30, 0.0):
        state = update_regression(state, jnp.full((1, 1), mean), jnp.zeros(()), jnp.zeros(1))
    assert state.mean_log_density == -jnp.inf and jnp.isfinite(state.log_density)

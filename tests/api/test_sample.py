"""A linear regression, whose posterior is a known normal distribution."""

from __future__ import annotations

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import smile

ROWS, NOISE = 200, 0.5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 2)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0]) + NOISE * RNG.normal(size=ROWS)).astype(np.float32)
COVARIANCE = np.linalg.inv(X.T @ X / NOISE**2 + np.eye(2))
MEAN = COVARIANCE @ X.T @ Y / NOISE**2


def logdensity(position: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = batch
    w = jnp.stack([position["a"], position["b"]])
    return -0.5 * jnp.sum(w**2) - 0.5 * ROWS / len(y) * jnp.sum((y - x @ w) ** 2) / NOISE**2


def test_mean_and_covariance_of_a_linear_regression_at_a_temperature() -> None:
    draws = smile.sample(
        logdensity,
        lambda key: {"a": jax.random.normal(key), "b": jnp.zeros(())},
        data=(X, Y),
        sampler=smile.smile(L=0.5),
        step_size=0.01,
        temperature=2.0,
        chains=16,
        num_steps=12_000,
        burn_in=2000,
        thinning=5,
    )
    w = np.stack([draws.position["a"], draws.position["b"]], axis=-1).astype(np.float64) - MEAN
    assert w.shape == (16, 2000, 2)
    found = np.concatenate([w.mean(1), (w[..., :, None] * w[..., None, :]).mean(1).reshape(16, 4)], axis=1)
    error = found.mean(0) - np.concatenate([np.zeros(2), 2 * COVARIANCE.ravel()])
    t = error / (found.std(0, ddof=1) / 4)
    assert np.abs(t).max() < 5.6, t  # Student's t with 15 degrees of freedom: one false alarm of 4,000 in six
    relative = found[:, [2, 5]].mean(0) / (2 * np.diag(COVARIANCE))
    assert np.abs(relative - 1).max() < 0.1  # the test has power: the standard error is small, too
    summary = draws.summary()
    assert list(summary.index) == ["a", "b"] and (summary.rhat < 1.05).all()


def test_batches_a_tuner_and_a_schedule() -> None:
    draws = smile.sample(
        logdensity, {"a": 0.0, "b": 0.0}, data=(X, Y), batch_size=20, sampler=smile.psmile(),
        tuner=smile.energy_variance(adaptation_probability=0.0), step_size=0.1,
        schedule=lambda step: 1.0 - 0.5 * (step >= 10), num_steps=20, chains=2,
    )  # fmt: skip
    np.testing.assert_allclose(draws.step_size, 0.05, rtol=1e-6)
    assert draws.position["a"].shape == (2, 10) and draws.gradient_evaluations == 40


def test_as_blackjax_runs_in_its_loop() -> None:
    algorithm = smile.as_blackjax(
        smile.psmile(), logdensity, data=(X, Y), batch_size=20, step_size=0.1, tuner=smile.energy_variance()
    )
    _, positions = blackjax.util.run_inference_algorithm(
        jax.random.key(0), algorithm, 4000, initial_position={"a": 0.0, "b": 0.0},
        transform=lambda state, info: state.position,
    )  # fmt: skip
    found = np.array([np.asarray(positions[name])[2000:].mean() for name in ("a", "b")])
    # One chain, some tens of effective draws: a rough check that it went where the posterior is.
    assert np.abs((found - MEAN) / np.sqrt(np.diag(COVARIANCE))).max() < 2, (found, MEAN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step_size": None}, "step_size: got null; valid: a number > 0, unless schedule"),
        ({"batch_size": 500}, "batch_size must be a whole number >= 1 and <= 200"),
        ({"data": (X, Y[:-1])}, "data: got .*equally many rows"),
        ({"sampler": smile.smile}, "sampler: got"),
        ({"thinning": 3}, "thinning: got 3; valid: a divisor of num_steps=100"),
        ({"tuner": smile.energy_variance, "sampler": None}, "tuner: got"),
        ({"init": {}}, "a position without numbers"),
        ({"init": {"a": "x", "b": 0.0}}, "init: got str; valid: finite real numbers that float32 holds"),
        ({"init": {"a": 10**400, "b": 0.0}}, "init: got int"),
        ({"init": np.zeros(2, complex)}, "init: got an array of complex128"),
        ({"init": np.array([1.0, np.inf])}, "init: got a position that is not finite"),
        ({"seed": 10**5000}, "got a whole number of more than 4300 digits"),
        ({"logdensity_fn": lambda position, batch: batch[1]}, r"shape \(200,\); valid: a scalar"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(changes: dict[str, object], said: str) -> None:
    given = {
        "logdensity_fn": logdensity, "init": {"a": 0.0, "b": 0.0}, "data": (X, Y), "step_size": 0.1, "num_steps": 100,
    } | changes  # fmt: skip
    with pytest.raises(ValueError, match=said):
        smile.sample(given.pop("logdensity_fn"), given.pop("init"), **given)  # type: ignore[arg-type]


def test_options_are_those_of_the_command_line() -> None:
    assert smile.psmile().preconditioner == "posterior_scale" and smile.psmile().L is None
    with pytest.raises(smile.ConfigError, match="ema_rate: got 2"):
        smile.psmile(ema_rate=2)
    with pytest.raises(smile.ConfigError, match="did you mean 'ema_rate'"):
        smile.psmile(ema_rat=0.1)

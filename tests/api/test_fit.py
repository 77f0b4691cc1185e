"""Fits of a few hundred steps: does everything fit together? How good chains are is measured elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import equinox as eqx
import flax.linen as nn
import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from sklearn.datasets import load_diabetes, load_digits

import smile
from smile.api.saved import VERSION
from smile.api.summary import advice
from smile.tracking.archive import Archive, read_archive, write_archive

QUICK = {"chains": 2, "num_steps": 200, "burn_in": 100, "warm_start_epochs": 20, "progress": False}

PROGRAM = """
import sys
import numpy as np
import smile

fit = smile.load(sys.argv[1])
x = np.load(sys.argv[2], allow_pickle=False)
np.savez(sys.argv[3], *fit.predict(x), *fit.interval(x, 0.8))
"""


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def fit(diabetes: tuple[np.ndarray, np.ndarray]) -> smile.Fit:
    return smile.BNN(smile.mlp(8), prior=smile.priors.he()).fit(*diabetes, **QUICK)


@pytest.fixture(scope="module")
def saved(fit: smile.Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "posterior.smile"
    fit.save(path)
    return path


def test_regression_in_the_units_of_the_table(
    fit: smile.Fit, diabetes: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = diabetes
    mean, sd = fit.predict(x)
    assert mean.shape == sd.shape == y.shape
    assert np.sqrt(np.mean((mean - y) ** 2)) < 0.85 * y.std()
    low, high = fit.interval(x, 0.9)
    assert 0.8 < np.mean((low < y) & (y < high)) <= 1
    shown = str(fit.summary())
    assert "LPPD" in shown and "warning: chains do not agree" in shown and "num_steps=400" in shown
    assert fit.summary().to_frame().loc["lppd", "meaning"] == "LPPD"
    assert fit.plot().axes[0].get_ylabel().startswith("LPPD")
    assert fit.parameters()["Dense_0.kernel"].shape == (2, 10, 10, 8)


def test_predictions_are_those_of_the_draws(fit: smile.Fit, diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    """Mean, deviation and quantiles of the mixture, against draws from it; and the rows do not see each other."""
    x = diabetes[0][:3]
    rows = fit._rows(x)
    means, log_sds = (
        np.stack(part)
        for part in zip(
            *(fit.posterior.predict(draw, rows) for draw in fit.draws.reshape(-1, fit.draws.shape[-1])),
            strict=True,
        )
    )
    means, sds = fit.y_mean + fit.y_scale * means, fit.y_scale * np.exp(log_sds)
    mean, sd = fit.predict(x)
    np.testing.assert_allclose(mean, means.mean(0), rtol=1e-4)
    np.testing.assert_allclose(sd, np.sqrt((sds**2).mean(0) + means.var(0)), rtol=1e-4)
    drawn = means + sds * np.random.default_rng(0).normal(size=(20_000, *means.shape))
    low, high = fit.interval(x, 0.8)
    for end, level in ((low, 0.1), (high, 0.9)):
        share = (drawn < end).mean((0, 1))  # of 400,000 draws: standard error 5e-4
        np.testing.assert_allclose(share, level, atol=0.0025)
    np.testing.assert_allclose(fit.predict(x, rows_at_once=2)[0], mean, rtol=1e-5)


def test_the_command_line_and_the_api_give_the_same_numbers(tmp_path: Path, fit: smile.Fit) -> None:
    from smile.execute import execute
    from smile.preflight import compose

    config = compose(
        [
            "target=bnn", "+method=psmile_naive", "model.widths=[8]", "target.prior=he", "replications=2",
            "num_steps=200", "burn_in=100", "warm_start.max_epochs=20",
            f"results_dir={tmp_path}", "tracker.wandb.mode=disabled",
        ]
    )  # fmt: skip
    rows = execute(config, tmp_path, "").set_index("metric").value
    for name in ("lppd", "rmse_original", "rhat_max", "final_step_size"):
        np.testing.assert_allclose(fit.summary().metrics[name], rows[name], rtol=1e-5)
    # and the run keeps what the fit saves
    again, x = smile.load(tmp_path), load_diabetes().data
    np.testing.assert_allclose(again.predict(x), fit.predict(x), rtol=1e-4)
    assert again.draws.shape == fit.draws.shape and again.summary().metrics == pytest.approx(
        rows.to_dict(), rel=1e-6, nan_ok=True
    )
    assert "2 chains of 200 steps, step size" in str(again.summary()) and again.plot() is not None
    again.save(tmp_path / "again.smile")
    np.testing.assert_array_equal(smile.load(tmp_path / "again.smile").predict(x), again.predict(x))


def test_a_new_process_elsewhere_predicts_the_same_bits(
    fit: smile.Fit, saved: Path, tmp_path: Path, diabetes: tuple[np.ndarray, np.ndarray]
) -> None:
    np.save(tmp_path / "x.npy", diabetes[0])
    arguments = [str(saved), str(tmp_path / "x.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        expected = (*fit.predict(diabetes[0]), *fit.interval(diabetes[0], 0.8))
        for name, value in zip(found.files, expected, strict=True):
            np.testing.assert_array_equal(found[name], value)


def test_what_is_saved_is_loaded(fit: smile.Fit, saved: Path) -> None:
    again = smile.load(saved)
    assert str(again.summary()) == str(fit.summary())
    assert again.inputs == fit.inputs and dict(again.options) == dict(fit.options)
    np.testing.assert_array_equal(again.figure.curves[0].lppd, fit.figure.curves[0].lppd)
    again.plot()


def test_files_that_cannot_be_trusted_are_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    path = tmp_path / "posterior.smile"
    with pytest.raises(smile.ArchiveError, match="no such file"):
        smile.load(path)
    path.write_bytes(content[:-100])
    with pytest.raises(smile.ArchiveError, match="truncated"):
        smile.load(path)
    facts, arrays = read_archive(saved, "posterior", VERSION)
    np.savez(path.open("wb"), **{**np.load(saved), "draws": arrays["draws"] + 1})
    with pytest.raises(smile.ArchiveError, match="changed since it was written"):
        smile.load(path)
    write_archive(path, "posterior", VERSION + 1, Archive({**facts, "version": VERSION + 1}, arrays))
    with pytest.raises(smile.ArchiveError, match=rf"version {VERSION + 1} of the format.*upgrade smile-bnn"):
        smile.load(path)
    write_archive(path, "picture", VERSION, Archive({**facts, "kind": "picture"}, arrays))
    with pytest.raises(smile.ArchiveError, match="holds picture, not posterior"):
        smile.load(path)


def test_a_network_that_no_path_leads_to_is_asked_for(tmp_path: Path) -> None:
    class Local(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.last = nnx.Linear(64, 8, rngs=rngs), nnx.Linear(8, 10, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(nnx.relu(self.first(x)))

    x, y = load_digits(return_X_y=True)
    fit = smile.BNN(Local, prior=smile.priors.he()).fit(x, y, **QUICK, keep=10)
    assert fit.draws.shape[:2] == (2, 5)
    probabilities = fit.predict(x)
    assert probabilities.shape == (1797, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (fit.classes[probabilities.argmax(1)] == y).mean() > 0.8
    with pytest.raises(smile.InputError, match="y are classes"):
        fit.interval(x)
    fit.save(tmp_path / "digits.smile")
    with pytest.raises(smile.ArchiveError, match=r"no path leads to: smile\.load\(path, model=\.\.\.\)"):
        smile.load(tmp_path / "digits.smile")
    again = smile.load(tmp_path / "digits.smile", model=Local)
    np.testing.assert_array_equal(again.predict(x), probabilities)
    with pytest.raises(ValueError, match=r"is not the network of|has .* where that of"):
        smile.load(tmp_path / "digits.smile", model=nn.Dense(10))


def test_words_and_missing_cells_from_table_to_prediction(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"area": rng.uniform(20, 100, 60), "city": rng.choice(["Bonn", "Ulm"], 60)})
    classes = np.where((table.city == "Bonn") ^ (rng.uniform(size=60) < 0.1), "dear", "cheap")
    table.loc[3, "area"] = np.nan
    model = smile.BNN(nn.Dense)
    with pytest.raises(smile.InputError, match=r"'area' \(1, first in row 3\): missing='mean'"):
        model.fit(table, classes, **QUICK)
    fit = model.fit(table, classes, **QUICK, missing="mean")
    assert fit.classes.tolist() == ["cheap", "dear"]
    new = pd.DataFrame({"city": ["Bonn", "Ulm"], "area": [np.nan, 30.0]})
    dear = fit.predict(new)[:, 1]
    assert dear[0] > 0.6 > 0.4 > dear[1]
    fit.save(tmp_path / "rents.smile")
    np.testing.assert_array_equal(smile.load(tmp_path / "rents.smile").predict(new)[:, 1], dear)
    same = smile.load(tmp_path / "rents.smile", model=eqx.nn.Linear(3, 2, key=jax.random.key(0)))
    np.testing.assert_allclose(same.predict(new)[:, 1], dear, rtol=1e-5)
    with pytest.raises(smile.InputError, match="'Rom' was not in the fit"):
        fit.predict(new.assign(city="Rom"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "psmle"}, "method: got 'psmle'.*did you mean 'psmile'"),
        ({"temperature": 0}, "temperature must be a finite number > 0"),
        ({"batch_size": 4000}, "batch_size: got 4000; valid: a whole number <= 309"),
        ({"burn_in": 200}, "burn_in: got 200; valid: a whole number below num_steps=200"),
        ({"dtype": "float16"}, "dtype must be float32, float64"),
        ({"tuner": smile.energy_variance(), "sampler": smile.sgld()}, "tuner: got 'energy_variance'"),
        ({"method": "mile", "step_size": 0.1}, "step_size: got 0.1; valid: None with tuner=mclmc"),
        ({"train": 0.9}, "has no rows|no rows|test"),
    ],
)
def test_options_that_are_wrong(
    diabetes: tuple[np.ndarray, np.ndarray], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        smile.BNN(smile.mlp(8)).fit(*diabetes, **{**QUICK, **changes})


def test_advice_follows_the_numbers() -> None:
    good = {"lppd": -1.0, "lppd_gain": 0.1, "rhat_max": 1.01, "ess_min": 400.0, "num_divergent": 0.0}
    assert advice(good, 100) == advice({**good, "predictive_sd": 1.5}, 100) == ()
    (line,) = advice({**good, "predictive_sd": 40.0}, 100)
    assert line.startswith("predictions have 40 times the standard deviation of y itself")
    bad = {"lppd": np.nan, "rhat_max": np.nan, "ess_min": 3.0, "num_divergent": 2.0, "lppd_gain": -0.1}
    for name, value in bad.items():
        assert len(advice({**good, name: value}, 100)) == 1, name

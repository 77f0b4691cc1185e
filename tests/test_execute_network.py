"""Runs on networks, from a config to the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import smile
from smile.execute import execute
from smile.preflight import compose
from smile.run import run_dir
from smile.runs import status
from smile.runs.owner import this_process
from smile.sampling import load_draws
from smile.tools import generate, predict
from smile.tracking import read_metrics, read_run

SMALL = [
    "target=bnn",
    "scale=smoke",
    "num_steps=100",
    "burn_in=40",
    "warm_start.max_epochs=5",
    "tracker.wandb.mode=disabled",
]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*overrides: str) -> tuple[pd.DataFrame, Path]:
    """Values by (metric, step size), and the folder of the run."""
    config = compose([*SMALL, *overrides])
    directory = run_dir(config)
    directory.mkdir(parents=True, exist_ok=True)
    rows = execute(config, directory, label="test")
    assert rows["value"].dtype == float and set(rows["replication"]) == {config.seed}
    return rows.pivot(index="metric", columns="step_size", values="value"), directory


def test_a_regression_with_two_step_sizes_and_the_tuner():
    values, directory = run("+method=psmile", "step_size=[1e-3,1e-2]", "seed=3")
    assert list(values.columns) == [1e-3, 1e-2]
    for metric in (
        "lppd",
        "validation_lppd",
        "rmse",
        "rmse_original",
        "coverage_90",
        "calibration_error",
        "lppd_gain",
    ):
        assert np.isfinite(values.loc[metric]).all()
    assert {"final_step_size", "num_resets", "num_divergent", "num_non_finite", "rhat_max", "ess_min"} <= set(
        values.index
    )
    np.testing.assert_allclose(values.loc["gradient_epochs"], 100 * 2 * 154 / 309)
    assert {p.name for p in directory.iterdir()} == {
        "metrics.parquet", "config.yaml", "history.parquet", "figure.png", "figure.pdf", "posterior.smile",
    }  # fmt: skip
    history = pd.read_parquet(directory / "history.parquet")
    last = history.query("split == 'test' and chain == -1").groupby("step_size")["lppd"].last()
    np.testing.assert_allclose(last, values.loc["lppd"], rtol=1e-4)
    assert set(history["chain"]) == {-1, 0, 1} and history["gradient_evaluations"].max() == 200
    # What is kept for new rows is of the step size that validation data choose, and says so.
    fit, best = smile.load(directory), values.loc["validation_lppd"].idxmax()
    assert fit.options["step_size"] == [best] and "the best of 2 by the LPPD on" in fit.summary().sampler
    assert fit.draws.shape[:2] == (2, 6)
    pd.testing.assert_series_equal(pd.Series(dict(fit.summary().metrics)), values[best], check_exact=True,
                                   check_names=False, check_like=True)  # fmt: skip
    # The deep ensemble is a run of its own, and the gain is over it.
    everything = read_metrics(directory.parents[1])
    ensemble = everything[everything["sampler"] == "deep_ensemble"].set_index("metric")["value"]
    np.testing.assert_allclose(values.loc["lppd_gain"], values.loc["lppd"] - ensemble["lppd"])
    assert everything["run_id"].nunique() == 2


def test_a_classification_with_streamed_draws(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "smile")
    values, directory = run("data=digits", "sampler=smile", "target.draws=stream", "step_size=1e-3")
    for metric in ("lppd", "accuracy", "f1", "brier", "ece", "auroc", "aurc", "validation_accuracy"):
        assert np.isfinite(values.loc[metric]).all()
    draws = load_draws(directory / "draws")
    assert draws.shape == (2, 6, 64 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 10 + 10)
    assert (draws[:, 0] != draws[:, 5]).any()
    assert "no posterior.smile: data=digits holds images" in caplog.text
    assert not [*directory.glob("posterior.smile"), *directory.glob("thinned_draws")]


@pytest.mark.parametrize("method", ["mile", "adasghmc", "csgld"])
def test_every_method_runs(method: str):
    values, _ = run(f"+method={method}", "target.likelihood=heteroscedastic", "thinning=5")
    diagnostics = ["rhat_max", "rhat_q95", "rhat_median", "ess_min", "chain_lppd_min", "largest_weight"]
    assert np.isfinite(values.loc[["lppd", *diagnostics]]).all(axis=None)
    assert (values.loc["num_strayed"] == 0).all()
    assert ("adaptation_fall" in values.index) == (method == "mile")


def test_chains_that_leave_their_networks_are_counted():
    values, _ = run("+method=smile_naive", "step_size=[1e-5,3]")
    assert values.loc["num_strayed"].tolist() == [0, 2]
    assert values.loc["largest_weight", 3] > 3 * values.loc["largest_weight", 1e-5]


def test_samplers_of_a_sweep_share_one_warm_start(tmp_path: Path):
    run("sampler=smile")
    (file,) = (tmp_path / "results/warm_starts").glob("*.npz")
    written = file.stat().st_mtime_ns
    run("sampler=psmile", "target.prior=laplace")
    assert file.stat().st_mtime_ns == written
    run("sampler=smile", "warm_start.learning_rate=0.02")
    assert len(list((tmp_path / "results/warm_starts").glob("*.npz"))) == 2


def test_epochs_count_in_batches():
    values, _ = run("target.count=epochs", "num_steps=4", "burn_in=2", "thinning=1", "target.batch_size=100")
    np.testing.assert_allclose(values.loc["gradient_epochs"], 4 * 3 * 2 * 100 / 309)


def test_the_same_config_gives_the_same_numbers(tmp_path: Path):
    """Of a run that goes on after others, too, whose time is added to its own."""
    first, directory = run("+method=psmile")
    (directory / "metrics.parquet").unlink()
    status.write(directory, status.Status("running", owner=this_process(), spent=1e6))
    again, _ = run("+method=psmile")
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    (seconds,) = read_run(directory)["wall_seconds"].unique()
    assert 1e6 < seconds < 1e6 + 1e4


@pytest.mark.parametrize(("rows", "batch"), [(309, 154), (700, 256), (3, 1), (1, 1)])
def test_automatic_batches_leave_rows_that_are_not_in_them(rows: int, batch: int):
    assert compose(SMALL).target.rows_per_batch(rows) == batch


def test_a_table_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 120), "dose": rng.uniform(0, 1, 120)})
    frame["outcome"] = np.where(frame["age"] + 40 * frame["dose"] > 60, "ill", "well")
    frame.to_csv("mine.csv", index=False)
    own = ["data=csv", "data.path=mine.csv", "data.target=outcome"]
    values, directory = run(*own, "target.posterior_megabytes=1e-4")
    assert 0.5 < values.loc["accuracy"].iloc[0] <= 1
    # Its run predicts new rows wherever one is, and where the table is gone.
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as there:
        there.chdir(tmp_path / "elsewhere")
        frame[["dose", "age"]].to_csv("new.csv", index=False)
        assert predict.main([str(tmp_path / directory), "new.csv"]) == 0
        found = pd.read_parquet("predictions.parquet")
    assert (
        list(found) == ["ill", "well"] and ((found["ill"] > 0.5) == (frame["outcome"] == "ill")).mean() > 0.7
    )
    assert smile.load(directory).draws.shape[:2] == (2, 1)
    # Other contents are another run, though the name is the same.
    frame.assign(dose=0.0).to_csv("mine.csv", index=False)
    assert run_dir(compose([*SMALL, *own])) != directory


def test_metrics_are_on_disk_as_returned():
    values, directory = run("target.draws=none")
    with pytest.raises(smile.ArchiveError, match=r"no posterior.smile .*target.draws=none.*force=true"):
        smile.load(directory)
    written = read_run(directory)
    assert (
        set(written["data"]) == {"diabetes"}
        and set(written["model"]) == {"fcn"}
        and set(written["noise"]) == {"none"}
    )
    np.testing.assert_array_equal(
        written.set_index("metric")["value"].sort_index(), values.sort_index().iloc[:, 0]
    )


IMAGES = [
    "data=digits",
    "data.size=12",
    "model=fcn",
    "num_steps=20",
    "burn_in=10",
    "warm_start.max_epochs=2",
]


def test_images_with_every_way_of_dividing_the_work():
    """Parts that do not divide what they are parts of; the numbers are those of the undivided work."""
    whole, _ = run(*IMAGES, "data.unfamiliar=noise", "target.batch_size=30", "step_size=1e-4")
    Path("results").rename("whole")
    divided, _ = run(
        *IMAGES, "data.unfamiliar=noise", "target.batch_size=30", "step_size=1e-4", "target.chains_at_once=1",
        "target.rows_at_once=100", "target.microbatches=3",
    )  # fmt: skip
    metrics = ["lppd", "accuracy", "validation_lppd", "brier", "unfamiliar_auroc", "accuracy_gain"]
    np.testing.assert_allclose(divided.loc[metrics], whole.loc[metrics], rtol=0.02, atol=2e-3)
    np.testing.assert_allclose(divided.loc["gradient_epochs"], 20 * 2 * 30 / 1077)


def test_augmentation_changes_the_warm_start_of_images():
    digits = ["data=digits", "data.limit=300", "num_steps=10", "burn_in=0", "warm_start.max_epochs=3"]
    augmented, _ = run(*digits, "warm_start.augmentation=flip_crop_resize")
    plain, _ = run(*digits)
    assert augmented.loc["lppd"].item() != plain.loc["lppd"].item()


def test_a_language_model_and_text_from_it(capsys):
    values, directory = run(
        "target=nanogpt", "scale=smoke", "num_steps=20", "burn_in=10", "step_size=[1e-3,1e-2]"
    )
    np.testing.assert_allclose(values.loc["perplexity"], np.exp(-values.loc["lppd"]))
    deep_ensemble = read_metrics(directory.parents[1]).query("sampler == 'deep_ensemble'")
    warm = deep_ensemble.set_index("metric")["value"]
    np.testing.assert_allclose(
        values.loc["perplexity_improvement"], warm["perplexity"] - values.loc["perplexity"]
    )
    assert load_draws(directory / "draws").shape[:2] == (4, 1)
    arguments = [str(directory), "--prompt", "data", "--characters", "40", "--members", "1"]
    assert generate.main(arguments) == 0
    first = capsys.readouterr().out
    assert first.startswith("data") and len(first) == 4 + 40 + 1
    assert generate.main(arguments) == 0 and capsys.readouterr().out == first
    assert generate.main([str(directory), "--prompt", "Ä"]) == 2
    assert "'Ä'" in capsys.readouterr().err
    assert generate.main([str(directory.parent)]) == 2
    assert "target=nanogpt" in capsys.readouterr().err

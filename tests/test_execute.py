"""From a config to the numbers on disk."""

from __future__ import annotations

import logging
from pathlib import Path

import jax
import numpy as np
import pytest

from smile import random
from smile.execute import execute
from smile.execute.analytic import make_chains, measure
from smile.execute.problem import algorithm_of, make_target
from smile.options import ConfigError
from smile.preflight import compose
from smile.sampling import sample, trailing_chains
from smile.targets.icg import rotation_matrix
from smile.tracking import read_run

SMALL = ["scale=smoke", "tracker.wandb.mode=disabled"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*overrides: str):
    return execute(compose([*SMALL, *overrides]), Path(), label="test")


def test_every_metric_of_an_analytic_target_is_written(tmp_path: Path) -> None:
    rows = run("target=funnel", "noise=spatially_varied", "sampler=psmile", "step_size=[1e-3,1e-2]",
               "tuner=energy_variance")  # fmt: skip
    assert set(rows["metric"]) == {
        "diverged", "num_resets", "num_non_finite",
        "bias", "bias_published", "bias_max", "bias_exact", "bias_reference",
        "wasserstein", "wasserstein_max", "sliced_wasserstein",
        "rhat_max", "ess_min", "ess_moments_min", "ess_per_gradient", "final_step_size",
    }  # fmt: skip
    assert len(rows) == 2 * 2 * rows["metric"].nunique()
    written = read_run(tmp_path)
    assert written["value"].tolist() == rows["value"].tolist()
    assert set(written["gradient_evaluations"]) == {400} and set(written["num_steps"]) == {200}
    assert "kappa: null" in (tmp_path / "config.yaml").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.parquet", "config.yaml"}


def test_the_chosen_moments_define_the_bias() -> None:
    exact, reference = (
        run("target=funnel", "sampler=sgld", "step_size=1e-3", f"target.moments={name}").pivot(
            index="replication", columns="metric", values="value"
        )
        for name in ("exact", "reference")
    )
    np.testing.assert_array_equal(exact["bias"], exact["bias_exact"])
    np.testing.assert_array_equal(reference["bias"], exact["bias_reference"])
    assert (reference["bias"] != exact["bias"]).all()


def test_a_diverged_chain_is_nan_and_says_so() -> None:
    rows = run("target=rosenbrock", "sampler=sgld", "step_size=[1e-4,10]").set_index(["metric", "step_size"])
    assert (rows.loc[("diverged", 10.0), "value"] == 1).all()
    assert rows.loc[("bias", 10.0), "value"].isna().all()
    assert np.isfinite(rows.loc[("bias", 1e-4), "value"]).all()


def test_the_baseline_adapts_and_samples_the_full_batch() -> None:
    rows = run("target=icg", "noise=none", "sampler=mclmc", "num_steps=20000", "replications=3")
    values = rows.pivot(index="replication", columns="metric", values="value")
    assert values["bias"].mean() < 0.01
    assert rows["step_size"].between(0.05, 5).all() and rows["step_size"].nunique() == 3


def test_precision_reaches_the_chains() -> None:
    with jax.enable_x64(True):
        config = compose([*SMALL, "precision=float64", "sampler=psmile", "step_size=1e-3"])
        target = trailing_chains(make_target(config))
        chains = make_chains(config, target, random.key(0))
        algorithm = algorithm_of(config, target.logdensity, 20).of(chains.parameters)
        samples = sample(target, algorithm, chains.step_size, key=random.key(0), num_steps=20)
    assert samples.draws.dtype == np.float64


@pytest.mark.parametrize(
    ("overrides", "target_seed", "noise_seed"),
    [([], 1, 43), (["target.rotation=4"], 4, 43), (["target.rotation=43"], 43, 44), (["noise.rotation=aligned"], 1, 1),
     (["target.rotation=4", "noise.rotation=aligned"], 4, 4), (["+rotation=target_axis_aligned"], None, 43)],
)  # fmt: skip
def test_rotations_of_target_and_noise(overrides, target_seed, noise_seed) -> None:
    target = make_target(compose([*SMALL, "noise=correlated", *overrides]))
    noise = np.cov(target.draw_batch(jax.random.key(0), (20_000,)))
    for matrix, seed in (
        (noise, noise_seed),
        (np.cov(target.sample(jax.random.key(1), 20_000).T), target_seed),
    ):
        q = rotation_matrix(seed, 10)
        diagonal = q.T @ matrix @ q
        assert np.abs(np.diag(diagonal)).sum() > 0.97 * np.abs(np.linalg.eigvalsh(matrix)).sum()
        correlation = diagonal / np.sqrt(np.outer(np.diag(diagonal), np.diag(diagonal)))
        assert np.abs(correlation - np.eye(10)).max() < 0.06


def test_a_broken_mirror_does_not_break_the_run(tmp_path, monkeypatch, caplog) -> None:
    import wandb

    def no_network(**arguments):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(wandb, "init", no_network)
    with caplog.at_level(logging.WARNING):
        execute(compose(["scale=smoke", "sampler=sgld"]), tmp_path, label="test")
    assert (tmp_path / "metrics.parquet").exists()
    assert "no route to host" in caplog.text


def test_without_known_moments_there_is_still_an_effective_sample_size(tmp_path, monkeypatch) -> None:
    (tmp_path / "bare_target.py").write_text(
        "import numpy as np\n"
        "from smile.targets import from_logdensity\n"
        "def make():\n"
        "    return from_logdensity(lambda x: -0.5 * (x['a'] ** 2).sum(), {'a': np.zeros(2)})\n"
    )
    rows = run(
        "target=custom", "target.factory=bare_target.make", "noise=none", "sampler=sgld", "step_size=0.1"
    )
    assert set(rows["metric"]) == {
        "diverged", "num_divergent", "rhat_max", "ess_min", "ess_moments_min", "ess_per_gradient", "final_step_size",
    }  # fmt: skip
    assert np.load("draws.npz")["draws"].shape == (2, 20, 2)


CELLS = {
    "target=icg noise=isotropic sampler=psmile": 1e-3,
    "target=rosenbrock noise=diagonal sampler=smile": 1e-3,
    "target=funnel noise=correlated sampler=sgld": 1e-4,
}


@pytest.mark.parametrize("cell", CELLS)
def test_injected_noise_has_the_law_of_minibatches(cell) -> None:
    """The same second moments, coordinate by coordinate, within the error of 200 chains."""
    estimates = []
    for source in ("injected", "minibatch"):
        config = compose(
            [
                *SMALL,
                *cell.split(" "),
                f"noise.source={source}",
                f"step_size={CELLS[cell]}",
                "seed=3",
                "target.start=mode",
            ]
        )
        target = trailing_chains(make_target(config))
        samples = sample(
            target, algorithm_of(config, target.logdensity, 4000).of(()), np.full(200, CELLS[cell]),
            key=random.key(len(source)), num_steps=4000, thinning=10,
        )  # fmt: skip
        estimates.append((samples.second_moment.mean(0), samples.second_moment.std(0) / np.sqrt(200)))
        values = measure(target, samples)
        assert not values["diverged"].any()
    (injected, error), (minibatch, other_error) = estimates
    z = (injected - minibatch) / np.hypot(error, other_error)
    print(f"{cell}: z = {np.round(z, 1)}")
    assert np.abs(z).max() < 4.5
    assert (error < 0.2 * injected).all()


ROWS = """
import jax, jax.numpy as jnp
from smile.base import Subsampling, Target

def make():
    rows = 3 + jax.random.normal(jax.random.key(0), (1000, 2))
    return Target(
        "mean of rows", 2, lambda key: jnp.full(2, 3.0),
        logdensity=lambda x, index: -0.5 * 1000 / 20 * jnp.sum((rows[index] - x) ** 2) - 0.5 * jnp.sum(x**2) / 100,
        draw_batch=lambda key, chains: jax.random.randint(key, (*chains, 20), 0, 1000),
        subsampling=Subsampling(1000, 20, prior_sd=10.0),
    )
"""


def test_a_custom_target_that_says_its_rows_gets_the_scale_of_its_posterior(tmp_path, monkeypatch) -> None:
    (tmp_path / "target_of_rows.py").write_text(ROWS)
    own = ["target=custom", "target.factory=target_of_rows.make", "step_size=0.05"]

    def draws(*overrides: str) -> np.ndarray:
        run(*own, *overrides)
        return np.load("draws.npz")["draws"]

    chosen = draws("noise=none")
    np.testing.assert_array_equal(chosen, draws("noise=none", "sampler.preconditioner=posterior_scale"))
    assert (chosen != draws("noise=none", "sampler.preconditioner=noise_scale")).any()
    # Injected noise says nothing about the rows.
    older = draws("noise=isotropic", "sampler.preconditioner=noise_scale")
    np.testing.assert_array_equal(older, draws("noise=isotropic"))
    with pytest.raises(ConfigError, match=r"sampler\.preconditioner: got 'posterior_scale'"):
        draws("noise=isotropic", "sampler.preconditioner=posterior_scale")

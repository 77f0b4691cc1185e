"""The facts of metrics: all that runs record is declared, and who looks after results does not wait for JAX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from smile.execute import predictions
from smile.metrics import evaluation, predictive, rhat_and_ess
from smile.quantities import METRICS, Metric, metric

RESULTS = Path(__file__).parents[1] / "results"


def test_direction_and_what_chooses() -> None:
    assert metric("bias") == Metric("bias", "bias of second moments", False, "bias", "bias")
    assert (metric("rmse").highest, metric("rmse").chosen_by) == (False, "validation_rmse")
    assert (metric("accuracy").highest, metric("accuracy").chosen_by) == (True, "validation_accuracy")


def test_validation_metrics_have_the_direction_of_what_they_validate() -> None:
    for name in ("rmse", "accuracy", "calibration_error"):
        found = metric(f"validation_{name}")
        assert (found.name, found.chosen_by, found.heading) == (
            f"validation_{name}",
            f"validation_{name}",
            "",
        )
        assert found.highest == metric(name).highest
    assert metric("validation_lppd").heading


def test_an_unknown_metric_is_named_with_its_neighbour() -> None:
    with pytest.raises(
        ValueError, match=r"no metric 'wasserstien' \(did you mean wasserstein\?\): valid are bias, "
    ):
        metric("wasserstien")


def test_what_chooses_is_declared_and_chooses_itself() -> None:
    for declared in METRICS.values():
        assert metric(declared.chosen_by).chosen_by == declared.chosen_by


def recorded() -> set[str]:
    """Metrics of small predictions of every kind."""
    rows, classes = 6, 3
    y = jnp.arange(rows) % classes
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((1, rows, classes)), jnp.float32)
    regression = predictive.init_regression(1, rows)
    regression = predictive.update_regression(regression, logits[..., 0], logits[..., 1], logits[0, :, 2])
    classification = predictive.update_classification(
        predictive.init_classification(1, rows, classes), logits
    )
    found = evaluation.evaluate(regression, logits[0, :, 2]) | evaluation.evaluate(classification, y)
    found |= evaluation.evaluate_text(classification, y)
    found |= evaluation.evaluate_unfamiliar(classification, classification)
    found |= predictions.gains(found, found)
    found |= rhat_and_ess(np.zeros((1, 1, 1)))
    return set(found)


def test_all_that_predictions_are_measured_by_is_declared() -> None:
    names = recorded()
    assert {
        "lppd",
        "calibration_error",
        "aurc",
        "perplexity",
        "unfamiliar_auroc",
        "accuracy_gain",
        "rhat_max",
    } <= names
    assert names <= METRICS.keys()


@pytest.mark.parametrize("folder", sorted({path.parents[2] for path in RESULTS.glob("**/metrics.parquet")}))
def test_all_that_the_committed_runs_have_recorded_is_declared(folder: Path) -> None:
    for path in folder.glob("runs/*/metrics.parquet"):
        for name in pq.read_table(path, columns=["metric"])["metric"].unique().to_pylist():
            assert metric(name).name == name


@pytest.mark.parametrize("module", ["smile.quantities", "smile.tracking.statistics", "smile.tables.cli"])
def test_who_looks_after_results_does_not_wait_for_jax(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('jax', 'hydra', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

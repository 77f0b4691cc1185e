"""What is left of a run on a network: its metrics, its history, its figure, and the deep ensemble it started from."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd

from smile import checksum, metrics
from smile.config.run import RunConfig
from smile.data import Dataset
from smile.execute import predictions
from smile.execute.problem import Network
from smile.execute.record import as_rows
from smile.execute.warm_start import WarmStart
from smile.metrics import predictive
from smile.paths import experiment_dir
from smile.sampling import EnsembleResult
from smile.tracking import is_finished, write_bytes_atomic, write_metrics, write_text_atomic
from smile.tracking.figure import Curve, RunFigure
from smile.tracking.parquet import METRICS_FILE

__all__ = [
    "VOCABULARY_FILE",
    "Sampled",
    "best_group",
    "figure",
    "metrics_by_group",
    "record_warm_start",
    "write_history",
    "write_vocabulary",
]

VOCABULARY_FILE = "vocabulary.json"


class Sampled(NamedTuple):
    """The chains of a run.

    Attributes:
        result: of all chains, groups of one step size in a row.
        step_size: (groups,), as given; the mean of the adapted ones where a tuner found them.
        adaptation: steps that each chain took before sampling.
        fall: see ``smile.tuners.Adapted``, (chains,); None where nobody looked.
    """

    result: EnsembleResult
    step_size: np.ndarray
    adaptation: int
    fall: np.ndarray | None = None

    @property
    def work(self) -> np.ndarray:
        """Gradient evaluations of a chain by the end of every chunk, (chunks,)."""
        return (self.result.steps + self.adaptation) * self.result.gradients_per_step

    @property
    def gradient_evaluations(self) -> int:
        """Of a chain, in all."""
        return int(self.work[-1])

    @property
    def final_step_size(self) -> np.ndarray:
        """(groups, chains)."""
        return np.asarray(self.result.state.step_size).reshape(len(self.step_size), -1)


def record_warm_start(
    config: RunConfig, network: Network, warm: WarmStart, accumulators: Any, seconds: float
) -> None:
    """Its metrics lie beside those of the samplers, under its own digest."""
    directory = experiment_dir(config.results_dir, config.experiment, config.scale) / "runs" / warm.digest
    if is_finished(directory):
        return
    values = predictions.evaluate(network, accumulators, 0, 1)
    values |= predictions.gains(values, values)
    table = pd.DataFrame(
        {
            "step_size": math.nan,
            "replication": config.seed,
            "metric": list(values),
            "value": list(values.values()),
        }
    )
    rows = as_rows(config, table, gradient_evaluations=0, seconds=seconds)
    write_metrics(
        directory / METRICS_FILE,
        rows.assign(run_id=warm.digest, sampler="deep_ensemble", tuner="none", variant="", num_steps=0),
    )


def metrics_by_group(network: Network, sampled: Sampled, ensemble: Any) -> dict[str, np.ndarray]:
    """Metric -> (groups,), one for each step size; ``ensemble`` is the accumulators of the deep ensemble."""
    result, groups = sampled.result, len(sampled.step_size)
    warm = predictions.evaluate(network, ensemble, 0, 1)
    rows = []
    for group in range(groups):
        values = predictions.evaluate(network, result.accumulators, group, groups)
        values |= predictions.gains(values, warm)
        values |= predictions.chain_by_chain(network, result.accumulators, group, groups, ensemble)
        values |= metrics.rhat_and_ess(
            np.asarray(predictions.of_group(result.accumulators["trace"], group, groups))
        )
        final = sampled.final_step_size[group]
        values["final_step_size"] = float(np.exp(np.log(final).mean()))
        values["final_step_size_min"], values["final_step_size_max"] = final.min(), final.max()
        if sampled.fall is not None:
            values["adaptation_fall"] = float(np.max(sampled.fall))
        counts = {"num_divergent": result.num_divergent}
        for name in ("num_resets", "num_non_finite"):
            if (count := getattr(result.state.tuner, name, None)) is not None:
                counts[name] = np.asarray(count)
        values |= {name: float(count.reshape(groups, -1)[group].sum()) for name, count in counts.items()}
        rows.append(values)
    found = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    num_rows = network.posterior.num_rows
    epochs = sampled.gradient_evaluations * (network.batch_size or num_rows) / num_rows
    found["gradient_epochs"] = np.full(groups, epochs)
    found["lppd_gain_per_1000_epochs"] = found["lppd_gain"] / epochs * 1000
    return found


def best_group(validation_lppd: np.ndarray) -> int:
    """Of the step size that validation data choose, the first one where all diverged."""
    return int(np.nanargmax(validation_lppd)) if np.isfinite(validation_lppd).any() else 0


def write_vocabulary(run_dir: Path, dataset: Dataset) -> None:
    """Of a run on text: what its draws are generated with."""
    if dataset.vocabulary:
        text = checksum.sealed_json({"characters": dataset.vocabulary})
        write_text_atomic(run_dir / VOCABULARY_FILE, text)


def write_history(run_dir: Path, sampled: Sampled) -> None:
    """``history.parquet``: the LPPD against the steps; chain -1 is the model average of all."""
    result, frames = sampled.result, []
    groups = len(sampled.step_size)
    for split, values in result.history.items():
        chains = values["chain"].reshape(len(result.steps), groups, -1)
        table = np.concatenate([values["ensemble"][..., None], chains], axis=2)
        chunk, group, chain = (index.ravel() for index in np.indices(table.shape))
        frames.append(
            pd.DataFrame(
                {
                    "split": split,
                    "step_size": sampled.step_size[group],
                    "chain": chain - 1,
                    "step": result.steps[chunk],
                    "gradient_evaluations": sampled.work[chunk],
                    "lppd": table.ravel(),
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True).dropna()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_bytes_atomic(run_dir / "history.parquet", buffer.getvalue())


def figure(label: str, network: Network, sampled: Sampled, ensemble: Any, best: int) -> RunFigure:
    """What is drawn of a run.

    Args:
        label: what stands above it.
        network: that was sampled.
        sampled: its chains.
        ensemble: accumulators of the deep ensemble.
        best: number of the step size to stress.
    """
    result, groups = sampled.result, len(sampled.step_size)
    lppd = result.history["test"]["ensemble"]
    work = sampled.work
    kept = np.isnan(lppd).all(axis=1).cumprod() == 0  # not what came before the first draw
    kept |= not kept.any()
    return RunFigure(
        title=label,
        calibration="coverage" if network.dataset.task == "regression" else "reliability",
        curves=[Curve(float(size), work[kept], lppd[kept, g]) for g, size in enumerate(sampled.step_size)],
        best_step_size=float(sampled.step_size[best]),
        ensemble_lppd=float(predictive.lppd(ensemble["test"], jnp.asarray(network.dataset.test.y.ravel()))),
        sampler=predictions.calibration(
            network.dataset, predictions.of_group(result.accumulators["test"], best, groups)
        ),
        ensemble=predictions.calibration(network.dataset, ensemble["test"]),
    )

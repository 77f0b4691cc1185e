"""Runs on networks: warm start, chains from every member, and the model average as it grows.

One run carries a grid of step sizes: each has its own ensemble of chains, all of them start in the same networks and
share one compiled program.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from smile import metrics, random
from smile.build import Network, adapt, make_kernel, make_network, make_tuner
from smile.config import AdaptationConfig, BNNConfig, RunConfig
from smile.data import source
from smile.execute import predictions
from smile.execute.record import as_rows
from smile.execute.warm_start import WarmStart, checkpoints, warm_start
from smile.kernels import smile
from smile.metrics import predictive
from smile.paths import experiment_dir
from smile.runs.progress import Advance, progress
from smile.sampling import Checkpoints, EnsembleResult, Length, sample_ensemble, write_draws
from smile.tracking import is_finished, write_bytes_atomic, write_metrics, write_text_atomic
from smile.tracking.figure import Curve, RunFigure, save_run_figure
from smile.tracking.parquet import METRICS_FILE
from smile.tuners import constant, tuned
from smile.tuners.base import TunedAlgorithm

__all__ = ["VOCABULARY_FILE", "execute_network"]

VOCABULARY_FILE = "vocabulary.json"  # of a run on text: what its draws are generated with


def execute_network(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
    """Samples the posterior of a network and evaluates the model average; the deep ensemble becomes a run of its own.

    Args:
        config: of the run.
        run_dir: existing folder of the run; gets ``history.parquet``, ``figure.{png,pdf}``, checkpoints while it runs
            and, with ``target.draws``, the folder ``draws``.
        label: what the progress display calls the run.

    Returns:
        The rows of the run: one value per step size and metric, whose replication is the seed of the run.
    """
    options = config.target
    assert isinstance(options, BNNConfig)
    start = time.monotonic()
    network = make_network(config)
    rows = network.posterior.num_rows
    batch = options.batch_size or rows
    unit = 1 if options.count == "steps" else max(1, int(rows // batch))
    length = Length(config.num_steps * unit, config.burn_in * unit, config.thinning * unit)
    groups = max(1, len(config.step_size))
    saved = checkpoints(config, run_dir / "checkpoints")
    key_warm, key_adapt, key_sample = jax.random.split(random.key(config.seed), 3)
    with progress(run_dir, label, length.num_steps, groups * config.replications) as advance:
        warm = warm_start(config, network, key_warm, advance)
        ensemble = predictions.one_draw(config, network, warm.positions)
        _record_warm_start(config, network, warm, ensemble, time.monotonic() - start)
        sampled = _sample(
            config,
            network,
            warm,
            groups,
            length,
            unit,
            (key_adapt, key_sample),
            saved,
            advance,
            run_dir,
        )
    adaptation = config.tuner.num_steps if isinstance(config.tuner, AdaptationConfig) else 0
    evaluations = (adaptation + int(sampled.result.steps[-1])) * sampled.result.gradients_per_step
    values = _values(config, network, sampled, ensemble, groups)
    epochs = evaluations * batch / rows
    values["gradient_epochs"] = np.full(groups, epochs)
    values["lppd_gain_per_1000_epochs"] = values["lppd_gain"] / epochs * 1000
    table = pd.DataFrame({"step_size": sampled.step_size, "replication": config.seed, **values})
    _write_history(run_dir, sampled, adaptation)
    save_run_figure(run_dir / "figure", _figure(config, network, sampled, ensemble, adaptation, values))
    if options.draws == "last":
        write_draws(run_dir / "draws", 0, np.asarray(sampled.result.state.kernel.position)[None])
    if network.dataset.vocabulary:
        write_text_atomic(run_dir / VOCABULARY_FILE, json.dumps(network.dataset.vocabulary))
    saved.clear()
    return as_rows(
        config,
        table.melt(["step_size", "replication"], var_name="metric", value_name="value"),
        gradient_evaluations=evaluations,
        seconds=time.monotonic() - start,
    )


def _record_warm_start(
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


# ---- chains --------------------------------------------------------------------------------------


class _Sampled(NamedTuple):
    result: EnsembleResult
    step_size: np.ndarray  # (groups,), as given; the adapted one under tuner=mclmc
    final_step_size: np.ndarray  # (groups, chains)


def _sample(
    config: RunConfig,
    network: Network,
    warm: WarmStart,
    groups: int,
    length: Length,
    unit: int,
    keys: tuple[jax.Array, jax.Array],
    saved: Checkpoints,
    advance: Advance,
    run_dir: Path,
) -> _Sampled:
    options = config.target
    assert isinstance(options, BNNConfig)
    posterior, train = network.posterior, source(network.dataset)
    monitor = predictions.network_monitor(config, network, groups, length)
    positions = jnp.asarray(warm.positions)
    keeps: Callable[[jax.Array], jax.Array] | None = None
    parameters: Any = ()
    algorithm: Callable[[Any], TunedAlgorithm]
    if isinstance(config.tuner, AdaptationConfig):
        advance(0, "adapting L and the step size")
        adapted = adapt(
            config.tuner,
            lambda position: posterior.logdensity(position, train.data),
            positions,
            jax.random.split(keys[0], config.replications),
        )
        parameters, positions, step_size = adapted.L, adapted.position, adapted.step_size
        length = length._replace(num_steps=length.num_steps - length.burn_in, burn_in=0)
        advance(config.burn_in * unit, "adapted")

        def algorithm(momentum_decoherence_length):
            kernel = smile(posterior.logdensity, momentum_decoherence_length=momentum_decoherence_length)
            return tuned(kernel, constant())

        given = np.array([np.mean(step_size)])
    else:
        kernel, tuner = make_kernel(config, unit), make_tuner(config, length.num_steps, unit)
        keeps = tuner.keeps

        def algorithm(parameters):
            return tuned(kernel(posterior.logdensity), tuner)

        given = np.array(config.step_size)
        positions = jnp.tile(positions, (len(given), 1))
        step_size = jnp.repeat(jnp.asarray(given, positions.dtype), config.replications)
    result = sample_ensemble(
        algorithm,
        parameters,
        positions,
        step_size,
        train,
        options.batch_size,
        monitor,
        length,
        key=keys[1],
        chains_at_once=options.chains_at_once,
        keeps=keeps,
        checkpoints=saved,
        on_chunk=advance,
        on_draws=partial(write_draws, run_dir / "draws") if options.draws == "stream" else None,
    )
    final = np.asarray(result.state.step_size).reshape(len(given), -1)
    return _Sampled(result, given, final)


# ---- numbers -------------------------------------------------------------------------------------


def _values(
    config: RunConfig, network: Network, sampled: _Sampled, ensemble: Any, groups: int
) -> dict[str, np.ndarray]:
    """Metric -> (groups,)."""
    result = sampled.result
    warm = predictions.evaluate(network, ensemble, 0, 1)
    rows = []
    for group in range(groups):
        values = predictions.evaluate(network, result.accumulators, group, groups)
        values |= predictions.gains(values, warm)
        values |= metrics.rhat_and_ess(
            np.asarray(predictions.of_group(result.accumulators["trace"], group, groups))
        )
        final = sampled.final_step_size[group]
        values["final_step_size"] = float(np.exp(np.log(final).mean()))
        values["final_step_size_min"], values["final_step_size_max"] = final.min(), final.max()
        counts = {"num_divergent": result.num_divergent}
        for name in ("num_resets", "num_non_finite"):
            if (count := getattr(result.state.tuner, name, None)) is not None:
                counts[name] = np.asarray(count)
        values |= {name: float(count.reshape(groups, -1)[group].sum()) for name, count in counts.items()}
        rows.append(values)
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def _write_history(run_dir: Path, sampled: _Sampled, adaptation: int) -> None:
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
                    "gradient_evaluations": (result.steps[chunk] + adaptation) * result.gradients_per_step,
                    "lppd": table.ravel(),
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True).dropna()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_bytes_atomic(run_dir / "history.parquet", buffer.getvalue())


def _figure(
    config: RunConfig,
    network: Network,
    sampled: _Sampled,
    ensemble: Any,
    adaptation: int,
    values: dict[str, np.ndarray],
) -> RunFigure:
    result, groups = sampled.result, len(sampled.step_size)
    lppd = result.history["test"]["ensemble"]
    work = (result.steps + adaptation) * result.gradients_per_step
    kept = (
        np.arange(len(work)) >= np.isnan(lppd).all(axis=1).cumprod().sum()
    )  # not what came before the first draw
    kept |= not kept.any()
    chosen_by = values["validation_lppd"]
    best = int(np.nanargmax(chosen_by)) if np.isfinite(chosen_by).any() else 0
    return RunFigure(
        title=config.label,
        calibration="coverage" if network.dataset.task == "regression" else "reliability",
        curves=[Curve(float(size), work[kept], lppd[kept, g]) for g, size in enumerate(sampled.step_size)],
        best_step_size=float(sampled.step_size[best]),
        ensemble_lppd=float(predictive.lppd(ensemble["test"], jnp.asarray(network.dataset.test.y.ravel()))),
        sampler=predictions.calibration(
            network.dataset, predictions.of_group(result.accumulators["test"], best, groups)
        ),
        ensemble=predictions.calibration(network.dataset, ensemble["test"]),
    )

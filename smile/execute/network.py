"""Runs on networks: warm start, chains from every member, and the model average as it grows.

One run carries a grid of step sizes: each has its own ensemble of chains, all of them start in the same networks and
share one compiled program.
"""

from __future__ import annotations

import hashlib
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
from filelock import FileLock

from smile import metrics, random
from smile.build import Network, adapt, make_kernel, make_network, make_optimiser, make_tuner
from smile.config import AdaptationConfig, BNNConfig, RunConfig, identify
from smile.data import Dataset, Split, flip_crop_resize, source
from smile.execute.record import as_rows
from smile.kernels import smile
from smile.metrics import predictive
from smile.paths import experiment_dir
from smile.sampling import (
    Checkpoints,
    EnsembleResult,
    Length,
    Monitor,
    sample_ensemble,
    train_ensemble,
    write_draws,
)
from smile.sampling.devices import map_chains, over_rows
from smile.targets import NetworkPosterior
from smile.tracking import console, write_bytes_atomic, write_metrics
from smile.tracking.console import Advance
from smile.tracking.figure import Calibration, Curve, RunFigure, save_run_figure
from smile.tracking.parquet import METRICS_FILE
from smile.tuners import constant, tuned
from smile.tuners.base import TunedAlgorithm

__all__ = ["execute_network", "make_monitor"]

# Of how many test rows, and of at most how many draws, the predictions are kept for R-hat and ESS.
_TRACED_ROWS = 32
_TRACED_DRAWS = 500

_SPLITS = ("validation", "test")
_PARTS = (*_SPLITS, "unfamiliar")


class WarmStart(NamedTuple):
    """The deep ensemble.

    Attributes:
        positions: (chains, dim), float32.
        digest: of everything that determines them.
    """

    positions: np.ndarray
    digest: str


def execute_network(config: RunConfig, run_dir: Path, label: str) -> pd.DataFrame:
    """Samples the posterior of a network and evaluates the model average; the deep ensemble becomes a run of its own.

    Args:
        config: of the run.
        run_dir: existing folder of the run; gets ``history.parquet``, ``figure.{png,pdf}``, checkpoints while it runs
            and, with ``target.draws=stream``, the folder ``draws``.
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
    checkpoints = _checkpoints(config, run_dir / "checkpoints")
    key_warm, key_adapt, key_sample = jax.random.split(random.key(config.seed), 3)
    with console.progress(run_dir, label, length.num_steps, groups * config.replications) as advance:
        warm = _warm_start(config, network, key_warm, advance)
        ensemble = _evaluate_warm_start(config, network, warm)
        _record_warm_start(config, network, warm, ensemble, time.monotonic() - start)
        sampled = _sample(
            config,
            network,
            warm,
            groups,
            length,
            unit,
            (key_adapt, key_sample),
            checkpoints,
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
        positions = np.asarray(sampled.result.state.kernel.position)
        write_draws(run_dir / "draws", 0, positions[None])
    checkpoints.clear()
    return as_rows(
        config,
        table.melt(["step_size", "replication"], var_name="metric", value_name="value"),
        gradient_evaluations=evaluations,
        seconds=time.monotonic() - start,
    )


# ---- warm start ----------------------------------------------------------------------------------


def _warm_start(config: RunConfig, network: Network, key: jax.Array, advance: Advance) -> WarmStart:
    """From the cache, or trained while other processes that want the same ensemble wait."""
    digest = _warm_start_digest(config)
    path = Path(config.results_dir) / "warm_starts" / f"{digest}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            checkpoints = _checkpoints(config, path.with_suffix(".checkpoints"))
            positions, trained = _train(config, network, key, checkpoints, advance)
            buffer = io.BytesIO()
            np.savez(buffer, positions=positions, allow_pickle=False, **trained)
            write_bytes_atomic(path, buffer.getvalue())
            checkpoints.clear()
        with np.load(path, allow_pickle=False) as file:
            return WarmStart(file["positions"], digest)


def _checkpoints(config: RunConfig, directory: Path) -> Checkpoints:
    assert isinstance(config.target, BNNConfig)
    return Checkpoints(directory, 60 * config.target.checkpoint_minutes)


def _warm_start_digest(config: RunConfig) -> str:
    identity = identify(config)
    names = ("data", "model", "warm_start", "replications", "seed", "precision")
    chosen = {name: identity[name] for name in names} | {"likelihood": identity["target"]["likelihood"]}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]


def _train(
    config: RunConfig, network: Network, key: jax.Array, checkpoints: Checkpoints, advance: Advance
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Positions (chains, dim), and what training reached by member."""
    options, posterior, dataset, target = config.warm_start, network.posterior, network.dataset, config.target
    assert options is not None and isinstance(target, BNNConfig)
    likelihood, train = posterior.likelihood, source(dataset)
    validation = (jnp.asarray(dataset.validation.x), jnp.asarray(dataset.validation.y))
    example = jnp.asarray(dataset.test.x[:2])

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        prediction = likelihood.predict(network.model.apply(params, x), jnp.zeros(()))
        return -jnp.mean(likelihood.log_prob(prediction, y))

    def validation_loss(params: Any, validation: Any) -> jax.Array:
        x, y = validation
        outputs = over_rows(partial(network.model.apply, params), x, target.rows_at_once)
        return -jnp.mean(likelihood.log_prob(likelihood.predict(outputs, jnp.zeros(())), y))

    def augment(key: jax.Array, batch: Any) -> Any:
        x, y = batch
        return flip_crop_resize(key, x), y

    trained = train_ensemble(
        lambda key: network.model.init(key, example),
        loss,
        validation_loss,
        make_optimiser(options, train.steps_per_epoch(min(options.batch_size, train.num_choices))),
        train,
        validation,
        members=config.replications,
        key=key,
        batch_size=options.batch_size,
        max_epochs=options.max_epochs,
        patience=options.patience,
        augment=augment if options.augmentation == "flip_crop_resize" else None,
        chains_at_once=target.chains_at_once,
        checkpoints=checkpoints,
        on_epoch=lambda epoch: advance(0, f"warm start, epoch {epoch} of at most {options.max_epochs}"),
    )

    def position(params: Any) -> jax.Array:
        log_sd = jnp.zeros(())
        if likelihood.has_log_sd:
            # The residuals of rows that the network has not seen: those it was trained on would be too small.
            mean = posterior.predict(posterior.join(params, log_sd), validation[0])[0]
            log_sd = 0.5 * jnp.log(jnp.mean((mean - validation[1]) ** 2))
        return posterior.join(params, log_sd)

    facts = {name: getattr(trained, name) for name in ("validation_loss", "best_epoch", "num_epochs")}
    return np.asarray(jax.jit(jax.vmap(position))(trained.params)), facts


def _evaluate_warm_start(config: RunConfig, network: Network, warm: WarmStart) -> Any:
    """The deep ensemble as a model average of one draw per member."""
    monitor = _make_monitor(config, network, 1, Length(1, 0, 1))
    accumulators = monitor.init(len(warm.positions))
    return jax.jit(monitor.update)(accumulators, jnp.asarray(warm.positions), monitor.data)


def _record_warm_start(
    config: RunConfig, network: Network, warm: WarmStart, accumulators: Any, seconds: float
) -> None:
    """Its metrics lie beside those of the samplers, under its own digest."""
    directory = experiment_dir(config.results_dir, config.experiment, config.scale) / "runs" / warm.digest
    if (directory / METRICS_FILE).exists():
        return
    values = _predictive_values(network, accumulators, 0, 1)
    values |= _gains(values, values)
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
    checkpoints: Checkpoints,
    advance: Advance,
    run_dir: Path,
) -> _Sampled:
    options = config.target
    assert isinstance(options, BNNConfig)
    posterior, train = network.posterior, source(network.dataset)
    monitor = _make_monitor(config, network, groups, length)
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
        checkpoints=checkpoints,
        on_chunk=advance,
        on_draws=partial(write_draws, run_dir / "draws") if options.draws == "stream" else None,
    )
    final = np.asarray(result.state.step_size).reshape(len(given), -1)
    return _Sampled(result, given, final)


def _make_monitor(config: RunConfig, network: Network, groups: int, length: Length) -> Monitor:
    options = config.target
    assert isinstance(options, BNNConfig)
    return make_monitor(
        network.dataset, network.posterior, groups, length, options.chains_at_once, options.rows_at_once
    )


def make_monitor(
    dataset: Dataset,
    posterior: NetworkPosterior,
    groups: int,
    length: Length,
    chains_at_once: int | None = None,
    rows_at_once: int | None = None,
) -> Monitor:
    """Accumulates predictive distributions on the validation and test rows, and traces a few predictions.

    Args:
        dataset: whose rows are predicted; of text, every token is one.
        posterior: whose chains run.
        groups: how many ensembles, of equally many chains in a row, are averaged apart.
        length: of the chains, for the number of draws to trace.
        chains_at_once: whose predictions are computed together; None: all.
        rows_at_once: how many rows (of text: windows) of a part are predicted together; None: all.
    """
    parts = {name: part for name in _PARTS if (part := getattr(dataset, name)) is not None}
    data = {name: (jnp.asarray(part.x), jnp.asarray(part.y)) for name, part in parts.items()}
    is_regression = dataset.task == "regression"
    num_draws = max(1, (length.num_steps - length.burn_in) // length.thinning)
    every = -(-num_draws // _TRACED_DRAWS)
    traced_rows = np.unique(np.linspace(0, dataset.test.y.size - 1, _TRACED_ROWS).astype(int))

    def init(chains: int) -> Any:
        def empty(part: Split) -> Any:
            if is_regression:
                return predictive.init_regression(chains, part.y.size)
            return predictive.init_classification(chains, part.y.size, dataset.num_classes)

        trace = jnp.full((chains, -(-num_draws // every), len(traced_rows)), jnp.nan)
        return {name: empty(part) for name, part in parts.items()} | {"trace": trace}

    def predict(positions: jax.Array, x: jax.Array) -> Any:
        """(chains, rows) or, of classes, (chains, rows, classes)."""

        def one(position: jax.Array) -> Any:
            prediction = over_rows(partial(posterior.predict, position), x, rows_at_once)
            if is_regression:
                return prediction
            return prediction.reshape(-1, prediction.shape[-1])

        return map_chains(one, chains_at_once)(positions)

    def update(accumulators: Any, positions: jax.Array, data: Any) -> Any:
        new: dict[str, Any] = {}
        for name, (x, y) in data.items():
            prediction = predict(positions, x)
            if is_regression:
                mean, log_sd = prediction
                new[name] = predictive.update_regression(accumulators[name], mean, log_sd, y)
                shown = mean
            else:
                new[name] = predictive.update_classification(accumulators[name], prediction)
                shown = prediction
            if name == "test":
                shown = shown[:, traced_rows]
                traced = shown if is_regression else jax.nn.log_softmax(shown)[..., 0]
        index = accumulators["test"].num_draws // every
        new["trace"] = jax.lax.dynamic_update_index_in_dim(accumulators["trace"], traced, index, 1)
        return new

    def read(accumulators: Any) -> Any:
        values = {}
        for split in _SPLITS:
            state, y = accumulators[split], data[split][1].ravel()
            ensembles = [predictive.lppd(_group(state, g, groups), y) for g in range(groups)]
            values[split] = {"ensemble": jnp.stack(ensembles), "chain": predictive.chain_lppd(state, y)}
        has_draws = accumulators["test"].num_draws > 0
        return jax.tree.map(lambda value: jnp.where(has_draws, value, jnp.nan), values)

    return Monitor(init, update, read, data)


def _group(accumulators: Any, group: int, groups: int) -> Any:
    """The chains of one step size."""

    def part(leaf: Any) -> Any:
        size = leaf.shape[0] // groups if leaf.ndim else 0
        return leaf[group * size : (group + 1) * size] if leaf.ndim else leaf

    return jax.tree.map(part, accumulators)


# ---- numbers -------------------------------------------------------------------------------------


def _predictive_values(network: Network, accumulators: Any, group: int, groups: int) -> dict[str, float]:
    """All metrics of one model average, on the test rows and, with a prefix, on the validation rows."""
    values: dict[str, float] = {}
    dataset = network.dataset
    states = {name: _group(accumulators[name], group, groups) for name in _PARTS if name in accumulators}
    for split in _SPLITS:
        y = getattr(dataset, split).y.ravel()
        if dataset.task == "language":
            found = predictive.evaluate_text(states[split], y)
        else:
            found = predictive.evaluate(states[split], y, y_scale=dataset.y_scale)
        values |= {("" if split == "test" else f"{split}_") + name: value for name, value in found.items()}
    if "unfamiliar" in states:
        values |= predictive.evaluate_unfamiliar(states["test"], states["unfamiliar"])
    return values


def _values(
    config: RunConfig, network: Network, sampled: _Sampled, ensemble: Any, groups: int
) -> dict[str, np.ndarray]:
    """Metric -> (groups,)."""
    result = sampled.result
    warm = _predictive_values(network, ensemble, 0, 1)
    rows = []
    for group in range(groups):
        values = _predictive_values(network, result.accumulators, group, groups)
        values |= _gains(values, warm)
        values |= metrics.rhat_and_ess(np.asarray(_group(result.accumulators["trace"], group, groups)))
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


def _gains(values: dict[str, float], warm: dict[str, float]) -> dict[str, float]:
    """What a model average is better by than the deep ensemble in which its chains started."""
    gains = {"lppd_gain": values["lppd"] - warm["lppd"]}
    if "accuracy" in values:
        gains["accuracy_gain"] = values["accuracy"] - warm["accuracy"]
    if "perplexity" in values:
        gains["perplexity_improvement"] = warm["perplexity"] - values["perplexity"]
    return gains


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
    test = network.dataset.test

    def calibration(state: Any) -> Calibration:
        if network.dataset.task == "regression":
            return Calibration(*predictive.coverage_curve(state))
        bins = predictive.reliability(state, test.y.ravel())
        return Calibration(bins.confidence, bins.accuracy)

    return RunFigure(
        title=config.label,
        calibration="coverage" if network.dataset.task == "regression" else "reliability",
        curves=[Curve(float(size), work[kept], lppd[kept, g]) for g, size in enumerate(sampled.step_size)],
        best_step_size=float(sampled.step_size[best]),
        ensemble_lppd=float(predictive.lppd(ensemble["test"], jnp.asarray(test.y.ravel()))),
        sampler=calibration(_group(result.accumulators["test"], best, groups)),
        ensemble=calibration(ensemble["test"]),
    )

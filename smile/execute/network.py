"""Runs on networks: warm start, chains from every member, and the model average as it grows.

One run carries a grid of step sizes: each has its own ensemble of chains, all of them start in the same networks and
share one compiled program.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from smile import random
from smile.config.run import NetworkChoices, RunConfig
from smile.data import source
from smile.execute import posterior, predictions, results
from smile.execute.live import Live, timed
from smile.execute.problem import Network, adapt, algorithm_of, make_network, subsampling_of
from smile.execute.record import as_rows
from smile.execute.results import Sampled
from smile.execute.warm_start import checkpoints, warm_start
from smile.extras import is_installed
from smile.runs import status
from smile.runs.progress import Advance, progress
from smile.sampling import (
    Batches,
    Chains,
    Checkpoints,
    DrawFiles,
    DrawKeeper,
    Length,
    adapt_ensemble,
    sample_ensemble,
    write_draws,
)  # fmt: skip
from smile.tracking.figure import save_run_figure
from smile.tracking.tracker import Trackers
from smile.tuners import Adapted, AdaptingTuner

__all__ = ["adapt_chains", "execute_network", "sample_chains"]

_logger = logging.getLogger(__name__)


def execute_network(config: RunConfig, run_dir: Path, label: str, trackers: Trackers) -> pd.DataFrame:
    """Samples the posterior of a network and evaluates the model average; the deep ensemble becomes a run of its own.

    Args:
        run_dir: existing folder of the run; gets ``history.parquet``, ``figure.{png,pdf}``, of a table
            ``posterior.smile``, checkpoints and thinned draws while it runs and, with ``target.draws``, the folder
            ``draws``.
        label: what the progress display calls the run.
        trackers: that follow it.

    Returns:
        The rows of the run: one value per step size and metric, whose replication is the seed of the run.
    """
    chosen = config.network
    assert chosen is not None
    attempts = status.read(run_dir)  # a run in slices takes as long as all of them together
    start = time.monotonic() - (attempts.spent if attempts else 0.0)
    network = make_network(chosen, config.seed)
    unit = _steps_per_unit(chosen, network)
    saved, adapted_saved = (
        checkpoints(chosen.target, run_dir / name) for name in ("checkpoints", "adaptation_checkpoints")
    )
    key_warm, *keys = jax.random.split(random.key(config.seed), 3)
    chains = max(1, len(config.step_size)) * config.replications
    thinned = posterior.thinned_draws(config, network, run_dir)
    (run_dir / posterior.POSTERIOR_FILE).unlink(missing_ok=True)  # of a run that is repeated
    streamed = DrawFiles(run_dir / "draws") if chosen.target.draws == "stream" else None
    keepers = [files for files in (thinned, streamed) if files is not None]
    with progress(run_dir, label, config.num_steps * unit, chains) as advance:
        warm = warm_start(config, network, key_warm, advance)
        ensemble = predictions.one_draw(chosen.target, network, warm.positions)
        results.record_warm_start(config, network, warm, ensemble, time.monotonic() - start)
        starts = adapt_chains(config, network, jnp.asarray(warm.positions), keys[0], adapted_saved, advance)
        live = partial(Live, trackers) if trackers and not config.distributed else None
        told = timed(advance, trackers, chains)
        sampled = sample_chains(config, network, starts, keys[1], told, saved, keepers, live)
    values = results.metrics_by_group(network, sampled, ensemble)
    table = pd.DataFrame({"step_size": sampled.step_size, "replication": config.seed, **values})
    results.write_history(run_dir, sampled)
    best = results.best_group(values["validation_lppd"])
    figure = results.figure(config.label, network, sampled, ensemble, best)
    if is_installed("matplotlib"):  # whose absence the command has told
        save_run_figure(run_dir / "figure", figure)
    if thinned is not None:
        metrics = {name: float(value[best]) for name, value in values.items()}
        warm_metrics = predictions.evaluate(network, ensemble, 0, 1)
        kept = posterior.Chosen(best, sampled.step_size, metrics, warm_metrics, figure)
        posterior.write_posterior_of_run(run_dir, config, network, thinned, kept)
    if chosen.target.draws == "last":
        write_draws(run_dir / "draws", 0, np.asarray(sampled.result.state.kernel.position)[None])
    results.write_vocabulary(run_dir, network.dataset)
    saved.clear()
    adapted_saved.clear()
    if thinned is not None:
        thinned.clear()
    return as_rows(
        config,
        table.melt(["step_size", "replication"], var_name="metric", value_name="value"),
        gradient_evaluations=sampled.gradient_evaluations,
        seconds=time.monotonic() - start,
    )


def _steps_per_unit(chosen: NetworkChoices, network: Network) -> int:
    """Steps of one unit of num_steps, burn_in, thinning and freeze_after."""
    match chosen.target.count:
        case "steps":
            return 1
        case "epochs":
            rows = network.posterior.num_rows
            return max(1, int(rows // (network.batch_size or rows)))
        case never:
            assert_never(never)


class Starts(NamedTuple):
    """Where chains start.

    Attributes:
        adapted: parameters, step size and position of every chain.
        steps: that each chain took to adapt; they stand in place of the burn-in.
    """

    adapted: Adapted
    steps: int


def adapt_chains(
    config: RunConfig,
    network: Network,
    positions: jax.Array,
    key: jax.Array,
    saved: Checkpoints | None,
    advance: Advance,
) -> Starts:
    """Lets a tuner that works before sampling do so, from ``positions`` (replications, dim).

    Its steps stand in place of the burn-in, and are shown as so much of it.
    """
    chosen, tuner = config.network, config.tuner
    assert chosen is not None
    logdensity, data = network.posterior.logdensity, source(network.dataset).data
    keys = jax.random.split(key, config.replications)
    if not isinstance(tuner, AdaptingTuner):
        return Starts(*adapt(config, lambda position: logdensity(position, data), positions, keys))
    burn_in = config.burn_in * _steps_per_unit(chosen, network)
    if adaptation := tuner.stepwise(logdensity):
        done = 0

        def on_chunk(num_steps: int) -> None:
            nonlocal done
            shown = [burn_in * steps // tuner.num_steps for steps in (done, done + num_steps)]
            done += num_steps
            advance(shown[1] - shown[0])

        at_once = chosen.target.chains_at_once
        adapted = adapt_ensemble(
            adaptation, positions, keys, data, at_once=at_once, checkpoints=saved, on_chunk=on_chunk
        )
        depths = ", ".join(f"{fall:.2g}" for fall in np.asarray(adapted.fall))
        _logger.info(
            "log density below that of the warm start while adapting, per dimension, by chain: %s", depths
        )
        return Starts(adapted, tuner.num_steps)
    advance(0, "adapting L and the step size")
    starts = Starts(*adapt(config, lambda position: logdensity(position, data), positions, keys))
    advance(burn_in, "adapted")
    return starts


def sample_chains(
    config: RunConfig,
    network: Network,
    starts: Starts,
    key: jax.Array,
    advance: Advance,
    saved: Checkpoints | None = None,
    keepers: Sequence[DrawKeeper] = (),
    live: Callable[[np.ndarray], Live] | None = None,
) -> Sampled:
    """The chains of all step sizes, whose kept draws go to all ``keepers``; what ``live`` makes of the step sizes is
    told of the chains while they run.
    """
    chosen, adapted = config.network, starts.adapted
    assert chosen is not None
    unit, options = _steps_per_unit(chosen, network), chosen.target
    length = Length(config.num_steps * unit, config.burn_in * unit, config.thinning * unit)
    given = np.array(config.step_size) if config.step_size else np.array([np.mean(adapted.step_size)])
    if starts.steps:
        length = length._replace(num_steps=length.num_steps - length.burn_in, burn_in=0)
    subsampling = subsampling_of(network.posterior, network.batch_size)
    algorithm = algorithm_of(
        config,
        network.posterior.logdensity,
        length.num_steps,
        unit,
        subsampling,
        adapted.position.shape[1],
    )
    length = length._replace(keeps=algorithm.keeps)
    monitor = predictions.network_monitor(options, network, len(given), length)

    def write(chunk: int, draws: np.ndarray) -> None:
        for keeper in keepers:
            keeper.write(chunk, draws)

    def has(counts: Sequence[int]) -> bool:
        return all(keeper.has(counts) for keeper in keepers)

    result = sample_ensemble(
        Chains(
            algorithm.of,
            adapted.position,
            jnp.asarray(adapted.step_size, adapted.position.dtype),
            adapted.parameters,
            options.chains_at_once,
        ),
        Batches(source(network.dataset), network.batch_size),
        monitor,
        length,
        key=key,
        checkpoints=saved,
        on_chunk=advance,
        on_draws=write if keepers else None,
        has_draws=has if keepers else None,
        on_look=live and live(given),
    )
    fall = None if adapted.fall is None else np.asarray(adapted.fall)
    return Sampled(result, given, starts.steps, fall)

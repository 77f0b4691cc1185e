"""What chains predict: the model average as it grows, its metrics, and the figure of a run."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smile.data import Dataset, Split
from smile.execute.problem import Network
from smile.metrics import evaluation, predictive
from smile.sampling import Length, Monitor
from smile.sampling.devices import map_chains, over_rows
from smile.targets import NetworkPosterior, NetworkTarget
from smile.tracking.figure import Calibration

__all__ = [
    "calibration",
    "chain_by_chain",
    "evaluate",
    "gains",
    "make_monitor",
    "network_monitor",
    "of_group",
    "one_draw",
]

# Of how many test rows, and of at most how many draws, the predictions are kept for R-hat and ESS.
_TRACED_ROWS = 32
_TRACED_DRAWS = 500

# A chain has strayed where its error is more than so many times that of the network in which it started.
_STRAYED = 1.5

_SPLITS = ("validation", "test")
_PARTS = (*_SPLITS, "unfamiliar")


def network_monitor(options: NetworkTarget, network: Network, groups: int, length: Length) -> Monitor:
    """``make_monitor`` with the work divided as the options say."""
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
    """Accumulates predictive distributions on the validation and test rows, traces a few predictions, watches weights.

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
    num_draws = max(1, int(length.kept().sum()))
    every = -(-num_draws // _TRACED_DRAWS)
    traced_rows = np.unique(np.linspace(0, dataset.test.y.size - 1, _TRACED_ROWS).astype(int))

    def init(chains: int) -> Any:
        def empty(part: Split) -> Any:
            if is_regression:
                return predictive.init_regression(chains, part.y.size)
            return predictive.init_classification(chains, part.y.size, dataset.num_classes)

        trace = jnp.full((chains, -(-num_draws // every), len(traced_rows)), jnp.nan)
        accumulators = {name: empty(part) for name, part in parts.items()}
        return accumulators | {"trace": trace, "largest_weight": jnp.zeros(chains)}

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
        new["largest_weight"] = jnp.maximum(accumulators["largest_weight"], jnp.abs(positions).max(axis=1))
        return new

    def read(accumulators: Any) -> Any:
        values = {}
        for split in _SPLITS:
            state, y = accumulators[split], data[split][1].ravel()
            ensembles = [predictive.lppd(of_group(state, g, groups), y) for g in range(groups)]
            values[split] = {"ensemble": jnp.stack(ensembles), "chain": predictive.chain_lppd(state, y)}
        has_draws = accumulators["test"].num_draws > 0
        return jax.tree.map(lambda value: jnp.where(has_draws, value, jnp.nan), values)

    return Monitor(init, update, read, data)


def of_group(accumulators: Any, group: int, groups: int) -> Any:
    """The chains of one step size."""

    def part(leaf: Any) -> Any:
        size = leaf.shape[0] // groups if leaf.ndim else 0
        return leaf[group * size : (group + 1) * size] if leaf.ndim else leaf

    return jax.tree.map(part, accumulators)


def one_draw(options: NetworkTarget, network: Network, positions: np.ndarray) -> Any:
    """The accumulators of a model average of one draw per chain, such as the deep ensemble."""
    monitor = network_monitor(options, network, 1, Length(1, 0, 1))
    accumulators = monitor.init(len(positions))
    return jax.jit(monitor.update)(accumulators, jnp.asarray(positions), monitor.data)


def evaluate(network: Network, accumulators: Any, group: int, groups: int) -> dict[str, float]:
    """All metrics of one model average, on the test rows and, with a prefix, on the validation rows."""
    values: dict[str, float] = {}
    dataset = network.dataset
    states = {name: of_group(accumulators[name], group, groups) for name in _PARTS if name in accumulators}
    for split in _SPLITS:
        y = getattr(dataset, split).y.ravel()
        if dataset.task == "language":
            found = evaluation.evaluate_text(states[split], y)
        else:
            found = evaluation.evaluate(states[split], y, y_scale=dataset.y_scale)
        values |= {("" if split == "test" else f"{split}_") + name: value for name, value in found.items()}
    if "unfamiliar" in states:
        values |= evaluation.evaluate_unfamiliar(states["test"], states["unfamiliar"])
    return values


def chain_by_chain(
    network: Network, accumulators: Any, group: int, groups: int, warm: Any
) -> dict[str, float]:
    """What the model average hides: the chains one by one, beside the networks in which they started.

    Args:
        network: whose test rows are predicted.
        accumulators: of all chains.
        group: whose chains are meant.
        groups: how many there are.
        warm: accumulators of the deep ensemble, whose members are the starts of the chains.
    """
    y = jnp.asarray(network.dataset.test.y.ravel())
    state = of_group(accumulators["test"], group, groups)
    alone = np.asarray(predictive.chain_lppd(state, y))
    error, error_at_start = (np.asarray(predictive.chain_error(s, y)) for s in (state, warm["test"]))
    return {
        "chain_lppd_min": float(alone.min()),
        "chain_lppd_median": float(np.median(alone)),
        "num_strayed": float(np.sum(~(error <= _STRAYED * error_at_start))),
        "largest_weight": float(np.max(of_group(accumulators["largest_weight"], group, groups))),
    }


def gains(values: dict[str, float], warm: dict[str, float]) -> dict[str, float]:
    """What a model average is better by than the deep ensemble in which its chains started."""
    found = {"lppd_gain": values["lppd"] - warm["lppd"]}
    if "accuracy" in values:
        found["accuracy_gain"] = values["accuracy"] - warm["accuracy"]
    if "perplexity" in values:
        found["perplexity_improvement"] = warm["perplexity"] - values["perplexity"]
    return found


def calibration(dataset: Dataset, state: Any) -> Calibration:
    """The coverage curve or the reliability diagram of a model average on the test rows."""
    if dataset.task == "regression":
        return Calibration(*evaluation.coverage_curve(state))
    bins = evaluation.reliability(state, dataset.test.y.ravel())
    return Calibration(bins.confidence, bins.accuracy)

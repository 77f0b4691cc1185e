"""``posterior.smile``: one file that holds the draws of a network and all that new rows need, and who writes it.

``smile.api.saved`` reads it. Runs on tables write one, and so does ``Fit.save``.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import smile
from smile.config.identity import run_id
from smile.config.run import RunConfig
from smile.data import Dataset, Units
from smile.execute.problem import Network
from smile.models import ModelOptions
from smile.sampling import DrawFiles, thinning_to
from smile.targets import NetworkPosterior
from smile.targets.bnn import LIKELIHOODS
from smile.tracking.archive import Archive, write_archive
from smile.tracking.figure import RunFigure

__all__ = [
    "KIND", "POSTERIOR_FILE", "VERSION", "Chosen", "Saved", "leaves", "model_facts", "thinned_draws",
    "write_posterior", "write_posterior_of_run",
]  # fmt: skip

_logger = logging.getLogger(__name__)

POSTERIOR_FILE = "posterior.smile"
KIND, VERSION = "posterior", 1

_MEGABYTE = 1_000_000


class Saved(NamedTuple):
    """What is in the file.

    Attributes:
        draws: (chains, draws, dim), in the order in which chains made them.
        units: of x.
        inputs: what x is: columns, shape of a row, what was done about missing cells, whether columns have names.
        task: regression or classification.
        classes: their labels.
        y_mean: of the training rows, in the unit of y; 0 for classes.
        y_scale: their standard deviation; 1 for classes.
        likelihood: homoscedastic, heteroscedastic or categorical.
        posterior: of the network.
        network: of what another process makes the network.
        options: of the run or the fit.
        metrics: of the rows held out, and ``deep_ensemble`` the same of the networks in which the chains started.
        rows: how many were trained on, validated with and tested on.
        sampler: what ran, in words.
        figure: of the run.
    """

    draws: np.ndarray
    units: Units
    inputs: Mapping[str, Any]
    task: str
    classes: tuple[Any, ...]
    y_mean: float
    y_scale: float
    likelihood: str
    posterior: NetworkPosterior
    network: Mapping[str, Any]
    options: Mapping[str, Any]
    metrics: Mapping[str, float]
    deep_ensemble: Mapping[str, float]
    rows: tuple[int, int, int]
    sampler: str
    figure: RunFigure


def write_posterior(path: Path, saved: Saved) -> None:
    """Writes the file, whole or not at all."""
    facts = {
        "smile": smile.__version__,
        **{
            name: getattr(saved, name)
            for name in ("inputs", "task", "classes", "y_mean", "y_scale", "likelihood", "network", "options")
        },
        "leaves": leaves(saved.posterior),
        "summary": {
            name: getattr(saved, name) for name in ("metrics", "deep_ensemble", "rows", "sampler")
        },
        "figure": {
            **saved.figure._asdict(), "curves": [curve._asdict() for curve in saved.figure.curves],
        },
    }  # fmt: skip
    arrays = {"draws": saved.draws, **{f"units_{k}": np.asarray(v) for k, v in saved.units._asdict().items()}}
    write_archive(path, KIND, VERSION, Archive(_plain(facts), arrays))


def leaves(posterior: NetworkPosterior) -> list[list[Any]]:
    """Names and shapes of the parameters, in the order in which a draw has them."""
    tree = jax.eval_shape(lambda position: posterior.split(position)[0], jnp.zeros(posterior.dim))
    return [
        [jax.tree_util.keystr(path, simple=True, separator="."), list(leaf.shape)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def model_facts(options: ModelOptions) -> dict[str, Any]:
    """Of what another process makes a network of ``smile.models``, or one that a user or a package added."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {"kind": "options", "name": values.pop("name"), "options": values}


def _plain(value: Any) -> Any:
    """As JSON has it, which has no NaN: those are words, which ``float`` reads."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# ---- of runs -------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """What a run says of the step size whose chains are kept.

    Attributes:
        group: its number.
        step_size: of all groups, (groups,).
        metrics: of the rows held out.
        deep_ensemble: the same of the networks in which the chains started.
        figure: of the run.
    """

    group: int
    step_size: np.ndarray
    metrics: Mapping[str, float]
    deep_ensemble: Mapping[str, float]
    figure: RunFigure


def thinned_draws(config: RunConfig, network: Network, run_dir: Path) -> DrawFiles | None:
    """Files for the draws of all step sizes, thinned to what one of them may take; None: a run that keeps none.

    Why a run cannot keep a posterior is logged in one line.
    """
    assert config.network is not None
    options, name = config.network.target, config.network.data.name
    if options.draws == "none":
        return None
    if reason := _why_none(network.dataset):
        _logger.info("no %s: data=%s %s, and only tables have one", POSTERIOR_FILE, name, reason)
        return None
    draw_bytes = network.posterior.dim * np.dtype(config.precision).itemsize
    most = int(options.posterior_megabytes * _MEGABYTE / draw_bytes)
    draws_per_chain = (config.num_steps - config.burn_in) // config.thinning
    return DrawFiles(
        run_dir / "thinned_draws", max(1, thinning_to(most, draws_per_chain, config.replications))
    )


def write_posterior_of_run(
    run_dir: Path, config: RunConfig, network: Network, files: DrawFiles, chosen: Chosen
) -> None:
    """Writes the draws of one step size, where there are any."""
    draws = files.load()
    if draws is None:
        _logger.info("no %s: no draw was kept", POSTERIOR_FILE)
        return
    chains, groups = config.replications, len(chosen.step_size)
    draws = np.ascontiguousarray(draws[chosen.group * chains : (chosen.group + 1) * chains])
    size = float(chosen.step_size[chosen.group])
    choice = f"the best of {groups} by the LPPD on validation data" if groups > 1 else "the only one"
    if groups > 1:
        _logger.info("%s: the chains of step size %.3g, %s", POSTERIOR_FILE, size, choice)
    assert config.network is not None
    target, dataset = config.network.target, network.dataset
    sampler = f"{config.sampler.name} with tuner {config.tuner.name}"
    sampler += f", {chains} chains of {config.num_steps} {target.count}, step size {size:.3g}"
    options = {
        "run_id": run_id(config), "experiment": config.experiment, "scale": config.scale,
        "data": config.network.data.name, "chains": chains, "num_steps": config.num_steps,
        "burn_in": config.burn_in, "thinning": config.thinning, "count": target.count, "step_size": [size],
        "step_sizes": chosen.step_size, "chosen": choice, "batch_size": network.batch_size, "temperature": 1.0,
        "dtype": str(draws.dtype), "seed": config.seed, "missing": "refuse",
        "sampler": dataclasses.asdict(config.sampler), "tuner": dataclasses.asdict(config.tuner),
        **{name: importlib.metadata.version(name) for name in ("jax", "flax")}, "smile": smile.__version__,
    }  # fmt: skip
    units = dataset.units
    assert units is not None
    write_posterior(
        run_dir / POSTERIOR_FILE,
        Saved(
            draws=draws,
            units=units,
            inputs=_inputs(dataset, units),
            task=dataset.task,
            classes=dataset.classes,
            y_mean=dataset.y_mean,
            y_scale=dataset.y_scale,
            likelihood=_likelihood(network, target.likelihood),
            posterior=network.posterior,
            network=model_facts(config.network.model),
            options=options,
            metrics=chosen.metrics,
            deep_ensemble=chosen.deep_ensemble,
            rows=(len(dataset.train.y), len(dataset.validation.y), len(dataset.test.y)),
            sampler=sampler + (f", {choice}" if groups > 1 else ""),
            figure=chosen.figure,
        ),
    )


def _why_none(dataset: Dataset) -> str:
    """Why new rows could not be made the same as those of the run; empty where they can."""
    if dataset.task == "language":
        return "is text"
    if dataset.test.x.ndim != 2:
        return "holds images"
    return "" if dataset.units is not None else "does not say in which units its columns are"


def _inputs(dataset: Dataset, units: Units) -> dict[str, Any]:
    """Columns of numbers, none missing."""
    features = dataset.test.x.shape[1]
    names = dataset.columns[:-1] or tuple(map(str, range(features)))
    fill = np.ldexp(units.mean, units.exponent)
    columns = [{"name": n, "categories": [], "fill": [f]} for n, f in zip(names, fill, strict=True)]
    return {
        "columns": columns, "shape": [features], "missing": "refuse", "is_named": bool(dataset.columns),
    }  # fmt: skip


def _likelihood(network: Network, given: str) -> str:
    if given in LIKELIHOODS:
        return given
    return "categorical" if network.dataset.task == "classification" else "homoscedastic"

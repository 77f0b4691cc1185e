"""One file that holds a fit, of Python or of a run, ``smile.load``, and what a file must be to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smile.api.bnn import in_precision
from smile.api.fit import Fit
from smile.api.inputs import Column, Inputs
from smile.api.labels import Labels
from smile.api.networks import NetworkError, architecture, from_facts
from smile.api.summary import Summary, advice
from smile.data import Units
from smile.execute.posterior import KIND, POSTERIOR_FILE, Saved, leaves, write_posterior
from smile.execute.posterior import VERSION as VERSION
from smile.extras import MissingExtraError
from smile.options import ConfigError
from smile.targets import Prior, bnn, likelihood
from smile.tracking.archive import ArchiveError, read_archive
from smile.tracking.figure import Calibration, Curve, RunFigure

__all__ = ["VERSION", "load", "posterior_file", "save"]


def save(fit: Fit, path: str | Path) -> None:
    """Writes a fit, whole or not at all."""
    inputs, summary = fit.inputs, fit.summarised
    saved = Saved(
        draws=fit.draws,
        units=fit.units,
        inputs={
            "columns": [column._asdict() for column in inputs.columns],
            "shape": inputs.shape, "missing": inputs.missing, "is_named": inputs.is_named,
        },
        task=fit.labels.task,
        classes=fit.labels.classes,
        y_mean=fit.y_mean,
        y_scale=fit.y_scale,
        likelihood=fit.likelihood,
        posterior=fit.posterior,
        network=fit.network,
        options=fit.options,
        metrics=summary.metrics,
        deep_ensemble=summary.deep_ensemble,
        rows=summary.rows,
        sampler=summary.sampler,
        figure=fit.figure,
    )  # fmt: skip
    write_posterior(Path(path), saved)


def load(path: str | Path, *, model: Any = None) -> Fit:
    """Reads a fit; its predictions are those of the fit that was saved, bit for bit on the same machine and versions.

    Args:
        path: of a file that ``Fit.save`` wrote, or the folder of a run on a table.
        model: the network, where the file cannot name it: it was an object of a class that cannot be imported (one of
            a notebook or a function), a module of nnx or Equinox, or a pair ``(init, apply)``. A network of ``smile``'s
            own, a dotted path, and a linen module or a function at the top of a module that can be imported and whose
            source has not changed need none.

    Raises:
        ArchiveError: where the file is truncated, changed, of a newer version, or its network is needed and not given.
        MissingExtraError: where the network needs a package that is not installed.
        NetworkError: where ``model`` is another network.
    """
    path = posterior_file(Path(path))
    facts, arrays = read_archive(path, KIND, VERSION)
    options, columns = facts["options"], facts["inputs"]["columns"]
    inputs = Inputs(
        tuple(Column(c["name"], tuple(c["categories"]), tuple(c["fill"])) for c in columns),
        tuple(facts["inputs"]["shape"]), facts["inputs"]["missing"], facts["inputs"]["is_named"],
    )  # fmt: skip
    draws = arrays["draws"]
    with jax.enable_x64(draws.dtype == np.float64):
        using = likelihood(facts["likelihood"], len(facts["classes"]))
        try:
            network = from_facts(facts["network"]) if model is None else architecture(model)
            made = in_precision(network.make(using.num_outputs, None), str(draws.dtype))
        except (NetworkError, ConfigError) as error:
            if model is not None or isinstance(error, MissingExtraError):
                raise
            raise ArchiveError(path, f"{error}: smile.load(path, model=...) with the same network") from None
        y = jnp.zeros(2, jnp.int32 if facts["classes"] else jnp.float32)
        try:
            posterior = bnn(made, using, Prior(), (jnp.zeros((2, *inputs.shape), jnp.float32), y), 1.0)
        except (TypeError, ValueError) as error:
            raise NetworkError(f"model: {network.shown} is not the network of {path}: {error}") from None
        found = leaves(posterior)
    if found != facts["leaves"]:
        odd = next((a, b) for a, b in zip(_padded(found), _padded(facts["leaves"]), strict=False) if a != b)
        raise NetworkError(f"model: {network.shown} has {odd[0]} where that of {path} has {odd[1]}")
    summary = facts["summary"]
    return Fit(
        draws=draws,
        inputs=inputs,
        units=Units(*(arrays[f"units_{name}"] for name in Units._fields)),
        labels=Labels(facts["task"], tuple(facts["classes"]), np.zeros(0)),
        y_mean=facts["y_mean"],
        y_scale=facts["y_scale"],
        likelihood=facts["likelihood"],
        posterior=posterior,
        network=facts["network"],
        options=options,
        summarised=Summary(
            _metrics(summary["metrics"]), _metrics(summary["deep_ensemble"]), tuple(summary["rows"]),
            summary["sampler"], advice(_metrics(summary["metrics"]), options["num_steps"]),
        ),
        figure=_figure(facts["figure"]),
    )  # fmt: skip


def posterior_file(path: Path) -> Path:
    """The file itself, or the one in the folder of a run.

    Raises:
        ArchiveError: where the folder has none.
    """
    if not path.is_dir():
        return path
    if not (file := path / POSTERIOR_FILE).is_file():
        raise ArchiveError(
            path,
            f"no {POSTERIOR_FILE} in this folder: finished runs on tables have one, but those with target.draws=none "
            "and of earlier versions (repeat the run with force=true); runs on images, text and analytic targets have "
            "none",
        )
    return file


def _padded(leaves: list[list[Any]]) -> list[Any]:
    return [*leaves, "no more"]


def _metrics(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _figure(facts: dict[str, Any]) -> RunFigure:
    def array(values: list[Any]) -> np.ndarray:
        return np.array([float(value) for value in values])

    curves = [
        Curve(float(c["step_size"]), array(c["gradient_evaluations"]), array(c["lppd"]))
        for c in facts["curves"]
    ]
    parts = {name: Calibration(*map(array, facts[name])) for name in ("sampler", "ensemble")}
    return RunFigure(
        facts["title"],
        facts["calibration"],
        curves,
        float(facts["best_step_size"]),
        float(facts["ensemble_lppd"]),
        **parts,
    )

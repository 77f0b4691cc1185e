"""One file that holds a fit, ``smile.load``, and what a file must be to be trusted."""

from __future__ import annotations

import math
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
from smile.api.summary import Summary
from smile.data import Units
from smile.targets import NetworkPosterior, Prior, bnn, likelihood
from smile.tracking.archive import Archive, ArchiveError, read_archive, write_archive
from smile.tracking.figure import Calibration, Curve, RunFigure

__all__ = ["VERSION", "load", "save"]

VERSION = 1
_KIND = "posterior"


def save(fit: Fit, path: str | Path) -> None:
    """Writes a fit, whole or not at all."""
    summary = fit.summarised
    facts = {
        "smile": fit.options["smile"],
        "inputs": {
            "columns": [column._asdict() for column in fit.inputs.columns],
            "shape": fit.inputs.shape, "missing": fit.inputs.missing, "is_named": fit.inputs.is_named,
        },
        "task": fit.labels.task,
        "classes": fit.labels.classes,
        "y_mean": fit.y_mean,
        "y_scale": fit.y_scale,
        "likelihood": fit.likelihood,
        "network": dict(fit.network),
        "leaves": _leaves(fit.posterior),
        "options": dict(fit.options),
        "summary": {
            "metrics": _numbers(summary.metrics), "deep_ensemble": _numbers(summary.deep_ensemble),
            "rows": summary.rows, "sampler": summary.sampler, "warnings": summary.warnings,
        },
        "figure": _figure_facts(fit.figure),
    }  # fmt: skip
    arrays = {"draws": fit.draws, **{f"units_{k}": np.asarray(v) for k, v in fit.units._asdict().items()}}
    write_archive(Path(path), _KIND, VERSION, Archive(facts, arrays))


def load(path: str | Path, *, model: Any = None) -> Fit:
    """Reads a fit; its predictions are those of the fit that was saved, bit for bit on the same machine and versions.

    Args:
        path: of a file that ``Fit.save`` wrote.
        model: the network, where the file cannot name it: it was an object of a class that cannot be imported (one of
            a notebook or a function), an nnx module or a pair ``(init, apply)``. A network of ``smile``'s own, a dotted
            path, and a linen module or a function at the top of a module that can be imported and whose source has not
            changed need none.

    Raises:
        ArchiveError: where the file is truncated, changed, of a newer version, or its network is needed and not given.
        NetworkError: where ``model`` is another network.
    """
    path = Path(path)
    facts, arrays = read_archive(path, _KIND, VERSION)
    try:
        network = from_facts(facts["network"]) if model is None else architecture(model)
    except NetworkError as error:
        raise ArchiveError(path, f"{error}: smile.load(path, model=...) with the same network") from None
    options, columns = facts["options"], facts["inputs"]["columns"]
    inputs = Inputs(
        tuple(Column(c["name"], tuple(c["categories"]), tuple(c["fill"])) for c in columns),
        tuple(facts["inputs"]["shape"]), facts["inputs"]["missing"], facts["inputs"]["is_named"],
    )  # fmt: skip
    draws = arrays["draws"]
    with jax.enable_x64(draws.dtype == np.float64):
        using = likelihood(facts["likelihood"], len(facts["classes"]))
        made = in_precision(network.make(using.num_outputs, None), str(draws.dtype))
        y = jnp.zeros(2, jnp.int32 if facts["classes"] else jnp.float32)
        try:
            posterior = bnn(made, using, Prior(), (jnp.zeros((2, *inputs.shape), jnp.float32), y), 1.0)
        except (TypeError, ValueError) as error:
            raise NetworkError(f"model: {network.shown} is not the network of {path}: {error}") from None
        found = _leaves(posterior)
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
            summary["sampler"], tuple(summary["warnings"]),
        ),
        figure=_figure(facts["figure"]),
    )  # fmt: skip


def _leaves(posterior: NetworkPosterior) -> list[list[Any]]:
    """Names and shapes of the parameters, in the order in which a draw has them."""
    tree = jax.eval_shape(lambda position: posterior.split(position)[0], jnp.zeros(posterior.dim))
    return [
        [jax.tree_util.keystr(path, simple=True, separator="."), list(leaf.shape)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _padded(leaves: list[list[Any]]) -> list[Any]:
    return [*leaves, "no more"]


def _numbers(values: Any) -> dict[str, float | str]:
    """JSON has no NaN."""
    return {name: float(v) if math.isfinite(v) else str(float(v)) for name, v in values.items()}


def _metrics(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _list(values: np.ndarray) -> list[float | str]:
    return [float(v) if math.isfinite(v) else str(float(v)) for v in values]


def _figure_facts(figure: RunFigure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "calibration": figure.calibration,
        "curves": [
            {
                "step_size": curve.step_size,
                "gradient_evaluations": _list(curve.gradient_evaluations),
                "lppd": _list(curve.lppd),
            }
            for curve in figure.curves
        ],
        "best_step_size": figure.best_step_size,
        "ensemble_lppd": _list(np.array([figure.ensemble_lppd]))[0],
        **{name: [_list(part) for part in getattr(figure, name)] for name in ("sampler", "ensemble")},
    }


def _figure(facts: dict[str, Any]) -> RunFigure:
    def array(values: list[Any]) -> np.ndarray:
        return np.array([float(value) for value in values])

    curves = [
        Curve(c["step_size"], array(c["gradient_evaluations"]), array(c["lppd"])) for c in facts["curves"]
    ]
    parts = {name: Calibration(*map(array, facts[name])) for name in ("sampler", "ensemble")}
    return RunFigure(
        facts["title"],
        facts["calibration"],
        curves,
        facts["best_step_size"],
        float(facts["ensemble_lppd"]),
        **parts,
    )

"""What ``BNN.fit`` returns: predictions of new rows in the units of the data, and what is known of the chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from smile.api.inputs import InputError, Inputs, encode
from smile.api.labels import Labels
from smile.api.predict import Predictor
from smile.api.summary import Summary
from smile.data import Units, standardised
from smile.extras import need
from smile.targets import NetworkPosterior
from smile.tracking.figure import RunFigure, draw_run_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Fit"]

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The posterior of a network, as draws.

    Attributes:
        draws: kept ones, (chains, draws, dim), in the order in which chains made them.
        inputs: what X is.
        units: of x.
        labels: what y is; without its rows.
        y_mean: of the training rows, in the unit of y; 0 for classes.
        y_scale: their standard deviation; 1 for classes.
        likelihood: homoscedastic, heteroscedastic or categorical.
        posterior: of the network; its ``predict`` maps a draw and rows to a distribution.
        network: what ``smile.api.networks`` makes the network of.
        options: with which it was fitted, as JSON has them.
        summarised: what ``summary`` shows.
        figure: what ``plot`` draws.
    """

    draws: np.ndarray
    inputs: Inputs
    units: Units
    labels: Labels
    y_mean: float
    y_scale: float
    likelihood: str
    posterior: NetworkPosterior
    network: Mapping[str, Any]
    options: Mapping[str, Any]
    summarised: Summary
    figure: RunFigure

    def __repr__(self) -> str:
        chains, draws, dim = self.draws.shape
        return f"Fit({chains} chains x {draws} draws of {dim} parameters, {self.likelihood})"

    @property
    def classes(self) -> np.ndarray:
        """The labels of the classes, in the order of the columns of ``predict``; empty for a regression."""
        return np.array(self.labels.classes)

    def predict(self, X: Any, *, rows_at_once: int = _ROWS_AT_ONCE) -> Any:
        """The predictive distribution of new rows: the mixture over all draws of all chains.

        Args:
            X: rows like those of the fit; columns of a data frame are found by name.
            rows_at_once: how many are predicted together; memory grows with it and not with rows or draws.

        Returns:
            Regression: mean and standard deviation, (rows,) each, in the unit of y; noise included. Classification:
            probabilities (rows, classes), in the order of ``classes``. NaN in every row where a draw is not finite.

        Raises:
            InputError: where rows are not like those of the fit.
        """
        with self._precision():
            predictor = self._predictor(rows_at_once)
            if self.labels.task == "classification":
                return predictor.probabilities(self._rows(X))
            mean, sd = predictor.moments(self._rows(X))
        return self.y_mean + self.y_scale * mean, self.y_scale * sd

    def interval(
        self, X: Any, level: float = 0.9, *, rows_at_once: int = _ROWS_AT_ONCE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Central intervals that hold a new y with probability ``level``, from quantiles of the predictive mixture.

        Args:
            X: as for ``predict``.
            level: in (0, 1).
            rows_at_once: as for ``predict``.

        Returns:
            Lower and upper ends, (rows,) each, in the unit of y.

        Raises:
            InputError: where rows are not like those of the fit, or y are classes.
        """
        if self.labels.task == "classification":
            raise InputError("interval: y are classes, of which predict gives the probabilities")
        if not (isinstance(level, int | float) and 0 < level < 1):
            raise InputError(f"level: got {level!r}; valid: a number > 0 and < 1")
        with self._precision():
            found = self._predictor(rows_at_once).quantiles(self._rows(X), ((1 - level) / 2, (1 + level) / 2))
        low, high = self.y_mean + self.y_scale * found
        return low, high

    def summary(self) -> Summary:
        """How good the fit is on rows held out, whether the chains agree, and what to do where not."""
        return self.summarised

    def plot(self) -> Figure:
        """The predictive density of the rows held out against the work done, and their calibration."""
        return draw_run_figure(self.figure)

    def parameters(self) -> dict[str, np.ndarray]:
        """The draws by name of the leaf, (chains, draws, ...)."""
        chains, draws, dim = self.draws.shape
        tree, log_sd = jax.vmap(self.posterior.split)(jnp.asarray(self.draws.reshape(-1, dim)))
        found = {
            ".".join(jax.tree_util.keystr((key,), simple=True) for key in path): np.asarray(leaf).reshape(
                chains, draws, *leaf.shape[1:]
            )
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        if self.posterior.likelihood.has_log_sd:
            found["log_sd"] = np.asarray(log_sd).reshape(chains, draws)
        return found

    def to_arviz(self) -> Any:
        """The draws of all parameters as ArviZ has them.

        Raises:
            MissingExtraError: where ArviZ is not installed.
        """
        need("arviz_base", "to_arviz")
        from arviz_base import from_dict

        return from_dict({"posterior": self.parameters()})

    def save(self, path: str | Path) -> None:
        """Writes one file, whole or not at all, that ``smile.load`` reads anywhere, without the data."""
        from smile.api.saved import save

        save(self, path)

    def _rows(self, X: Any) -> np.ndarray:
        return standardised(encode(self.inputs, X), self.units, self.inputs.column)

    def _precision(self) -> Any:
        return jax.enable_x64(self.draws.dtype == np.float64)

    @cached_property
    def _predictors(self) -> dict[int, Predictor]:
        return {}

    def _predictor(self, rows_at_once: int) -> Predictor:
        if not (isinstance(rows_at_once, int) and rows_at_once >= 1):
            raise InputError(f"rows_at_once: got {rows_at_once!r}; valid: a whole number >= 1")
        if rows_at_once not in self._predictors:
            self._predictors[rows_at_once] = Predictor(
                self.posterior, self.draws, len(self.labels.classes), rows_at_once
            )
        return self._predictors[rows_at_once]

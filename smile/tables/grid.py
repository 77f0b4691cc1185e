"""One configuration's metrics as arrays: step sizes against replications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Grid", "arrange"]


@dataclass(frozen=True)
class Grid:
    """The values of one configuration, from one run or from several with different seeds.

    Attributes:
        run_ids: of its runs.
        step_size: (steps,), ascending; NaN where there is none; the mean where the sampler adapts one for each
            replication.
        adapted: the step size of each replication, (replications,), where the sampler adapts them; else None.
        replication: labels of the replications, (replications,); those of different runs may share theirs.
        values: by metric, (steps, replications); NaN where a chain left the finite numbers.
        measured: by metric, (steps, replications); False where a run has no such step size.
    """

    run_ids: tuple[str, ...]
    step_size: np.ndarray
    adapted: np.ndarray | None
    replication: np.ndarray
    values: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]

    def means(self, metric: str, weights: np.ndarray) -> np.ndarray:
        """Weighted means over replications; NaN where a chain with a weight diverged, or none was measured.

        Args:
            metric: a key of ``values``.
            weights: (n, replications), not negative.

        Returns:
            Shape (n, steps).
        """
        values, measured = self.values[metric], self.measured[metric]
        finite = np.isfinite(values)
        total = weights @ np.where(finite, values, 0.0).T
        count = weights.sum(axis=1, keepdims=True) if measured.all() else weights @ measured.T.astype(float)
        with np.errstate(invalid="ignore"):
            means = total / count
        if (measured & ~finite).any():
            means[weights @ (measured & ~finite).T.astype(float) > 0] = np.nan
        return means

    def errors(self, metric: str, used: np.ndarray) -> np.ndarray:
        """Standard errors of the means over the replications ``used``, (steps,); NaN for one, or where one diverged."""
        count = (self.measured[metric] & used).sum(axis=1)
        values = np.where(used, self.values[metric], 0.0)
        means = self.means(metric, used[None].astype(float))[0]
        squares = np.where(self.measured[metric] & used, (values - means[:, None]) ** 2, 0.0).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(squares / (count - 1) / count)

    def diverged(self, metric: str, used: np.ndarray) -> np.ndarray:
        """The number of replications among ``used`` whose chain left the finite numbers, (steps,)."""
        return (self.measured[metric] & ~np.isfinite(self.values[metric]) & used).sum(axis=1)


def arrange(rows: pd.DataFrame) -> Grid:
    """Arranges the long-format metrics of one configuration.

    Where every replication has one step size, they are one column of the table under their mean, as in
    ``smile.tracking.statistics.summarise``.
    """
    run, run_ids = pd.factorize(rows["run_id"], sort=True)
    columns, column = np.unique(np.stack([run, rows["replication"]]), axis=1, return_inverse=True)
    step, step_size = pd.factorize(rows["step_size"].to_numpy(), sort=True, use_na_sentinel=False)
    adapted = np.full(columns.shape[1], np.nan)
    adapted[column] = rows["step_size"].to_numpy()
    adapts = bool(np.array_equal(adapted[column], rows["step_size"]))
    if adapts:
        step, step_size = np.zeros_like(step), adapted.mean(keepdims=True)
    values, measured = {}, {}
    for name in rows["metric"].unique():
        where = (rows["metric"] == name).to_numpy()
        place = (step[where], column[where])
        values[name] = np.full((len(step_size), columns.shape[1]), np.nan)
        measured[name] = np.zeros(values[name].shape, bool)
        found = rows["value"].to_numpy()[where]
        values[name][place] = np.where(np.isfinite(found), found, np.nan)
        measured[name][place] = True
    return Grid(
        tuple(map(str, run_ids)), step_size, adapted if adapts else None, columns[1], values, measured
    )

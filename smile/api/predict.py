"""The predictive distribution of new rows, streamed over draws and rows: memory depends on neither number.

Averages over draws are those of ``smile.metrics.predictive``, which also measure runs of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

from smile.metrics import predictive
from smile.targets import NetworkPosterior

__all__ = ["Predictor"]

_DRAWS_AT_ONCE = 32  # per chain
_MOST_NUMBERS = 4_000_000  # of all draws for the rows of an interval that are computed together
_BISECTIONS = 40
_SMALLEST_SD, _LARGEST_SD = 1e-6, 1e6  # as in smile.metrics.predictive


class Predictor:
    """Predictions of all draws of all chains; programs are compiled once.

    Args:
        posterior: whose ``predict`` is meant.
        draws: (chains, draws, dim).
        num_classes: 0 for regression.
        rows_at_once: rows that are predicted together.
    """

    def __init__(
        self, posterior: NetworkPosterior, draws: np.ndarray, num_classes: int, rows_at_once: int
    ) -> None:
        self._posterior, self._draws, self._num_classes = posterior, draws, num_classes
        self._rows_at_once = rows_at_once
        self._accumulate = jax.jit(self._add)
        self._all = jax.jit(lambda draws, x: jax.vmap(lambda draw: posterior.predict(draw, x))(draws))

    def moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the mixture over draws of every row, in units of the network, float64."""
        means, variances = [], []
        for state in self._states(x):  # one block after the other, so that no state of all rows is held
            mean = np.asarray(state.mean, np.float64)
            means.append(mean.mean(0))
            variances.append(np.asarray(state.variance, np.float64).mean(0) + mean.var(0))
        return np.concatenate(means), np.sqrt(np.concatenate(variances))

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Of every class, (rows, classes), float64."""
        return np.concatenate(
            [np.exp(np.asarray(s.log_probability, np.float64)).mean(0) for s in self._states(x)]
        )

    def quantiles(self, x: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        """Quantiles of the mixture of normal distributions, one for each draw, (levels, rows), float64."""
        draws = self._draws.reshape(-1, self._draws.shape[-1])
        rows = max(1, min(self._rows_at_once, _MOST_NUMBERS // len(draws)))
        found = []
        for block, count in _blocks(x, rows):
            means, log_sds = [], []
            for first in range(0, len(draws), _DRAWS_AT_ONCE):
                mean, log_sd = self._all(draws[first : first + _DRAWS_AT_ONCE], block)
                means.append(mean)
                log_sds.append(jnp.broadcast_to(log_sd, mean.shape))
            mean, log_sd = jnp.concatenate(means), jnp.concatenate(log_sds)
            found.append(np.asarray(_mixture_quantiles(mean, log_sd, jnp.asarray(levels)))[:, :count])
        return np.concatenate(found, axis=1).astype(np.float64)

    def _states(self, x: np.ndarray) -> Iterator[Any]:
        """Averages over all draws, one state for each block of rows, on the host."""
        chains, num_draws, _ = self._draws.shape
        for block, count in _blocks(x, min(self._rows_at_once, len(x))):
            if self._num_classes:
                state: Any = predictive.init_classification(chains, len(block), self._num_classes)
            else:
                state = predictive.init_regression(chains, len(block))
            for first in range(0, num_draws, _DRAWS_AT_ONCE):
                part = self._draws[:, first : first + _DRAWS_AT_ONCE]
                state = self._accumulate(state, np.ascontiguousarray(part.swapaxes(0, 1)), block)
            yield jax.tree.map(lambda leaf, n=count: np.asarray(leaf)[:, :n] if leaf.ndim else leaf, state)

    def _add(self, state: Any, draws: jax.Array, x: jax.Array) -> Any:
        """Adds draws (draws, chains, dim) one after the other."""

        def one(state: Any, positions: jax.Array) -> tuple[Any, None]:
            prediction = jax.vmap(lambda position: self._posterior.predict(position, x))(positions)
            if self._num_classes:
                return predictive.update_classification(state, prediction), None
            mean, log_sd = prediction
            return predictive.update_regression(state, mean, log_sd, jnp.zeros(mean.shape[1])), None

        return jax.lax.scan(one, state, draws)[0]


def _blocks(x: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks of equally many rows, so that one program does, the last one filled up; and how many rows are meant."""
    for first in range(0, len(x), rows):
        block = x[first : first + rows]
        count = len(block)
        if count < rows:
            block = np.concatenate([block, np.repeat(block[-1:], rows - count, axis=0)])
        yield block, count


@jax.jit
def _mixture_quantiles(mean: jax.Array, log_sd: jax.Array, levels: jax.Array) -> jax.Array:
    """Of (draws, rows), by bisection between the smallest and the largest quantile of a draw; (levels, rows)."""
    sd = jnp.clip(jnp.exp(log_sd), _SMALLEST_SD, _LARGEST_SD)
    mean = jnp.where(jnp.isfinite(mean) & jnp.isfinite(log_sd), mean, jnp.nan)

    def one(level: jax.Array) -> jax.Array:
        ends = mean + sd * ndtri(level)

        def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = bracket
            middle = 0.5 * (low + high)
            below = ndtr((middle - mean) / sd).mean(axis=0) < level
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (ends.min(axis=0), ends.max(axis=0)))
        return 0.5 * (low + high)

    return jax.lax.map(one, levels)

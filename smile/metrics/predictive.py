"""The Bayesian model average over chains and draws on a whole test set, accumulated draw by draw.

With members m = 1..M, all draws of all chains of a group, the predictive density of row n is the equal-weight mixture
p(y_n) = 1/M sum_m p(y_n | m). A state holds, for every chain, averages over its draws of what the metrics of this
mixture need, so memory does not grow with the number of draws:

    state = init_regression(chains, rows)
    state = update_regression(state, mean, log_sd, y)      # in a scan, once for each draw
    evaluate(select(state, group), y, y_scale=scale)       # one group: the chains of one step size

A deep ensemble is a state with one draw per chain. Averages are kept, not sums: they stay of order one, so that float32
does even for 1e5 draws (relative errors below 2e-4, absolute ones below 1e-3 in ``cdf``). Densities are averaged in
log space, where nothing underflows (E11).

A chain with a prediction that is not finite has NaN metrics, as has every group with this chain: leave it out by
``select`` and count it.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, ndtr

from smile.metrics import classification
from smile.metrics.classification import Reliability

__all__ = [
    "Classification",
    "Regression",
    "chain_lppd",
    "coverage_curve",
    "evaluate",
    "evaluate_text",
    "evaluate_unfamiliar",
    "init_classification",
    "init_regression",
    "lppd",
    "reliability",
    "select",
    "update_classification",
    "update_regression",
]

_SMALLEST_SD, _LARGEST_SD = 1e-6, 1e6
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class Regression(NamedTuple):
    """Averages over the draws of every chain; targets are normal given a draw.

    Attributes:
        num_draws: number of draws, () int32.
        log_density: log of the average of N(y; mean, sd), (chains, rows).
        mean_log_density: average of log N(y; mean, sd), (chains, rows).
        mean: average of the mean, (chains, rows).
        variance: variance of the mixture over draws, average sd^2 plus variance of the mean, (chains, rows).
        cdf: average of Phi((y - mean) / sd), (chains, rows).
    """

    num_draws: jax.Array
    log_density: jax.Array
    mean_log_density: jax.Array
    mean: jax.Array
    variance: jax.Array
    cdf: jax.Array


class Classification(NamedTuple):
    """Averages over the draws of every chain.

    Attributes:
        num_draws: number of draws, () int32.
        log_probability: log of the average of softmax(logits), (chains, rows, classes).
    """

    num_draws: jax.Array
    log_probability: jax.Array


State = TypeVar("State", Regression, Classification)


def init_regression(chains: int, rows: int) -> Regression:
    """A state without draws."""
    zeros = jnp.zeros((chains, rows))
    return Regression(
        jnp.zeros((), jnp.int32), jnp.full((chains, rows), -jnp.inf), zeros, zeros, zeros, zeros
    )


def init_classification(chains: int, rows: int, classes: int) -> Classification:
    """A state without draws."""
    return Classification(jnp.zeros((), jnp.int32), jnp.full((chains, rows, classes), -jnp.inf))


def update_regression(
    state: Regression, mean: jax.Array, log_sd: jax.Array, y: jax.Array, include: jax.Array | bool = True
) -> Regression:
    """Adds one draw of every chain.

    Args:
        state: averages over the draws before.
        mean: predicted means, (chains, rows).
        log_sd: logs of the predicted standard deviations, broadcastable to (chains, rows); the deviation is clipped
            to [1e-6, 1e6].
        y: targets on the scale of ``mean``, (rows,).
        include: False leaves the state as it is, say in burn-in.
    """
    n = state.num_draws + 1
    sd = jnp.clip(jnp.exp(log_sd), _SMALLEST_SD, _LARGEST_SD)
    mean = jnp.where(jnp.isfinite(mean) & jnp.isfinite(log_sd), mean, jnp.nan)
    z = (y - mean) / sd
    log_density = -0.5 * z**2 - jnp.log(sd) - 0.5 * math.log(2 * math.pi)
    new_mean = _running_mean(state.mean, mean, n)
    # Welford's update: mean^2 is never subtracted from a mean of squares
    spread = sd**2 + (mean - state.mean) * (mean - new_mean)
    new = Regression(
        num_draws=n,
        log_density=_running_log_mean(state.log_density, log_density, n),
        mean_log_density=_running_mean(state.mean_log_density, log_density, n),
        mean=new_mean,
        variance=_running_mean(state.variance, spread, n),
        cdf=_running_mean(state.cdf, ndtr(z), n),
    )
    return jax.tree.map(lambda new, old: jnp.where(include, new, old), new, state)


def update_classification(
    state: Classification, logits: jax.Array, include: jax.Array | bool = True
) -> Classification:
    """Adds one draw of every chain.

    Args:
        state: averages over the draws before.
        logits: (chains, rows, classes).
        include: False leaves the state as it is, say in burn-in.
    """
    n = state.num_draws + 1
    logits = jnp.where(jnp.isfinite(logits), logits.astype(state.log_probability.dtype), jnp.nan)
    log_probability = _running_log_mean(state.log_probability, jax.nn.log_softmax(logits), n)
    new = Classification(n, log_probability)
    return jax.tree.map(lambda new, old: jnp.where(include, new, old), new, state)


def select(state: State, chains: np.ndarray | jax.Array | slice) -> State:
    """The state of some chains, given by indices, a mask or a slice; a chain that is not there is NaN."""
    return jax.tree.map(lambda leaf: leaf.at[chains].get(mode="fill") if leaf.ndim else leaf, state)


def chain_lppd(state: Regression | Classification, y: jax.Array) -> jax.Array:
    """Log pointwise predictive density of every chain alone, (chains,), in nats per row.

    Args:
        state: averages with one draw at least; without, the answer is -inf.
        y: labels, (rows,); in regression the targets are those the state was updated with.
    """
    return _log_density(state, y).mean(axis=1)


def lppd(state: Regression | Classification, y: jax.Array) -> jax.Array:
    """Log pointwise predictive density of the mixture over all chains, (), in nats per row.

    mean_n log(1/M sum_m p(y_n | m)) as in Eq. 5 of Gelman, Hwang & Vehtari (2014), divided by the number of rows. It
    can be jitted, for a running value; arguments as in ``chain_lppd``.
    """
    log_density = _log_density(state, y)
    return (logsumexp(log_density, axis=0) - math.log(len(log_density))).mean()


def evaluate(
    state: Regression | Classification, y: np.ndarray | jax.Array, *, y_scale: float = 1.0
) -> dict[str, float]:
    """All metrics of the mixture over all chains of the state, in float64.

    Regression, on the scale of ``y``:

    - ``lppd``, ``rmse`` of the mixture's mean, ``predictive_sd`` (mean over rows of the mixture's standard deviation)
      and ``member_nll``, minus the average log density of the members, which is not ``-lppd`` (E3);
    - ``lppd_original``, ``rmse_original``: the same for ``y_scale * y``;
    - ``coverage_50``, ``_80``, ``_90``, ``_95``: fraction of rows in the central interval of the mixture;
      ``calibration_error``: root mean square of observed minus nominal coverage over the levels .1, .2, ... .9, .95
      (E5).

    Classification, where the prediction is the class of largest mean probability, the first among equals (E4):

    - ``lppd``, ``accuracy``, ``brier`` (sum over classes of squares, 0 to 2);
    - ``f1``: average over the classes in ``y``;
    - ``ece``: expected calibration error with 15 bins (Guo et al. 2017, Eq. 3);
    - ``auroc``: class 1 of two, or average of one-against-rest over the classes in ``y``; NaN where it has one class;
    - ``aurc``: mean over i of the error among the i most confident rows (Geifman & El-Yaniv 2017); rows that tie
      share their errors equally, so their order is of no account.

    Args:
        state: averages with one draw at least.
        y: targets or integer labels, (rows,).
        y_scale: standard deviation of the targets before they were standardised, above zero.

    Raises:
        ValueError: where there is no draw, or ``y`` or ``y_scale`` is not as above.
    """
    y = np.asarray(y)
    _check(state, y)
    if isinstance(state, Classification):
        return classification.metrics(_log_average(state.log_probability), y)
    if not y_scale > 0:
        raise ValueError(f"y_scale is a standard deviation above zero, not {y_scale}")
    return _evaluate_regression(state, y, y_scale)


def evaluate_text(state: Classification, y: np.ndarray | jax.Array) -> dict[str, float]:
    """Metrics of the mixture's next characters: rows are tokens, classes the vocabulary.

    ``lppd`` in nats per token; ``perplexity`` = exp(-lppd), of the averaged probabilities, and ``bits_per_character``;
    ``accuracy`` of the most probable token and ``ece`` as in ``evaluate``.

    Raises:
        ValueError: as ``evaluate``.
    """
    y = np.asarray(y)
    _check(state, y)
    return classification.text_metrics(_log_average(state.log_probability), y)


def evaluate_unfamiliar(known: Classification, unfamiliar: Classification) -> dict[str, float]:
    """How well the largest probability of the mixture tells rows of the data from rows of another kind.

    ``unfamiliar_auroc``, with the data as the positive class (Hendrycks & Gimpel 2017), and ``unfamiliar_confidence``,
    the mean largest probability on the other rows.

    Raises:
        ValueError: where there is no draw.
    """
    for state in (known, unfamiliar):
        _check_draws(state)
    confidence = [np.exp(_log_average(s.log_probability)).max(axis=1) for s in (known, unfamiliar)]
    return classification.unfamiliar_metrics(*confidence)


def coverage_curve(state: Regression) -> tuple[np.ndarray, np.ndarray]:
    """Nominal and observed coverage of the mixture's central intervals, both (10,).

    A row is in the central interval of level q where its probability integral transform, the mixture's distribution
    function at y, is within q / 2 of 1/2. The targets are those the state was updated with.

    Raises:
        ValueError: where there is no draw.
    """
    _check_draws(state)
    levels = np.array(_LEVELS)
    distance = np.abs(np.asarray(state.cdf, np.float64).mean(axis=0) - 0.5)
    observed = np.mean(distance <= levels[:, None] / 2, axis=1)
    return levels, np.where(np.isnan(distance).any(), np.nan, observed)


def reliability(state: Classification, y: np.ndarray | jax.Array) -> Reliability:
    """The reliability diagram of the mixture (Guo et al. 2017); bins are open on the left, closed on the right.

    Args:
        state: averages with one draw at least.
        y: integer labels, (rows,).

    Raises:
        ValueError: where there is no draw or ``y`` is not as above.
    """
    y = np.asarray(y)
    _check(state, y)
    return classification.reliability(np.exp(_log_average(state.log_probability)), y)


def _running_mean(old: jax.Array, x: jax.Array, n: jax.Array) -> jax.Array:
    return old + (x - old) / n


def _running_log_mean(old: jax.Array, x: jax.Array, n: jax.Array) -> jax.Array:
    """log(((n - 1) e^old + e^x) / n) by increments to ``old``, whose rounding errors do not add up as log n's would."""
    difference = jnp.where(x == old, 0.0, x - old)  # both may be -inf
    large = 50.0  # e^large is a float32, and the first draw, with old = -inf, is larger
    increment = old + jnp.log1p(jnp.expm1(jnp.minimum(difference, large)) / n)
    replacement = x - jnp.log(n) + jnp.log1p((n - 1) * jnp.exp(-difference))
    return jnp.where(difference > large, replacement, increment)


def _log_density(state: Regression | Classification, y: jax.Array) -> jax.Array:
    if isinstance(state, Regression):
        return state.log_density
    return jnp.take_along_axis(state.log_probability, y[None, :, None], axis=2)[..., 0]


def _check_draws(state: Regression | Classification) -> None:
    if int(state.num_draws) == 0:
        raise ValueError("no draw to evaluate: the state was never updated")


def _check(state: Regression | Classification, y: np.ndarray) -> None:
    _check_draws(state)
    rows = state[1].shape[1]
    if y.shape != (rows,):
        raise ValueError(f"y has shape {y.shape}, the state has {rows} rows")
    if isinstance(state, Classification):
        classes = state.log_probability.shape[2]
        if not np.issubdtype(y.dtype, np.integer) or not ((y >= 0) & (y < classes)).all():
            raise ValueError(f"labels are integers from 0 to {classes - 1}")


def _log_average(log_values: jax.Array) -> np.ndarray:
    """Log of the average over chains, in float64."""
    values = np.asarray(log_values, np.float64)
    with np.errstate(invalid="ignore"):  # a chain that is not finite
        return np.logaddexp.reduce(values, axis=0) - math.log(len(values))


def _evaluate_regression(state: Regression, y: np.ndarray, y_scale: float) -> dict[str, float]:
    mean = np.asarray(state.mean, np.float64)
    variance = np.asarray(state.variance, np.float64).mean(axis=0) + mean.var(axis=0)
    density = float(_log_average(state.log_density).mean())
    rmse = float(np.sqrt(np.mean((mean.mean(axis=0) - y) ** 2)))
    nominal, observed = coverage_curve(state)
    coverage = dict(zip(_LEVELS, observed.tolist(), strict=True))
    return {
        "lppd": density,
        "lppd_original": density - math.log(y_scale),
        "rmse": rmse,
        "rmse_original": rmse * y_scale,
        "member_nll": -float(np.asarray(state.mean_log_density, np.float64).mean()),
        "predictive_sd": float(np.sqrt(variance).mean()),
        **{f"coverage_{100 * level:.0f}": coverage[level] for level in (0.5, 0.8, 0.9, 0.95)},
        "calibration_error": float(np.sqrt(np.mean((observed - nominal) ** 2))),
    }

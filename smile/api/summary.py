"""What a fit says of itself: the numbers of the command line, and what to do where they are bad."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from smile.quantities import METRICS
from smile.tracking.statistics import FEWEST_EFFECTIVE_DRAWS, MOST_PREDICTIVE_SD, MOST_RHAT

__all__ = ["Summary", "advice"]

_FIRST = (
    "lppd", "lppd_gain", "rmse_original", "accuracy", "coverage_90", "ece", "rhat_max", "rhat_median", "ess_min",
    "final_step_size_min", "final_step_size_max", "num_resets", "num_divergent", "num_strayed",
)  # fmt: skip
_MOST_COVERAGE_ERROR = 0.1


@dataclass(frozen=True)
class Summary:
    """What is known of a fit.

    Attributes:
        metrics: of the rows held out for testing, by name as in ``metrics.parquet``.
        deep_ensemble: the same of the networks in which the chains started.
        rows: how many rows were trained on, validated with and tested on.
        sampler: what ran, in words.
        warnings: what is suspicious, each with what to do.
    """

    metrics: Mapping[str, float]
    deep_ensemble: Mapping[str, float]
    rows: tuple[int, int, int]
    sampler: str
    warnings: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """All metrics: a row for each, columns ``chains``, ``deep_ensemble`` and ``meaning``."""
        frame = pd.DataFrame({"chains": self.metrics, "deep_ensemble": self.deep_ensemble})
        frame["meaning"] = [METRICS[name].label if name in METRICS else "" for name in frame.index]
        return frame

    def __str__(self) -> str:
        train, validation, test = self.rows
        lines = [self.sampler, f"trained on {train} rows, validated on {validation}, tested on {test}", ""]
        lines.append(f"{'':<52}{'chains':>12}{'deep ensemble':>16}")
        for name in _FIRST:
            if name in self.metrics:
                label = METRICS[name].label if name in METRICS else name
                other = self.deep_ensemble.get(name)
                shown = "" if other is None or name == "lppd_gain" else f"{other:.4g}"
                lines.append(f"{label[:51]:<52}{self.metrics[name]:>12.4g}{shown:>16}")
        lines += ["", *(f"warning: {warning}" for warning in self.warnings)]
        return "\n".join(lines).rstrip()

    __repr__ = __str__


def advice(metrics: Mapping[str, float], num_steps: int) -> tuple[str, ...]:
    """Warnings about a fit, each with what to do.

    Args:
        metrics: of the chains.
        num_steps: of a chain.
    """
    found = []
    if not math.isfinite(metrics["lppd"]):
        found.append("a chain left the finite numbers, and so did its predictions: a smaller step_size")
    if not metrics["rhat_max"] <= MOST_RHAT:
        found.append(
            f"chains do not agree on all predictions, R-hat {metrics['rhat_max']:.3g} (fine: below {MOST_RHAT}): "
            f"more steps (num_steps={2 * num_steps}), or more chains for a better average of what they say apart"
        )
    if not metrics["ess_min"] >= FEWEST_EFFECTIVE_DRAWS:
        found.append(
            f"only {metrics['ess_min']:.0f} effective draws (fine: {FEWEST_EFFECTIVE_DRAWS}): "
            f"more steps (num_steps={2 * num_steps}), or a larger step_size"
        )
    if metrics.get("num_divergent", 0) > 0:
        found.append(f"{metrics['num_divergent']:.0f} divergent steps: a smaller step_size")
    if metrics.get("num_strayed", 0) > 0:
        found.append(
            f"{metrics['num_strayed']:.0f} chains predict far worse than the network in which they started: a smaller "
            "step_size, or a narrower prior"
        )
    if metrics["lppd_gain"] < 0:
        found.append("the chains predict worse than the deep ensemble: another step_size, or more steps")
    if (wide := metrics.get("predictive_sd", 0)) > MOST_PREDICTIVE_SD:
        found.append(
            f"predictions have {wide:.3g} times the standard deviation of y itself: likelihood='homoscedastic', a "
            "narrower prior, or a smaller step_size"
        )
    if abs(metrics.get("coverage_90", 0.9) - 0.9) > _MOST_COVERAGE_ERROR:
        found.append(
            f"90 % intervals hold {100 * metrics['coverage_90']:.0f} % of the rows held out: "
            "likelihood='heteroscedastic', or another network"
        )
    return tuple(found)

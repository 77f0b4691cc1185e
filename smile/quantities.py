"""What runs measure: every metric's name, label and better direction, once, for whoever shows or compares results.

They stand here and not in ``smile.metrics``, which computes them with JAX: who only looks at results does not wait for
it. A metric on validation data has the name of the same metric on test data after ``validation_``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

__all__ = ["METRICS", "VALIDATION", "Metric", "metric"]

VALIDATION = "validation_"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as runs record it.
        label: what tables call it.
        highest: whether the highest value is the best, not the lowest.
        chosen_by: name of the metric whose best value chooses the step size at which this one is reported; itself where
            empty.
        heading: what the table of one run on the console calls it; empty where that does not show it.
        comparable: whether one value is better than another, as higher or lower.
        ideal: the value that is best where neither the highest nor the lowest is; None: one of these, or none, is.
    """

    name: str
    label: str
    highest: bool = False
    chosen_by: str = ""
    heading: str = ""
    comparable: bool = True
    ideal: float | None = None

    def __post_init__(self) -> None:
        """Fills in what chooses the step size."""
        if not self.chosen_by:
            object.__setattr__(self, "chosen_by", self.name)


_LPPD = VALIDATION + "lppd"

# In the order of the console's columns.
_DECLARED = (
    # Moments (smile/metrics/bias.py): means over coordinates, but for what the names say.
    Metric("bias", "bias of second moments", heading="bias"),
    Metric(
        "bias_published",
        "bias of second moments, of the coordinates that the printed value is about",
        heading="bias as printed",
    ),
    Metric("bias_max", "bias of second moments, largest of the coordinates"),
    Metric("bias_exact", "bias against exact moments"),
    Metric("bias_reference", "bias against the public code's moments"),
    # Distances (smile/metrics/wasserstein.py).
    Metric("wasserstein", "normalised Wasserstein-2 distance, mean over coordinates", heading="Wasserstein"),
    Metric("wasserstein_max", "normalised Wasserstein-2 distance, largest of the coordinates"),
    Metric("sliced_wasserstein", "normalised sliced Wasserstein-2 distance"),
    # Beside a reference (smile/metrics/posterior.py), in standard deviations of the posterior.
    Metric(
        "mean_error_rms",
        "error of the mean, root mean square over coordinates, in posterior sd",
        heading="mean error",
    ),
    Metric("mean_error_max", "error of the mean, largest of the coordinates, in posterior sd"),
    *(
        Metric(
            f"sd_ratio_{name}",
            f"standard deviation over the posterior's, {what} of the coordinates",
            comparable=False,
            ideal=1.0,
            chosen_by="sliced_wasserstein",
            heading=heading,
        )
        for name, what, heading in (
            ("median", "median", "sd ratio"),
            ("min", "smallest", ""),
            ("max", "largest", ""),
        )
    ),
    Metric(
        "sd_ratio_predicted",
        "standard deviation over the posterior's as the noise of batches predicts, median of the coordinates",
        comparable=False,
        ideal=1.0,
        chosen_by="sliced_wasserstein",
        heading="predicted",
    ),
    Metric(
        "interval_coverage_90",
        "posterior mass of the central 90 % intervals",
        comparable=False,
        ideal=0.9,
        chosen_by="sliced_wasserstein",
        heading="90 % intervals",
    ),
    # The same after the first steps alone, which the public code counts as well (docs/deviations.md, A3).
    Metric("short_bias_published", "bias of second moments after the short run"),
    Metric("short_wasserstein", "normalised Wasserstein-2 distance after the short run"),
    Metric("diverged", "whether the chain left the finite numbers"),
    # Efficiency (smile/metrics/ess.py).
    Metric(
        "ess_moments_min", "effective sample size of the second moments, of one chain, smallest", highest=True
    ),
    Metric("ess_per_gradient", "effective sample size per gradient", highest=True, heading="ESS / gradient"),
    # Predictions (smile/metrics/predictive.py, smile/metrics/classification.py).
    Metric("lppd", "LPPD", highest=True, chosen_by=_LPPD, heading="LPPD"),
    Metric(
        "lppd_gain",
        "LPPD minus that of the deep ensemble",
        highest=True,
        chosen_by=_LPPD,
        heading="gain over DE",
    ),
    Metric(
        "lppd_gain_per_1000_epochs",
        "gain over the deep ensemble per 1000 epochs of gradients",
        highest=True,
        chosen_by=_LPPD,
    ),
    Metric("lppd_original", "LPPD on the original scale", highest=True, chosen_by=_LPPD),
    Metric("member_nll", "negative log density of the members, average", chosen_by=_LPPD),
    Metric("rmse", "RMSE", chosen_by=VALIDATION + "rmse", heading="RMSE"),
    Metric("rmse_original", "RMSE on the original scale", chosen_by=VALIDATION + "rmse"),
    Metric("predictive_sd", "standard deviation of the prediction", comparable=False, chosen_by=_LPPD),
    *(
        Metric(
            f"coverage_{level}",
            f"coverage of the central {level} % interval",
            comparable=False,
            chosen_by=_LPPD,
        )
        for level in (50, 80, 90, 95)
    ),
    Metric(
        "calibration_error",
        "calibration error of central intervals",
        chosen_by=VALIDATION + "calibration_error",
    ),
    Metric("accuracy", "accuracy", highest=True, chosen_by=VALIDATION + "accuracy", heading="accuracy"),
    Metric("accuracy_gain", "accuracy minus that of the deep ensemble", highest=True, chosen_by=_LPPD),
    Metric("f1", "macro F1", highest=True, chosen_by=_LPPD),
    Metric("ece", "expected calibration error", chosen_by=_LPPD),
    Metric("brier", "Brier score", chosen_by=_LPPD),
    Metric("auroc", "AUROC", highest=True, chosen_by=_LPPD),
    Metric("aurc", "area under the risk-coverage curve", chosen_by=_LPPD),
    Metric("unfamiliar_auroc", "AUROC against unfamiliar rows", highest=True, chosen_by=_LPPD),
    Metric("unfamiliar_confidence", "confidence on unfamiliar rows", chosen_by=_LPPD),
    Metric("perplexity", "perplexity per character", chosen_by=_LPPD),
    Metric(
        "perplexity_improvement",
        "improvement of the perplexity over the warm start",
        highest=True,
        chosen_by=_LPPD,
    ),
    Metric("bits_per_character", "bits per character", chosen_by=_LPPD),
    Metric(_LPPD, "LPPD on validation data", highest=True, heading="val. LPPD"),
    # Diagnostics (smile/metrics/diagnostics.py).
    Metric("rhat_max", "R-hat, largest", heading="max R-hat"),
    Metric("rhat_q95", "R-hat, 95 % quantile"),
    Metric("rhat_median", "R-hat, median", heading="median R-hat"),
    Metric("ess_min", "effective sample size, smallest", highest=True, heading="min ESS"),
    Metric("ess_median", "effective sample size, median", highest=True),
    Metric("chain_lppd_min", "LPPD of the worst chain alone", highest=True, chosen_by=_LPPD),
    Metric(
        "chain_lppd_median",
        "LPPD of a chain alone, median",
        highest=True,
        chosen_by=_LPPD,
    ),
    Metric("num_strayed", "chains whose error is 1.5 times that of their warm start", heading="strayed"),
    Metric("largest_weight", "largest absolute weight of a draw", comparable=False),
    # Work, and what the tuner did (smile/execute).
    Metric("gradient_epochs", "epochs of gradients", comparable=False),
    Metric("final_step_size", "final step size, geometric mean", comparable=False, heading="final step"),
    Metric("final_step_size_min", "final step size, smallest", comparable=False),
    Metric("final_step_size_max", "final step size, largest", comparable=False),
    Metric(
        "adaptation_fall",
        "largest fall of the log density below that of the warm start while adapting, per dimension",
    ),
    Metric("num_resets", "steps undone by the tuner", comparable=False, heading="resets"),
    Metric("num_divergent", "divergent steps", heading="divergent"),
    Metric("num_non_finite", "steps that were not finite"),
)

METRICS: dict[str, Metric] = {declared.name: declared for declared in _DECLARED}


def metric(name: str) -> Metric:
    """The declaration of a metric, on test or validation data.

    Raises:
        ValueError: where runs record no such metric.
    """
    if name in METRICS:
        return METRICS[name]
    if (on_test_data := METRICS.get(name.removeprefix(VALIDATION))) is None:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"no metric {name!r}{hint}: valid are {', '.join(METRICS)}")
    label = f"{on_test_data.label} on validation data"
    return replace(on_test_data, name=name, label=label, chosen_by=name, heading="")

"""``target=...`` of the posteriors, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Literal

import jax.numpy as jnp

from smile.base import Target
from smile.options import ConfigError, choice, either, integer, option, text
from smile.targets.control_variates import ESTIMATORS, Estimator, with_control_variates
from smile.targets.options import AnalyticTarget
from smile.targets.posteriors import hierarchies, networks, regressions
from smile.targets.posteriors.reference import check_density, read
from smile.targets.posteriors.rows import RowModel, full_logdensity, row_target

__all__ = ["POSTERIORS", "Posterior", "row_model"]

# One line for each: the table of TARGETS, `make references` and the tests read it.
POSTERIORS: Mapping[str, Callable[[], RowModel]] = {
    "breast_cancer": regressions.logistic,
    "digits_softmax": regressions.softmax,
    "diabetes_poisson": regressions.poisson,
    "diabetes_student_t": regressions.student_t,
    "diabetes_hierarchy": partial(hierarchies.hierarchy, centred=False),
    "diabetes_funnel": partial(hierarchies.hierarchy, centred=True),
    "diabetes_mixture": hierarchies.mixture,
    "diabetes_network": networks.perceptron,
}


def _independent(target: Target) -> Target:
    noise = target.batch_noise
    return target.replace(batch_of_step=None, batch_noise=noise and noise._replace(batches=None))


@cache
def row_model(name: str) -> RowModel:
    """The model of a posterior, built once."""
    return POSTERIORS[name]()


@dataclass(frozen=True, kw_only=True)
class Posterior(AnalyticTarget):
    """A posterior of rows of real data.

    Attributes:
        batch_size: rows of a batch; None: all.
        batches: follow each other through epochs, or are independent of each other, both without replacement.
        gradient: that of the batch, or with control variates at the mode, which a step pays with a second one.
        reference: digest of the draws that it is compared with, so that results against others have another run id;
            nobody but this class needs to say it.
    """

    has_known_scales: ClassVar[bool] = False

    batch_size: int | None = option(either({"full": None, None: None}, integer(1)))
    batches: Literal["epochs", "independent"] = option(choice("epochs", "independent"), default="epochs")
    gradient: Estimator = option(ESTIMATORS, neutral="batch")
    reference: str = option(text, default="")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient == "control_variate":
            self._check_has_mode()
        _, digest = read(self.name)
        if self.reference not in ("", digest):
            valid = f"{digest}, of the reference that is there; results against another are results of another run"
            raise ConfigError("target.reference", self.reference, valid)
        object.__setattr__(self, "reference", digest)

    @property
    def has_batches(self) -> bool:
        """Whether gradients are those of some of the rows."""
        return self.batch_size is not None

    def build(self) -> Target:
        """The posterior.

        Raises:
            ConfigError: where its reference is of another one, or control variates find no mode.
        """
        model = row_model(self.name)
        reference, _ = read(self.name)
        check_density(self.name, reference, full_logdensity(model))
        target = row_target(self.name, model, reference, self.batch_size)
        if self.batches == "independent":
            target = _independent(target)
        if self.gradient == "control_variate":
            target = with_control_variates(target, jnp.zeros(model.dim, jnp.float32))
        return target

    def _check_has_mode(self) -> None:
        """Control variates take differences to one mode, of batches."""
        if self.batch_size is None:
            valid = "batch with target.batch_size=full, whose gradients are exact"
            raise ConfigError("target.gradient", self.gradient, valid)
        if not row_model(self.name).has_one_mode:
            valid = f"batch with target={self.name}, whose positions have many modes that are worth the same"
            raise ConfigError("target.gradient", self.gradient, valid)

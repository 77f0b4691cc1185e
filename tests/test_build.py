"""No fall-through in a table of choices: a choice without a constructor must not run as another one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import pytest

from smile.build import exact_target, make_kernel, make_model, make_optimiser, make_tuner
from smile.config import RunConfig, ScheduleConfig
from smile.noise.distribution import data_set, unit_variates
from smile.preflight import compose


@dataclass(frozen=True)
class Forgotten:
    """Has a schema, and nothing that makes it."""

    name: str = "forgotten"


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return compose(["target=bnn", "scale=smoke"])


@pytest.mark.parametrize("tuner", [Forgotten(), ScheduleConfig("forgotten", 0.0)])  # type: ignore[arg-type]
def test_a_forgotten_tuner_is_not_the_constant_one(config: RunConfig, tuner: object) -> None:
    with pytest.raises(ValueError, match="forgotten"):
        make_tuner(replace(config, tuner=tuner), 10, 1)  # type: ignore[arg-type]


def test_a_forgotten_sampler_network_target_or_schedule_stops(config: RunConfig) -> None:
    assert config.model is not None and config.warm_start is not None
    with pytest.raises(AssertionError, match="Forgotten"):
        make_kernel(replace(config, sampler=Forgotten()), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="forgotten"):
        make_model(replace(config.model, name="forgotten"), 1)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="forgotten"):
        make_optimiser(replace(config.warm_start, schedule="forgotten"), 1)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="forgotten"):
        exact_target(Forgotten())  # type: ignore[arg-type]


def test_a_forgotten_distribution_is_not_the_lognormal_one() -> None:
    with pytest.raises(AssertionError, match="forgotten"):
        unit_variates(jax.random.key(0), (2,), "forgotten")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="forgotten"):
        data_set(2, 2, "forgotten")  # type: ignore[arg-type]

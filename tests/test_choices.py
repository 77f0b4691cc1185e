"""Tables of choices: no fall-through, options checked however they are made, and every rule said once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import jax
import numpy as np
import pytest

from smile.config.parse import GROUPS
from smile.kernels import SAMPLERS
from smile.noise.distribution import data_set, unit_variates
from smile.options import ConfigError, Options
from smile.paths import conf_dir
from smile.sampling import WARM_STARTS
from smile.tuners import TUNERS, TunerOptions

DECLARED = [(group, name) for group, choices in GROUPS.items() for name, one in choices.items() if one]


@pytest.mark.parametrize(("group", "name"), DECLARED)
def test_yaml_and_declaration_list_each_other(group: str, name: str) -> None:
    """Every choice has its YAML, whose first line says what it is."""
    text = (conf_dir() / group / f"{name}.yaml").read_text()
    first = next(line for line in text.splitlines() if not line.startswith("# @package"))
    assert first.startswith("# ") and len(first) > 20
    declared = GROUPS[group][name]
    assert declared is not None and issubclass(declared, Options) and declared.group == group


def test_every_yaml_of_a_group_is_declared() -> None:
    for group, choices in GROUPS.items():
        assert {path.stem for path in (conf_dir() / group).glob("*.yaml")} == set(choices)


def test_options_are_checked_in_python_as_on_the_command_line() -> None:
    assert SAMPLERS.make("sgld", temperature=1).temperature == 1.0
    with pytest.raises(ConfigError, match=r"^sampler\.temperature: got -1; valid: a finite number > 0$"):
        SAMPLERS.make("sgld", temperature=-1)
    with pytest.raises(ConfigError, match="did you mean 'sgld'"):
        SAMPLERS.make("sgdl")


def test_a_tuner_without_build_is_no_tuner() -> None:
    """It used to run as ``tuner=none`` under its own label."""

    @dataclass(frozen=True, kw_only=True)
    class Forgotten(TunerOptions):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Forgotten(name="forgotten")  # type: ignore[abstract]


def test_a_forgotten_branch_stops() -> None:
    with pytest.raises(AssertionError, match="forgotten"):
        unit_variates(jax.random.key(0), (2,), "forgotten")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="forgotten"):
        data_set(2, 2, "forgotten")  # type: ignore[arg-type]
    adamw = WARM_STARTS.make(
        "adamw", learning_rate=0.1, schedule="constant", end_fraction=1, warmup_epochs=0, batch_size=8,
        max_epochs=2, patience=1, weight_decay=0,
    )  # fmt: skip
    assert np.isclose(adamw.learning_rates(10)(5), 0.1)
    object.__setattr__(adamw, "schedule", "forgotten")
    with pytest.raises(AssertionError, match="forgotten"):
        adamw.learning_rates(10)


def test_names_of_choices_are_known_without_a_loop_over_code() -> None:
    assert "mclmc" in TUNERS and "nothing" not in TUNERS and 3 not in TUNERS
    assert len(list(TUNERS)) == len(TUNERS)
    assert all(field.name != "group" for field in fields(TunerOptions))

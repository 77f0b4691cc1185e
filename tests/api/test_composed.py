"""What ``BNN.fit`` makes of its options is what the command line composes of the same."""

from __future__ import annotations

from typing import Any

import pytest

import smile
from smile.api.bnn import _composed
from smile.config.run import RunConfig
from smile.paths import conf_dir
from smile.preflight import compose

LENGTHS = ("num_steps=300", "burn_in=120", "thinning=20")
METHODS = sorted(path.stem for path in (conf_dir() / "method").glob("*.yaml"))


def composed(method: str = "psmile", **given: Any) -> RunConfig:
    options = {"sampler": None, "tuner": None, "step_size": None} | given
    overrides = (f"+method={method}", *LENGTHS)
    return _composed(overrides, **options, target={"batch_size": "auto"})


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_that_of_the_command_line_at_the_lengths_that_were_given(method: str) -> None:
    found = composed(method)
    full_batch = ["target.batch_size=null"] if found.sampler.is_full_batch else []
    expected = compose(["target=bnn", f"+method={method}", *LENGTHS, *full_batch])
    assert (found.sampler, found.tuner, found.step_size) == (
        expected.sampler, expected.tuner, expected.step_size
    )  # fmt: skip


@pytest.mark.parametrize("name", ["smile", "psmile", "sgld", "sghmc"])
def test_a_sampler_of_ones_own_starts_with_its_own_step_size(name: str) -> None:
    found = composed(sampler=getattr(smile, name)(), tuner=smile.linear())
    assert found.step_size == compose(["target=bnn", f"sampler={name}"]).step_size
    assert composed(sampler=getattr(smile, name)(), tuner=smile.linear(), step_size=0.5).step_size == (0.5,)


def test_step_sizes_of_samplers_differ() -> None:
    assert (
        len({composed(sampler=s, tuner=smile.linear()).step_size for s in (smile.smile(), smile.psmile())})
        == 2
    )

"""Who is blamed where a machine lacks a device or the memory: not what is computed first, and before it is."""

from __future__ import annotations

import jax
import pytest

import smile.sweep.early
from smile.preflight import compose
from smile.run import main


@pytest.mark.parametrize(
    ("error", "platforms", "said"),
    [
        (
            AssertionError(),
            "cuda",
            "JAX_PLATFORMS: got 'cuda'; valid: cpu, or an accelerator of this machine; ",
        ),
        (RuntimeError("Unable to initialize backend 'frob'\nmore"), "frob", "backend 'frob'"),
        (RuntimeError("no backend"), "", "devices: got 'none'; valid: a machine on which JAX finds a device"),
    ],
)
def test_a_machine_without_the_wanted_device_is_named(
    error: Exception,
    platforms: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compose()  # imports all that looks at devices

    def fail() -> None:
        raise error

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert main(["target=custom", "target.factory=no_such_module.f"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err


def test_chains_that_exceed_the_memory_of_this_machine_are_refused_before_anything_is_allocated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smile.sweep.early, "memory_of_this_machine", lambda: 2**20)
    assert main(["target=funnel", "target.dim=1000000", "scale=smoke"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("smile: error: target.dim: got 1000000; valid: less: ")
    assert line.endswith("GiB, more than the 0.000977 GiB of this machine")

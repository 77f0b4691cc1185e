"""Who is blamed where there is no device to compute on: the environment, not what is computed first."""

from __future__ import annotations

import jax
import pytest

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

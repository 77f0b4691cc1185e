"""Samplers, tuners, networks and methods with the defaults of ``conf/``, so that there is one definition of each.

``smile.psmile(ema_rate=0.05)`` is what ``smile target=bnn sampler=psmile sampler.ema_rate=0.05`` composes.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from smile.config.run import RunConfig
from smile.kernels import SAMPLERS, Sampler
from smile.models import MODELS, ModelOptions
from smile.options import Options, UnknownOptionError
from smile.preflight import compose
from smile.tuners import TUNERS, TunerOptions

__all__ = [
    "adasghmc",
    "ccadl",
    "composed",
    "cosine",
    "cyclical",
    "energy_target",
    "energy_variance",
    "linear",
    "mlp",
    "psgld",
    "psmile",
    "sghmc",
    "sgld",
    "sgnht",
    "smile",
]


@cache
def composed(*overrides: str) -> RunConfig:
    """The run that the command line makes of ``target=bnn`` and ``overrides``; its data stand for the caller's.

    Raises:
        ConfigError: in one line, what is wrong.
    """
    return compose(["target=bnn", "data=diabetes", "model=fcn", *overrides])


def _sampler(choice: str, options: dict[str, Any]) -> Sampler:
    default = composed(f"sampler={choice}").sampler
    assert isinstance(default, SAMPLERS[choice] or ())
    return _with(default, options)


def _tuner(choice: str, options: dict[str, Any]) -> TunerOptions:
    default = composed("sampler=psmile", f"tuner={choice}").tuner
    assert isinstance(default, TUNERS[choice] or ())
    return _with(default, options)


def _with(default: Any, options: dict[str, Any]) -> Any:
    assert isinstance(default, Options)
    known = [field.name for field in dataclasses.fields(default) if "convert" in field.metadata]
    for name in options:
        if name not in known:
            raise UnknownOptionError(f"{default.group}.{name}", known, f"{default.group}={default.name}")
    return dataclasses.replace(default, **options)


def smile(**options: Any) -> Sampler:
    """SMILE-naive, with tuner ``energy_variance`` SMILE; options: conf/sampler/smile.yaml."""
    return _sampler("smile", options)


def psmile(**options: Any) -> Sampler:
    """pSMILE-naive, with tuner ``energy_variance`` pSMILE; options: conf/sampler/psmile.yaml."""
    return _sampler("psmile", options)


def sgld(**options: Any) -> Sampler:
    """Stochastic gradient Langevin dynamics; options: conf/sampler/sgld.yaml."""
    return _sampler("sgld", options)


def psgld(**options: Any) -> Sampler:
    """Preconditioned SGLD; options: conf/sampler/psgld.yaml."""
    return _sampler("psgld", options)


def sghmc(**options: Any) -> Sampler:
    """Stochastic gradient Hamiltonian Monte Carlo; options: conf/sampler/sghmc.yaml."""
    return _sampler("sghmc", options)


def sgnht(**options: Any) -> Sampler:
    """Stochastic gradient Nosé-Hoover thermostat; options: conf/sampler/sgnht.yaml."""
    return _sampler("sgnht", options)


def ccadl(**options: Any) -> Sampler:
    """Covariance-controlled adaptive Langevin thermostat; options: conf/sampler/ccadl.yaml."""
    return _sampler("ccadl", options)


def adasghmc(**options: Any) -> Sampler:
    """Adaptive SGHMC; options: conf/sampler/adasghmc.yaml."""
    return _sampler("adasghmc", options)


def energy_variance(**options: Any) -> TunerOptions:
    """The paper's tuner of step sizes; options: conf/tuner/energy_variance.yaml."""
    return _tuner("energy_variance", options)


def energy_target(**options: Any) -> TunerOptions:
    """A tuner that aims at a variance of the energy error; options: conf/tuner/energy_target.yaml."""
    return _tuner("energy_target", options)


def linear(**options: Any) -> TunerOptions:
    """A step size that falls linearly; options: conf/tuner/linear.yaml."""
    return _tuner("linear", options)


def cosine(**options: Any) -> TunerOptions:
    """A step size that falls as a cosine; options: conf/tuner/cosine.yaml."""
    return _tuner("cosine", options)


def cyclical(**options: Any) -> TunerOptions:
    """A step size that falls in cycles; options: conf/tuner/cyclical.yaml."""
    return _tuner("cyclical", options)


def mlp(*widths: int, activation: str = "relu") -> ModelOptions:
    """The built-in fully connected network; its output layer is what the likelihood needs.

    Args:
        widths: of the hidden layers.
        activation: relu, tanh, gelu or silu.
    """
    return MODELS.make("fcn", widths=widths, activation=activation)

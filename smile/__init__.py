"""SMILE: microcanonical samplers for posteriors with noisy gradients.

``import smile`` takes no time: what is named here is imported where it is first used.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # which type checkers take for true; importing typing would be most of the time
if TYPE_CHECKING:
    from typing import Any

    from smile.api import priors as priors
    from smile.api.bnn import BNN as BNN
    from smile.api.choices import adasghmc as adasghmc
    from smile.api.choices import ccadl as ccadl
    from smile.api.choices import cosine as cosine
    from smile.api.choices import cyclical as cyclical
    from smile.api.choices import energy_target as energy_target
    from smile.api.choices import energy_variance as energy_variance
    from smile.api.choices import linear as linear
    from smile.api.choices import mlp as mlp
    from smile.api.choices import psgld as psgld
    from smile.api.choices import psmile as psmile
    from smile.api.choices import sghmc as sghmc
    from smile.api.choices import sgld as sgld
    from smile.api.choices import sgnht as sgnht
    from smile.api.choices import smile as smile
    from smile.api.fit import Fit as Fit
    from smile.api.inputs import InputError as InputError
    from smile.api.loop import as_blackjax as as_blackjax
    from smile.api.sample import Draws as Draws
    from smile.api.sample import sample as sample
    from smile.api.saved import load as load
    from smile.models.model import Model as Model
    from smile.options import ConfigError as ConfigError
    from smile.tracking.archive import ArchiveError as ArchiveError

# Name -> where it is. `priors` is a module.
_PLACES = {
    "priors": "smile.api.priors",
    "BNN": "smile.api.bnn",
    "Fit": "smile.api.fit",
    "InputError": "smile.api.inputs",
    "load": "smile.api.saved",
    "Draws": "smile.api.sample",
    "sample": "smile.api.sample",
    "as_blackjax": "smile.api.loop",
    "Model": "smile.models.model",
    "ConfigError": "smile.options",
    "ArchiveError": "smile.tracking.archive",
    "mlp": "smile.api.choices",
    "smile": "smile.api.choices",
    "psmile": "smile.api.choices",
    "sgld": "smile.api.choices",
    "psgld": "smile.api.choices",
    "sghmc": "smile.api.choices",
    "sgnht": "smile.api.choices",
    "ccadl": "smile.api.choices",
    "adasghmc": "smile.api.choices",
    "energy_variance": "smile.api.choices",
    "energy_target": "smile.api.choices",
    "linear": "smile.api.choices",
    "cosine": "smile.api.choices",
    "cyclical": "smile.api.choices",
}

__all__ = [
    "BNN",
    "ArchiveError",
    "ConfigError",
    "Draws",
    "Fit",
    "InputError",
    "Model",
    "__version__",
    "adasghmc",
    "as_blackjax",
    "ccadl",
    "cosine",
    "cyclical",
    "energy_target",
    "energy_variance",
    "linear",
    "load",
    "mlp",
    "priors",
    "psgld",
    "psmile",
    "sample",
    "sghmc",
    "sgld",
    "sgnht",
    "smile",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'smile' has no attribute {name!r}")
    module = import_module(place)
    value = module if place.endswith(f".{name}") and name == "priors" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

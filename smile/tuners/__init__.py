"""Step-size control, independent of the kernel.

A tuner is ``init(step_size) -> state`` and ``update(state, info) -> (state, step_size, reset)``; composed with a kernel
by ``tuned(kernel, tuner)`` it is again a (init, step) pair, without the ``step_size`` argument. ``constant`` is the
composition with no tuner.
"""

from smile.choices import Choices
from smile.tuners.base import TunedState as TunedState
from smile.tuners.base import Tuner as Tuner
from smile.tuners.base import constant as constant
from smile.tuners.base import tuned as tuned
from smile.tuners.energy_target import EnergyTarget
from smile.tuners.energy_target import energy_target as energy_target
from smile.tuners.energy_variance import EnergyVariance
from smile.tuners.energy_variance import energy_variance as energy_variance
from smile.tuners.mclmc import MCLMCAdaptation
from smile.tuners.options import Adaptation as Adaptation
from smile.tuners.options import Adapted as Adapted
from smile.tuners.options import AdaptingTuner as AdaptingTuner
from smile.tuners.options import NoTuner
from smile.tuners.options import TunerOptions as TunerOptions
from smile.tuners.schedules import Cosine, Cyclical, Linear
from smile.tuners.schedules import cosine as cosine
from smile.tuners.schedules import cyclical as cyclical
from smile.tuners.schedules import linear as linear

TUNERS: Choices[TunerOptions] = Choices(
    "tuner",
    TunerOptions,
    {
        "none": NoTuner,
        "energy_variance": EnergyVariance,
        "energy_target": EnergyTarget,
        "linear": Linear,
        "cosine": Cosine,
        "cyclical": Cyclical,
        "mclmc": MCLMCAdaptation,
    },
)

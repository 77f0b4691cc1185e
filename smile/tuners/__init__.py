"""Step-size control, independent of the kernel.

A tuner is ``init(step_size) -> state`` and ``update(state, info) -> (state, step_size, reset)``; composed with a kernel
by ``tuned(kernel, tuner)`` it is again a (init, step) pair, without the ``step_size`` argument. ``constant`` is the
composition with no tuner.
"""

from smile.tuners.base import TunedState as TunedState
from smile.tuners.base import Tuner as Tuner
from smile.tuners.base import constant as constant
from smile.tuners.base import tuned as tuned
from smile.tuners.energy_variance import energy_variance as energy_variance
from smile.tuners.schedules import cosine as cosine
from smile.tuners.schedules import cyclical as cyclical
from smile.tuners.schedules import linear as linear

"""Log densities and what is known about them, and the table that ``target=...`` chooses from."""

from smile.choices import Choices
from smile.targets.bnn import BNN, NanoGPT
from smile.targets.bnn import NetworkPosterior as NetworkPosterior
from smile.targets.bnn import NetworkTarget as NetworkTarget
from smile.targets.bnn import bnn as bnn
from smile.targets.bnn import likelihood as likelihood
from smile.targets.custom import Custom
from smile.targets.custom import custom as custom
from smile.targets.custom import from_logdensity as from_logdensity
from smile.targets.funnel import Funnel
from smile.targets.funnel import funnel as funnel
from smile.targets.icg import ICG
from smile.targets.icg import icg as icg
from smile.targets.options import AnalyticTarget as AnalyticTarget
from smile.targets.options import TargetOptions as TargetOptions
from smile.targets.posteriors import POSTERIORS as POSTERIORS
from smile.targets.posteriors import Posterior
from smile.targets.prior import Prior as Prior
from smile.targets.prior import ScaleRule as ScaleRule
from smile.targets.rosenbrock import Rosenbrock
from smile.targets.rosenbrock import rosenbrock as rosenbrock
from smile.targets.supports import interval as interval
from smile.targets.supports import ordered as ordered
from smile.targets.supports import positive as positive
from smile.targets.supports import simplex as simplex

TARGETS: Choices[TargetOptions] = Choices(
    "target",
    TargetOptions,
    {
        "icg": ICG,
        "rosenbrock": Rosenbrock,
        "funnel": Funnel,
        "custom": Custom,
        "bnn": BNN,
        "nanogpt": NanoGPT,
        **dict.fromkeys(POSTERIORS, Posterior),
    },
)

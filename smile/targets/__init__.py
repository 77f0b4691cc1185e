"""Log densities and what is known about them."""

from smile.targets.bnn import NetworkPosterior as NetworkPosterior
from smile.targets.bnn import Prior as Prior
from smile.targets.bnn import bnn as bnn
from smile.targets.bnn import likelihood as likelihood
from smile.targets.custom import custom as custom
from smile.targets.custom import from_logdensity as from_logdensity
from smile.targets.funnel import funnel as funnel
from smile.targets.icg import icg as icg
from smile.targets.rosenbrock import rosenbrock as rosenbrock

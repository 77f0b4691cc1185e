"""Chains: compiled loops over kernels and tuners."""

from smile.sampling.chains import Samples as Samples
from smile.sampling.chains import sample as sample
from smile.sampling.chains import trailing_chains as trailing_chains

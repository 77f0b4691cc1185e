"""Chains: compiled loops over kernels and tuners."""

from smile.sampling.adaptation import adapt_ensemble as adapt_ensemble
from smile.sampling.chains import Samples as Samples
from smile.sampling.chains import sample as sample
from smile.sampling.chains import trailing_chains as trailing_chains
from smile.sampling.checkpoint import Checkpoints as Checkpoints
from smile.sampling.draws import DrawFiles as DrawFiles
from smile.sampling.draws import DrawKeeper as DrawKeeper
from smile.sampling.draws import has_draws as has_draws
from smile.sampling.draws import load_draws as load_draws
from smile.sampling.draws import thin as thin
from smile.sampling.draws import thinning_to as thinning_to
from smile.sampling.draws import write_draws as write_draws
from smile.sampling.ensemble import Batches as Batches
from smile.sampling.ensemble import Chains as Chains
from smile.sampling.ensemble import EnsembleResult as EnsembleResult
from smile.sampling.ensemble import Monitor as Monitor
from smile.sampling.ensemble import sample_ensemble as sample_ensemble
from smile.sampling.length import Length as Length
from smile.sampling.one_step import Look as Look
from smile.sampling.warm_start import WARM_STARTS as WARM_STARTS
from smile.sampling.warm_start import Member as Member
from smile.sampling.warm_start import TrainedEnsemble as TrainedEnsemble
from smile.sampling.warm_start import Training as Training
from smile.sampling.warm_start import WarmStartOptions as WarmStartOptions
from smile.sampling.warm_start import train_ensemble as train_ensemble

"""Numbers from samples."""

from smile.metrics.batch_noise import predicted_sd_ratios as predicted_sd_ratios
from smile.metrics.bias import second_moment_bias as second_moment_bias
from smile.metrics.diagnostics import rank_diagnostics as rank_diagnostics
from smile.metrics.diagnostics import rhat_and_ess as rhat_and_ess
from smile.metrics.ess import second_moment_ess as second_moment_ess
from smile.metrics.posterior import posterior_errors as posterior_errors
from smile.metrics.richardson import extrapolate as extrapolate
from smile.metrics.wasserstein import reference as reference
from smile.metrics.wasserstein import wasserstein_bias as wasserstein_bias

"""One file per dynamics: pure (init, step) pairs over pytrees."""

from smile.kernels.adasghmc import adasghmc as adasghmc
from smile.kernels.ccadl import ccadl as ccadl
from smile.kernels.preconditioner import gradient_noise as gradient_noise
from smile.kernels.sghmc import sghmc as sghmc
from smile.kernels.sgld import sgld as sgld
from smile.kernels.sgnht import sgnht as sgnht
from smile.kernels.smile import smile as smile

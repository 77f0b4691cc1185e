"""One file per dynamics: pure (init, step) pairs over pytrees, and the table that ``sampler=...`` chooses from."""

from smile.choices import Choices
from smile.kernels.adasghmc import AdaSGHMC
from smile.kernels.adasghmc import adasghmc as adasghmc
from smile.kernels.ccadl import CCAdL
from smile.kernels.ccadl import ccadl as ccadl
from smile.kernels.contrast_friction import ContrastFriction
from smile.kernels.contrast_friction import contrast_friction as contrast_friction
from smile.kernels.preconditioner import gradient_noise as gradient_noise
from smile.kernels.preconditioner import posterior_scale as posterior_scale
from smile.kernels.psgld import PSGLD
from smile.kernels.psgld import psgld as psgld
from smile.kernels.sampler import Sampler as Sampler
from smile.kernels.sghmc import SGHMC
from smile.kernels.sghmc import sghmc as sghmc
from smile.kernels.sgld import SGLD
from smile.kernels.sgld import sgld as sgld
from smile.kernels.sgnht import SGNHT
from smile.kernels.sgnht import sgnht as sgnht
from smile.kernels.smile import MCLMC, PSMILE, SMILE
from smile.kernels.smile import smile as smile

SAMPLERS: Choices[Sampler] = Choices(
    "sampler",
    Sampler,
    {
        "smile": SMILE,
        "psmile": PSMILE,
        "sgld": SGLD,
        "psgld": PSGLD,
        "sghmc": SGHMC,
        "sgnht": SGNHT,
        "ccadl": CCAdL,
        "contrast_friction": ContrastFriction,
        "adasghmc": AdaSGHMC,
        "mclmc": MCLMC,
    },
)

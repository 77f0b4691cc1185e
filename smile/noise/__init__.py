"""What is wrong with the gradients: wrappers that take a target and return a target."""

from smile.noise.structure import NOISES as NOISES
from smile.noise.structure import Isotropic as Isotropic
from smile.noise.structure import Noise as Noise
from smile.noise.structure import NoiseOptions as NoiseOptions
from smile.noise.structure import NoNoise as NoNoise
from smile.noise.structure import SpatiallyVaried as SpatiallyVaried
from smile.noise.structure import add_noise as add_noise

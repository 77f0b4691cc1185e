"""What is wrong with the gradients: wrappers that take a target and return a target."""

from smile.noise.structure import add_noise as add_noise

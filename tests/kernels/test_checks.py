"""What kernels and tuners refuse, since it would give wrong numbers without a word."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Subsampling
from smile.kernels import adasghmc, ccadl, gradient_noise, posterior_scale, psgld, sghmc, sgld, sgnht, smile
from smile.tuners import cosine, cyclical, energy_variance, linear
from smile.tuners.mclmc import find_L_and_step_size


def logdensity(x, batch):
    return -0.5 * jnp.sum(x**2, axis=0)


def adapt(num_steps=10, desired_energy_variance=0.1, dim=2):
    find_L_and_step_size(
        lambda x: logdensity(x, ()),
        jnp.ones(dim),
        jax.random.key(0),
        num_steps=num_steps,
        desired_energy_variance=desired_energy_variance,
    )


OUTSIDE = {
    "(0, 1)": (0, 1, -0.1, 1.1),
    "(0, 1]": (0, 1.1),
    "[0, 1)": (-0.1, 1),
    "[0, 1]": (-0.1, 1.1),
    "(0, inf)": (0, -1, np.inf),
    "[0, inf)": (-1, np.inf),
    "a whole number >= 1": (0, 1.5, True),
}
ARGUMENTS = [
    (lambda **k: smile(logdensity, **k), "momentum_decoherence_length", "(0, inf)"),
    (gradient_noise, "rate", "(0, 1)"),
    (gradient_noise, "freeze_after", "a whole number >= 1"),
    (lambda **k: posterior_scale(Subsampling(9, 2), **k), "rate", "(0, 1)"),
    (lambda **k: posterior_scale(Subsampling(9, 2), **k), "freeze_after", "a whole number >= 1"),
    (lambda **k: posterior_scale(Subsampling(9, 2, **k)), "prior_sd", "(0, inf)"),
    (lambda **k: sgld(logdensity, **k), "temperature", "[0, inf)"),
    (lambda **k: psgld(logdensity, **k), "rate", "(0, 1)"),
    (lambda **k: psgld(logdensity, **k), "damping", "(0, inf)"),
    (lambda **k: psgld(logdensity, **k), "freeze_after", "a whole number >= 1"),
    (lambda **k: sghmc(logdensity, **k), "friction", "(0, inf)"),
    (lambda **k: adasghmc(logdensity, **k), "momentum_decay", "(0, 1)"),
    (lambda **k: adasghmc(logdensity, **k), "freeze_after", "a whole number >= 1"),
    (lambda **k: sgnht(logdensity, **k), "diffusion", "[0, inf)"),
    (lambda **k: ccadl(logdensity, **k), "diffusion", "[0, inf)"),
    (lambda **k: ccadl(logdensity, diffusion=1.0, **k), "rate", "(0, 1)"),
    (energy_variance, "reset_quantile", "(0, 1]"),
    (energy_variance, "adaptation_probability", "[0, 1)"),
    (energy_variance, "adaptation_strength", "[0, 1)"),
    (energy_variance, "smoothing", "(0, 1)"),
    (energy_variance, "freeze_after", "a whole number >= 1"),
    (lambda **k: linear(10, **k), "end_fraction", "[0, 1]"),
    (lambda **k: cosine(10, **k), "end_fraction", "[0, 1]"),
    (lambda **k: cosine(end_fraction=0.1, **k), "num_steps", "a whole number >= 1"),
    (lambda **k: cyclical(10, exploration=0.3, end_fraction=0.1, **k), "num_cycles", "a whole number >= 1"),
    (lambda **k: cyclical(10, 2, end_fraction=0.1, **k), "exploration", "[0, 1)"),
    (lambda **k: cyclical(10, 2, 0.3, **k), "end_fraction", "[0, 1]"),
    (adapt, "num_steps", "a whole number >= 1"),
    (adapt, "desired_energy_variance", "(0, inf)"),
]


@pytest.mark.parametrize(("make", "name", "valid"), ARGUMENTS)
def test_arguments_outside_their_range(make, name, valid):
    for value in (*OUTSIDE[valid], np.nan, "much"):
        with pytest.raises(ValueError, match=name) as error:
            make(**{name: value})
        assert str(value) in str(error.value) and valid in str(error.value)
        assert "\n" not in str(error.value)


def test_one_wrong_chain_among_many():
    with pytest.raises(ValueError, match="momentum_decoherence_length"):
        smile(logdensity, momentum_decoherence_length=jnp.array([1.0, 0.0]))


def test_traced_values_pass():
    def positions(length, rate):
        kernel = smile(
            logdensity, momentum_decoherence_length=length, preconditioner=gradient_noise(rate=rate)
        )
        state = kernel.init(jnp.ones(3), jax.random.key(0), ())
        return kernel.step(jax.random.key(1), state, (), jnp.float32(0.1))[0].position

    assert np.isfinite(jax.jit(positions)(2.0, 0.1)).all()


KERNELS = {
    "smile": lambda f: smile(f, momentum_decoherence_length=1.0),
    "sgld": sgld,
    "psgld": psgld,
    "sghmc": sghmc,
    "adasghmc": adasghmc,
    "sgnht": lambda f: sgnht(f, diffusion=1.0),
    "ccadl": lambda f: ccadl(f, diffusion=1.0),
}


@pytest.mark.parametrize("make", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize(
    ("position", "step_size"),
    [((4,), (3,)), ((4, 3), ()), ((4, 3), (1,)), ((4, 3), (4,)), ((4, 3), (4, 3)), ((3,), (3,))],
)
def test_a_step_size_that_is_not_one_number_for_each_chain(make, position, step_size):
    """Without the check most of these run: as other chains than the user's, or one chain as many."""
    if position == (3,) and step_size == (
        3,
    ):  # a log density of three chains of one coordinate is none of one chain
        kernel = make(lambda x, batch: jnp.sum(logdensity(x, batch)))
    else:
        kernel = make(logdensity)
    state = kernel.init(jnp.ones(position), jax.random.key(0), jnp.zeros(()))
    with pytest.raises(ValueError, match="step_size of shape"):
        jax.jit(kernel.step)(jax.random.key(1), state, jnp.zeros(()), jnp.full(step_size, 0.01))


@pytest.mark.parametrize("make", KERNELS.values(), ids=KERNELS)
def test_a_part_of_the_position_without_chains(make):
    kernel = make(lambda x, batch: -0.5 * jnp.sum(x["a"] ** 2, 0) - 0.5 * jnp.sum(x["b"] ** 2))
    position = {"a": jnp.ones((4, 3)), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"array of shape \(2,\)"):
        kernel.step(
            jax.random.key(1),
            kernel.init(position, jax.random.key(0), jnp.zeros(())),
            jnp.zeros(()),
            jnp.full(3, 0.01),
        )


@pytest.mark.parametrize("position", [jnp.ones(1), jnp.ones(()), jnp.ones((1, 5))], ids=np.shape)
def test_one_dimension_is_too_few_for_microcanonical_dynamics(position):
    kernel = smile(lambda x, batch: -0.5 * (jnp.sum(x**2, 0) if x.ndim else x**2))
    with pytest.raises(ValueError, match="dimension 1"):
        kernel.init(position, jax.random.key(0), jnp.zeros(()))


def test_one_dimension_is_too_few_for_the_adaptation():
    with pytest.raises(ValueError, match="dimension 1"):
        adapt(dim=1)


SILENT = {
    "momentum_decoherence_length=None": smile,
    "diffusion=0": lambda f: sgnht(f, diffusion=0),
    "diffusion=0 ": lambda f: ccadl(f, diffusion=0.0),
}


@pytest.mark.parametrize("empty", [(), None, {}])
@pytest.mark.parametrize("argument", SILENT)
def test_no_noise_from_anywhere(argument, empty):
    """A chain that nothing perturbs samples another distribution: for SMILE E|x|^2 / d is 5 to 9 instead of 1."""
    kernel = SILENT[argument](logdensity)
    state = kernel.init(jnp.ones(3), jax.random.key(0), empty)
    with pytest.raises(ValueError, match=f"{argument.strip()} .*batch is empty"):
        kernel.step(jax.random.key(1), state, empty, jnp.float32(0.1))

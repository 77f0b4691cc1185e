"""What holds for every kernel, and agreement with BlackJAX where the algorithms coincide."""

from __future__ import annotations

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.mcmc.integrators import IntegratorState, isokinetic_mclachlan
from blackjax.sgmcmc.sgnht import SGNHTState

from smile.base import Build, Subsampling
from smile.kernels import SAMPLERS, ccadl, gradient_noise, posterior_scale, sghmc, sgld, sgnht, smile
from smile.preflight import compose

PRECISION = np.array([0.5, 1.0, 4.0, 9.0, 2.0])
START = np.array([1.0, -0.5, 0.3, 0.2, -1.0], np.float32)


def declared_kernel(name):
    sampler = compose([f"sampler={name}", *(["noise=none"] if name == "mclmc" else [])]).sampler

    def make(f):
        return sampler.build(Build(num_steps=8), 5.0 if sampler.tuned_by else ())(f)

    make.parts = sampler.parts
    return make


# Without noise of their own, so that two ways to run them must give the same numbers.
DETERMINISTIC = {
    "smile": smile,
    "psmile": lambda f: smile(f, preconditioner=gradient_noise(0.3)),
    "psmile frozen": lambda f: smile(f, preconditioner=gradient_noise(0.3, freeze_after=5)),
    "psmile posterior": lambda f: smile(f, preconditioner=posterior_scale(Subsampling(9, 2), 0.3)),
    "psmile analytic": lambda f: smile(f, preconditioner=gradient_noise(0.3, reference="analytic")),
    "psmile network": lambda f: smile(f, preconditioner=gradient_noise(0.3, reference="network")),
    "sgld": lambda f: sgld(f, temperature=0.0),
    "sgnht": lambda f: sgnht(f, diffusion=0.0),
    "sgnht per coordinate": lambda f: sgnht(f, diffusion=0.0, per_coordinate=True),
    "ccadl": lambda f: ccadl(f, diffusion=0.0, rate=0.3),
}
# Every sampler that can be chosen, with the defaults of its YAML: a new one is tested by entering the table.
DECLARED = {f"sampler={name}": declared_kernel(name) for name in SAMPLERS}
KERNELS = DETERMINISTIC | DECLARED | {"sghmc redrawn": lambda f: sghmc(f, momentum="redrawn")}
STEPS = 8


def logdensity(x, batch):
    """A batch is a number for each chain, or rows of them along a leading axis."""
    precision = jnp.asarray(PRECISION, x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
    batch = jnp.reshape(batch, (-1, *x.shape[1:])).mean(axis=0)
    return -0.5 * jnp.sum(precision * x**2, axis=0) + 3 * batch * jnp.sum(x, axis=0)


def batches(*chains, make=None):
    """One for each step, of as many rows as the kernel divides it into."""
    parts = getattr(make, "parts", 1)
    return jax.random.normal(jax.random.key(8), (STEPS, *(() if parts == 1 else (parts,)), *chains))


def run(kernel, position, batch, step_size):
    """All states and infos of one step per row of ``batch``; the first batch also starts the chain."""

    def step(state, xs):
        state, info = kernel.step(xs[0], state, xs[1], step_size)
        return state, (state, info)

    keys = jax.random.split(jax.random.key(1), len(batch))
    return jax.lax.scan(step, kernel.init(position, jax.random.key(0), batch[0]), (keys, batch))[1]


@pytest.mark.parametrize("make", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_trailing_chains_are_a_vmap(make):
    """The layout is an optimisation: the same numbers as one chain at a time."""
    kernel, batch = make(logdensity), batches(3)
    positions, steps = START[:, None] * np.array([0.5, 1.0, 1.5], np.float32), jnp.array([0.02, 0.05, 0.1])
    state = kernel.init(positions, jax.random.key(0), batch[0])

    def one_chain(state, batch, step_size):
        return kernel.step(jax.random.key(1), state, batch, step_size)

    vmapped = jax.vmap(one_chain, in_axes=(-1, -1, -1), out_axes=-1)
    one_by_one = state
    for b in batch:
        state, info = kernel.step(jax.random.key(1), state, b, steps)
        one_by_one, info_one = vmapped(one_by_one, b, steps)
        info_one = info_one._replace(gradient_evaluations=info_one.gradient_evaluations[0])
        for a, c in zip(jax.tree.leaves((state, info)), jax.tree.leaves((one_by_one, info_one)), strict=True):
            np.testing.assert_allclose(a, c, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("make", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_the_layout_of_the_pytree_does_not_matter(make):
    def as_tree(x):
        return {"b": x[:2], "a": (x[2:4].reshape(2, 1), x[4])}

    def of_tree(tree, batch):
        return logdensity(jnp.concatenate([tree["b"], tree["a"][0][:, 0], tree["a"][1][None]]), batch)

    flat, tree = make(logdensity), make(of_tree)
    state = flat.init(START, jax.random.key(0), batches()[0])
    state_tree = tree.init(as_tree(START), jax.random.key(0), batches()[0])
    for drawn in {"velocity", "momentum"}.intersection(
        state._fields
    ):  # leaf by leaf, so the first one differs
        state_tree = state_tree._replace(**{drawn: as_tree(getattr(state, drawn))})
    for b in batches():
        state, info = flat.step(jax.random.key(1), state, b, jnp.float32(0.05))
        state_tree, info_tree = tree.step(jax.random.key(1), state_tree, b, jnp.float32(0.05))
        for a, c in zip(*map(jax.tree.leaves, (as_tree(state.position), state_tree.position)), strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(info.energy_error, info_tree.energy_error, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", KERNELS.values(), ids=KERNELS)
def test_dtypes_are_kept(make, dtype):
    with jax.enable_x64(dtype == "float64"):
        states, info = run(
            make(logdensity),
            jnp.asarray(START, dtype),
            batches(make=make).astype(dtype),
            jnp.asarray(0.01, dtype),
        )
        floats = {x.dtype for x in jax.tree.leaves((states, info)) if jnp.issubdtype(x.dtype, jnp.floating)}
    assert floats == {jnp.dtype(dtype)}


@pytest.mark.parametrize("make", KERNELS.values(), ids=KERNELS)
def test_gradient_evaluations_are_counted(make):
    calls = []

    def counting(x, batch):
        jax.debug.callback(lambda: calls.append(1))
        return logdensity(x, batch)

    kernel = make(counting)
    state = kernel.init(START, jax.random.key(0), batches(make=make)[0])
    jax.block_until_ready(state)
    jax.effects_barrier()
    calls.clear()
    _, info = kernel.step(jax.random.key(1), state, batches(make=make)[0], jnp.float32(0.01))
    jax.effects_barrier()
    assert len(calls) == info.gradient_evaluations


@pytest.mark.parametrize("make", KERNELS.values(), ids=KERNELS)
def test_divergence_is_flagged_and_does_not_spread(make):
    """A log density that ends: the chain that left it is flagged, its neighbour is untouched."""

    def bounded(x, batch):
        return jnp.where(jnp.abs(x[0]) < 1.5, logdensity(x, batch), jnp.nan)

    positions = np.stack([START, START + np.array([1.0, 0, 0, 0, 0], np.float32)], axis=1)
    states, info = run(make(bounded), positions, batches(2, make=make), jnp.full(2, 0.001))
    assert np.isfinite(states.position[..., 0]).all() and not info.is_divergent[:, 0].any()
    assert info.is_divergent[-1, 1]


def test_a_vanishing_gradient_leaves_the_velocity_alone():
    states, info = run(smile(lambda x, batch: 0.0 * jnp.sum(x)), START, batches(), jnp.float32(0.1))
    np.testing.assert_allclose(states.velocity[-1], states.velocity[0], rtol=1e-6)
    np.testing.assert_allclose(info.energy_error, 0, atol=1e-6)


def test_the_velocity_has_unit_length():
    states, _ = run(smile(logdensity), START, jnp.zeros(5000), jnp.float32(0.3))
    np.testing.assert_allclose(jnp.linalg.norm(states.velocity, axis=1), 1, atol=1e-5)


def test_energy_error_is_of_third_order():
    """McLachlan's scheme is of second order: the energy error of one step is O(eps^3), its variance O(eps^6)."""
    steps = np.array([0.02, 0.04, 0.08, 0.16])
    with jax.enable_x64(True):
        kernel = smile(logdensity)
        positions = jax.random.normal(jax.random.key(3), (5, 2000)) / np.sqrt(PRECISION)[:, None]
        state = kernel.init(positions, jax.random.key(0), jnp.zeros(2000))
        variances = [
            kernel.step(jax.random.key(1), state, jnp.zeros(2000), jnp.full(2000, eps))[1].energy_error.var()
            for eps in steps
        ]
    slopes = np.diff(np.log(variances)) / np.diff(np.log(steps))
    np.testing.assert_allclose(slopes, 6, atol=0.15)


def test_agrees_with_the_integrator_of_blackjax():
    """Full batch, no refresh: BlackJAX's isokinetic McLachlan integrator, position, velocity and energy."""
    with jax.enable_x64(True):
        x = jnp.asarray(START, float)
        kernel = smile(logdensity)
        ours = kernel.init(x, jax.random.key(0), 0.0)
        value, gradient = jax.value_and_grad(logdensity)(x, 0.0)
        theirs = IntegratorState(x, ours.velocity, value, gradient)
        integrate = isokinetic_mclachlan(lambda x: logdensity(x, 0.0), 1.0)
        for _ in range(50):
            old = theirs
            ours, info = kernel.step(jax.random.key(1), ours, 0.0, jnp.asarray(0.1))
            theirs, kinetic = integrate(theirs, 0.1)
            np.testing.assert_allclose(ours.position, theirs.position, atol=1e-9)
            np.testing.assert_allclose(ours.velocity, theirs.momentum, atol=1e-9)
            energy_error = kinetic - theirs.logdensity + old.logdensity
            np.testing.assert_allclose(info.energy_error, energy_error, atol=1e-9)


def test_agrees_with_sgld_of_blackjax():
    theirs = blackjax.sgld(jax.grad(logdensity))
    kernel, key, step = sgld(logdensity), jax.random.key(7), jnp.float32(0.03)
    state = kernel.init(START, key, 0.0)
    position = theirs.init(START)
    for i, b in enumerate(batches()):
        key = jax.random.key(i)
        state, _ = kernel.step(key, state, b, step)
        position = theirs.step(key, position, b, step)
        np.testing.assert_allclose(state.position, position, rtol=1e-5, atol=1e-6)


def test_agrees_with_the_thermostat_of_blackjax():
    """Given the same momentum; BlackJAX moves the position first, by the old momentum, Algorithm 2 by the new one."""
    theirs = blackjax.sgnht(jax.grad(logdensity), alpha=0.7)
    kernel, step = sgnht(logdensity, diffusion=0.7), jnp.float32(0.03)
    state = kernel.init(START, jax.random.key(7), 0.0)
    for i, b in enumerate(batches()):
        key = jax.random.key(i)
        new, _ = kernel.step(key, state, b, step)
        expected = theirs.step(key, SGNHTState(*state[:2], xi=state.thermostat), b, step)
        np.testing.assert_allclose(new.momentum, expected.momentum, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(new.thermostat, expected.xi, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(new.position, state.position + step * new.momentum, rtol=1e-5, atol=1e-6)
        state = new

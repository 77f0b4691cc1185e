"""A network at the size of one of its presets, and one chain of it as loops, compiled once and timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile import random
from smile.config.run import RunConfig
from smile.data import Dataset, Source, Split, source
from smile.execute.problem import Network, algorithm_of, build_network, subsampling_of
from smile.models.options import MixedPrecision
from smile.preflight import compose
from smile.sampling.devices import map_chains
from smile.targets import Prior

# Whose preset says the width, the batch and the size of the images.
EXPERIMENTS = {
    "fcn": "uci",
    "lenet": "fmnist",
    "resnet7": "figure1",
    "resnet18": "resnet18",
    "vit": "vit",
    "gpt": "figure2",
}
PIXELS = {"lenet": (28, 1), "resnet7": (32, 3), "resnet18": (32, 3), "vit": (160, 3)}
FEATURES, CHARACTERS, CLASSES = 11, 65, 10  # of bikesharing, modern Shakespeare, and all images
ROWS, TOKENS, STEP_SIZE = 2048, 100_000, 1e-4

Body = Callable[[Any, Any, jax.Array], Any]  # (data, state, number of the step) -> state


class Work(NamedTuple):
    """A network on random data of the shapes and types of real ones: speed does not depend on the values.

    Attributes:
        overrides: that compose its config, but for the method.
        network: posterior, model, data and batch size.
        source: of the batches, data on the device.
        position: of one chain, (dim,).
        precision: of products of matrices, None: that of runs; see ``jax.default_matmul_precision``.
    """

    overrides: tuple[str, ...]
    network: Network
    source: Source
    position: jax.Array
    precision: str | None = None


def has_half_precision(name: str) -> bool:
    """Whether the network has ``model.dtype``."""
    return isinstance(_config("psmile", *_preset(name, "smoke")).model, MixedPrecision)


def work(name: str, scale: str, *options: str, dtype: str = "float32", precision: str | None = None) -> Work:
    """One of ``EXPERIMENTS`` as its preset has it at that scale, but for ``options``."""
    half = [] if dtype == "float32" else [f"model.dtype={dtype}"]
    overrides = (*_preset(name, scale), *half, *options)
    config = _config("psmile", *overrides)
    chosen = config.network
    assert chosen is not None
    rows = 2 * chosen.target.batch_size if isinstance(chosen.target.batch_size, int) else ROWS
    # options of images and of text
    side, context = (getattr(chosen.data, option, None) for option in ("size", "context"))
    data = _data(name, rows, side, context)
    prior = Prior(chosen.target.prior, chosen.target.prior_scale)
    network = build_network(replace(chosen.target, microbatches=1), data, chosen.model.build, prior, name)
    batches, zero = source(data), jnp.zeros(())
    params = jax.jit(network.model.init)(random.key(0), jnp.asarray(data.test.x[:2]))
    return Work(overrides, network, batches, network.posterior.join(params, zero), precision)


@cache
def _config(method: str, *overrides: str) -> RunConfig:
    return compose([*overrides, f"+method={method}"])


def _preset(name: str, scale: str) -> tuple[str, ...]:
    experiment = f"+experiment={EXPERIMENTS[name]}"
    return experiment, f"scale={scale}", "seed=1", "hydra.mode=RUN"


def _data(name: str, rows: int, side: int | None, context: int | None) -> Dataset:
    rng = np.random.default_rng(0)
    if name == "gpt":
        assert context is not None
        tokens = rng.integers(0, CHARACTERS, TOKENS + 1, dtype=np.uint8)
        windows = tokens[: 2 * context].reshape(2, context)
        pairs = Split(tokens[:-1], tokens[1:]), Split(windows, windows), Split(windows, windows)
        return Dataset(name, "language", *pairs, num_classes=CHARACTERS, context=context)
    if name == "fcn":
        x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
        part = Split(x, rng.normal(size=rows).astype(np.float32))
        return Dataset(name, "regression", part, part, part)
    pixels, channels = PIXELS[name]
    side = side or pixels
    x = rng.integers(0, 256, (rows, side, side, channels), dtype=np.uint8)
    part = Split(x, rng.integers(0, CLASSES, rows).astype(np.int32))
    # Normalised on the device, as the presets but those of CIFAR-10 have it.
    return Dataset(name, "classification", part, part, part, num_classes=CLASSES, x_mean=127.0, x_scale=74.0)


# ---- what a chain does ---------------------------------------------------------------------------


def step_of(work: Work, method: str = "psmile") -> tuple[Any, Body]:
    """State of one chain, and one step of it: batch, kernel and tuner of a ``conf/method``."""
    config, posterior = _config(method, *work.overrides), work.network.posterior
    subsampling = subsampling_of(posterior, work.network.batch_size)
    algorithm = algorithm_of(config, posterior.logdensity, 10_000, subsampling=subsampling).of(())
    data, (key_start, key_step) = work.source.data, jax.random.split(random.key(1))

    def body(data: Any, state: Any, step: jax.Array) -> Any:
        return algorithm.step(jax.random.fold_in(key_step, step), state, batch_of(work, data, step))[0]

    @jax.jit
    def start(position: jax.Array, data: Any) -> Any:
        batch = batch_of(work, data, jnp.int32(0))
        return algorithm.init(position, key_start, batch, jnp.float32(STEP_SIZE))

    return start(work.position, data), body


def gradients_of(work: Work, count: int) -> tuple[Any, Body]:
    """The limit: the batch of a step and so many gradients, each where the one before led."""
    gradient = jax.grad(work.network.posterior.logdensity)

    def body(data: Any, position: jax.Array, step: jax.Array) -> jax.Array:
        batch = batch_of(work, data, step)
        for _ in range(count):
            position = position + 1e-12 * gradient(position, batch)
        return position

    return work.position, body


def batches_of(work: Work) -> tuple[Any, Body]:
    """The batch of a step, of which every number is read, and nothing else."""

    def body(data: Any, total: jax.Array, step: jax.Array) -> jax.Array:
        batch = batch_of(work, data, step)
        return total + sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(batch))

    return jnp.zeros(()), body


def gradients_by_leaf_of(work: Work, count: int) -> tuple[Any, Body]:
    """As ``gradients_of``, with respect to the parameters as the network has them, not to one vector of them all."""
    posterior, model = work.network.posterior, work.network.model

    def logdensity(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        prediction = posterior.likelihood.predict(model.apply(params, x), jnp.zeros(()))
        log_prior = -0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return log_prior + posterior.num_rows / y.shape[0] * jnp.sum(
            posterior.likelihood.log_prob(prediction, y)
        )

    def body(data: Any, params: Any, step: jax.Array) -> Any:
        batch = batch_of(work, data, step)
        for _ in range(count):
            gradient = jax.grad(logdensity)(params, batch)
            params = jax.tree.map(lambda leaf, by: leaf + 1e-12 * by, params, gradient)
        return params

    return posterior.split(work.position)[0], body


def batch_of(work: Work, data: Any, step: jax.Array) -> Any:
    """Of one chain."""
    return work.source.draw(data, random.key(2), step, work.network.batch_size)


def flops_of_gradient(work: Work) -> float:
    """Of one batch, as XLA counts them before it optimises."""
    batch = jax.eval_shape(lambda data: batch_of(work, data, jnp.int32(0)), work.source.data)
    lowered = jax.jit(jax.grad(work.network.posterior.logdensity)).lower(work.position, batch)
    return float(lowered.cost_analysis()["flops"])


# ---- programs ------------------------------------------------------------------------------------


def clock() -> float:
    """Seconds that this process computed on a CPU, where other work may share the cores; elsewhere of the wall."""
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


class Program:
    """A loop over steps, compiled; its state stays on the device and is donated from call to call.

    Args:
        work: whose data it reads.
        state: where it begins; copied.
        body: of the loop.
        chains: copies of the state that advance together, as leading axis; None: one, without that axis.
        at_once: how many of them by ``vmap``, see ``map_chains``.
    """

    def __init__(
        self, work: Work, state: Any, body: Body, *, chains: int | None = None, at_once: int | None = None
    ) -> None:
        if chains is not None:
            state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (chains, *jnp.shape(leaf))), state)

        def one(data: Any, state: Any, step: jax.Array) -> Any:
            if chains is None:
                return body(data, state, step)
            return map_chains(lambda state: body(data, state, step), at_once)(state)

        def loop(state: Any, num_steps: jax.Array, data: Any) -> Any:
            return jax.lax.fori_loop(0, num_steps, lambda step, state: one(data, state, step), state)

        self._state = jax.tree.map(lambda leaf: jnp.array(leaf, leaf.dtype), state)
        self._data = work.source.data
        precision = nullcontext() if work.precision is None else jax.default_matmul_precision(work.precision)
        start = clock()
        with precision:
            lowered = jax.jit(loop, donate_argnums=0).lower(self._state, jnp.int32(1), self._data)
            self._loop = lowered.compile()
        self.compile_seconds = clock() - start

    def seconds(self, num_steps: int) -> float:
        """Of so many steps, by ``clock``."""
        start = clock()
        self._state = jax.block_until_ready(self._loop(self._state, jnp.int32(num_steps), self._data))
        return clock() - start

    @property
    def megabytes(self) -> float:
        """Of the device, as XLA planned them: arguments, results and what lies between."""
        found = self._loop.memory_analysis()
        if found is None:
            return float("nan")
        parts = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes)
        return (sum(parts) - found.alias_size_in_bytes) / 1e6


def interleaved(programs: Mapping[str, Program], *, repeats: int, seconds: float) -> dict[str, np.ndarray]:
    """Seconds of one step of every program, (repeats,); in turn, so that a busy moment of the machine hits all.

    Args:
        programs: by name.
        repeats: of every program.
        seconds: that one repetition of one program is to take; at least one step.
    """
    steps = {}
    for name, program in programs.items():
        program.seconds(1)  # the first call of a program loads it
        steps[name] = max(
            1, int(seconds / max(statistics.median(program.seconds(1) for _ in range(3)), 1e-6))
        )
    rounds = [
        {name: program.seconds(steps[name]) / steps[name] for name, program in programs.items()}
        for _ in range(repeats)
    ]
    return {name: np.array([found[name] for found in rounds]) for name in programs}

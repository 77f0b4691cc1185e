"""Full-size networks at their published batches: one step, its two gradients alone, and the memory of evaluation."""

from __future__ import annotations

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process, peak_megabytes

from smile import random
from smile.data import Dataset, Split, rows_of
from smile.execute.predictions import make_monitor
from smile.execute.problem import algorithm_of, subsampling_of
from smile.kernels import sgld
from smile.preflight import compose
from smile.sampling import Batches, Chains, Length, sample_ensemble
from smile.targets import Prior, bnn, likelihood
from smile.tuners import constant, tuned

# Whose preset says the rest, the published batch, and into how many parts it is divided on a CPU.
MODELS = {
    "lenet": ("fmnist", 512, 1),
    "resnet7": ("figure1", 512, 16),
    "resnet18": ("resnet18", 512, 32),
    "vit": ("vit", 128, 32),
    "gpt": ("figure2", 128, 32),
}
SHAPES = {"lenet": (28, 28, 1), "resnet7": (32, 32, 3), "resnet18": (32, 32, 3), "vit": (160, 160, 3)}


def report(output: Path, names: list[str]) -> None:
    rows = []
    for name in names:
        found = in_own_process(measure, name=name)
        tera = found["flops"] / found["step"] / 1e12
        rows.append(
            {
                "network": name,
                "parameters": f"{found['parameters']:,.0f}",
                "batch": MODELS[name][1],
                "parts": f"{found['parts']:.0f}",
                "s / step": f"{found['step']:.3g}",
                "two gradients, s": f"{found['limit']:.3g}",
                "ratio": f"{found['step'] / found['limit']:.2f}",
                "TFLOP/s": f"{tera:.3g}",
                "peak memory": f"{found['megabytes']:,.0f} MB",
            }
        )
        show(rows[-1])
    memory = [
        {
            "draws": f"{draws:,}",
            "peak memory": f"{in_own_process(measure_evaluation, draws=draws)['megabytes']:,.0f} MB",
        }
        for draws in (20, 200)
    ]
    speed = pd.DataFrame(rows)
    paragraphs = [
        "# Full-size networks",
        f"{machine()}. One step of pSMILE of one chain, tuner included, at the published batch size, accumulated"
        " over so many parts, and the two gradients of the batch alone; the best of two, compilation not counted."
        " FLOP are those that XLA counts in a gradient of the batch, twice.",
        markdown(speed),
        "Peak memory of LeNet, 2 chains, that evaluates every draw on 11,000 + 10,000 images:",
        markdown(pd.DataFrame(memory)),
    ]
    write(output, "models", paragraphs, speed, command="python scripts/bench --only models")


def measure(name: str) -> dict[str, float]:
    """Seconds of one step and of its two gradients, and what XLA counts."""
    parts = MODELS[name][2] if jax.default_backend() == "cpu" else 1
    config, model, posterior, batch = full_size(name, parts)
    params = jax.jit(model.init)(random.key(0), batch[0][:2])
    position = posterior.join(params, jnp.zeros(()))
    subsampling = subsampling_of(posterior, MODELS[name][1])
    algorithm = algorithm_of(config, posterior.logdensity, 100, subsampling=subsampling).of(())
    state = jax.jit(algorithm.init)(position, random.key(1), batch, jnp.float32(1e-3))
    gradient = jax.jit(jax.grad(posterior.logdensity)).lower(position, batch).compile()

    def best(function, *arguments) -> float:
        seconds = []
        for _ in range(2 if jax.default_backend() == "cpu" else 20):
            start = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    step = jax.jit(algorithm.step)
    jax.block_until_ready(step(random.key(2), state, batch))
    found = {
        "step": best(step, random.key(2), state, batch),
        "limit": 2 * best(gradient, position, batch),
        # XLA counts the body of a loop once
        "flops": 2 * parts * gradient.cost_analysis()["flops"],
        "parameters": posterior.dim,
        "parts": parts,
    }
    return found | {"megabytes": peak_megabytes()}


def measure_evaluation(draws: int) -> dict[str, float]:
    """Peak memory of LeNet, whose draws are all evaluated."""
    _, model, posterior, (x, _) = full_size("lenet", 1)
    rng = np.random.default_rng(0)
    splits = [
        Split(rng.normal(size=(n, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, n).astype(np.int32))
        for n in (512, 11_000, 10_000)
    ]
    dataset = Dataset("random", "classification", *splits, num_classes=10)
    length = Length(draws, 0, 1)
    keys = jax.random.split(random.key(0), 2)
    positions = jax.vmap(lambda key: posterior.join(model.init(key, x[:2]), jnp.zeros(())))(keys)
    algorithm = tuned(sgld(posterior.logdensity), constant())
    sample_ensemble(
        Chains(lambda parameters: algorithm, positions, jnp.full(2, 1e-6), at_once=1),
        Batches(rows_of(tuple(splits[0])), 64),
        make_monitor(dataset, posterior, 1, length, 1, 500),
        length,
        key=random.key(0),
    )
    return {"megabytes": peak_megabytes()}


def full_size(name: str, parts: int):
    """Config, model and posterior of an experiment at scale=paper, with one batch of random data."""
    experiment, batch, _ = MODELS[name]
    config = compose(
        [f"+experiment={experiment}", "scale=paper", "+method=psmile", "seed=1", "hydra.mode=RUN"]
    )
    rng = np.random.default_rng(0)
    if name == "gpt":
        context, classes = config.data.context, 65
        x, y = (jnp.asarray(rng.integers(0, classes, (batch, context)), jnp.int32) for _ in "xy")
    else:
        context, classes = None, 10
        x = jnp.asarray(rng.normal(size=(batch, *SHAPES[name])), jnp.float32)
        y = jnp.asarray(rng.integers(0, classes, batch), jnp.int32)
    model = config.model.build(classes, context)
    posterior = bnn(
        model, likelihood("categorical", classes), Prior(), (x[:2], y[:2]), 50_000, microbatches=parts
    )
    return config, model, posterior, (x, y)

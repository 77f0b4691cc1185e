"""Steps of the methods on a small network, on one device and on all of them.

The published work on bikesharing: 10 chains, batches of 256, a network of 754 parameters. Speed does not depend on the
values, so that rows are drawn at random.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process, peak_megabytes

from smile import random
from smile.base import Info, SamplingAlgorithm, Subsampling
from smile.data import Dataset, Split, rows_of
from smile.execute.predictions import make_monitor
from smile.execute.problem import algorithm_of
from smile.models import FCN, from_flax
from smile.preflight import compose
from smile.sampling import Batches, Chains, Length, sample_ensemble
from smile.targets import Prior, bnn, likelihood
from smile.tuners import constant, tuned

ROWS, FEATURES, MEMBERS, BATCH = (12165, 1738, 3476), 11, 10, 256
THINNING, STEPS, REPEATS = 10, 6000, 2
METHODS = ("smile_naive", "psmile_naive", "psmile", "adasghmc")


def report(output: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    rows = []
    for devices in dict.fromkeys((1, cores)):
        for method in METHODS:
            names = (method, f"limit of {method}")
            runs = [
                [
                    in_own_process(measure, devices=devices, method=name, steps=STEPS)["seconds"]
                    for name in names
                ]
                for _ in range(REPEATS)
            ]
            ours, limit = (min(seconds) for seconds in zip(*runs, strict=True))
            rows.append(
                {
                    "method": method,
                    "devices": devices,
                    "steps / s": f"{STEPS / ours:,.0f}",
                    "limit, steps / s": f"{STEPS / limit:,.0f}",
                    "ratio": f"{ours / limit:.2f}",
                }
            )
            show(rows[-1])
    speed = pd.DataFrame(rows)
    memory = [
        {"draws": f"{steps // THINNING:,}", "peak memory": f"{found['megabytes']:.0f} MB"}
        for steps in (3000, 20_000)
        for found in [in_own_process(measure, devices=cores, method="psmile", steps=steps, burn_in=0)]
    ]
    paragraphs = [
        "# Speed on networks",
        f"{machine()}. {MEMBERS} chains, {ROWS[0]:,} rows of {FEATURES} features, batch {BATCH}, network 16-16-16-1"
        f" with ReLU, float32, no draws kept. A device is a core"
        " with its own chains. Best of two, compilation (4 s) not counted.",
        markdown(speed),
        "The limit draws the same batches and evaluates the same number of gradients in the same"
        " loop, and nothing else: two gradients in a step of SMILE and pSMILE, one in a step of adaSGHMC. On"
        " several devices its program, like that of SMILE-naive, may be slower than that of pSMILE; the ratio on"
        " one device is what a sampler costs.",
        f"Peak memory of pSMILE with every {THINNING}th draw evaluated on {ROWS[1] + ROWS[2]:,} rows:",
        markdown(pd.DataFrame(memory)),
    ]
    write(output, "network", paragraphs, speed)


def measure(method: str, steps: int, burn_in: int | None = None) -> dict[str, float]:
    """Seconds of all steps without compilation, and the peak memory of the process in MB."""
    name = method.removeprefix("limit of ")
    config = compose(
        ["target=bnn", f"+method={name}", "sampler.freeze_after=1" if name == "adasghmc" else "seed=0"]
    )
    rng = np.random.default_rng(0)
    splits = [
        Split(rng.normal(size=(rows, FEATURES)).astype(np.float32), rng.normal(size=rows).astype(np.float32))
        for rows in ROWS
    ]
    dataset = Dataset("random", "regression", *splits, num_classes=0, y_mean=0.0, y_scale=1.0)
    model = from_flax(FCN((16, 16, 16, 1)))
    posterior = bnn(
        model, likelihood("homoscedastic"), Prior(), tuple(jnp.asarray(a[:2]) for a in splits[0]), ROWS[0]
    )
    subsampling = Subsampling(ROWS[0], BATCH, posterior.prior_sd)
    algorithm = algorithm_of(config, posterior.logdensity, steps, subsampling=subsampling).of(())
    if method != name:
        gradients = 1 if name == "adasghmc" else 2
        algorithm = tuned(only_gradients(posterior.logdensity, gradients), constant())
    length = Length(steps, steps if burn_in is None else burn_in, THINNING)
    keys = jax.random.split(random.key(0), MEMBERS)
    positions = jax.vmap(lambda key: posterior.join(model.init(key, splits[0].x[:2]), jnp.zeros(())))(keys)
    ends: list[float] = []
    sample_ensemble(
        Chains(lambda parameters: algorithm, positions, jnp.full(MEMBERS, 1e-4)),
        Batches(rows_of(tuple(splits[0])), BATCH),
        make_monitor(dataset, posterior, 1, length),
        length,
        key=random.key(0),
        on_chunk=lambda n: ends.append(time.perf_counter()),
    )
    chunks = len(ends) - 1  # the first one holds the compilation
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": peak_megabytes()}


def only_gradients(logdensity_fn, gradients: int) -> SamplingAlgorithm:
    """The limit: gradients, each at the point to which the one before led."""

    class State(NamedTuple):
        position: object

    def step(key, state, batch, step_size):
        point = state.position
        for _ in range(gradients):
            point = point + 1e-3 * step_size * jax.grad(logdensity_fn)(point, batch)
        return State(point), Info(jnp.zeros(()), jnp.bool_(False), jnp.int32(gradients))

    return SamplingAlgorithm(lambda position, key, batch: State(position), step)

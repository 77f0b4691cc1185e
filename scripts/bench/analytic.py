"""Chain-steps of all samplers on the ill-conditioned Gaussian."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process, peak_megabytes

from smile import random, tree
from smile.base import SamplingAlgorithm
from smile.execute.problem import algorithm_of, make_target
from smile.kernels.contrasts import divided
from smile.kernels.info import info_without_energy
from smile.preflight import compose
from smile.sampling import sample, trailing_chains
from smile.tuners import constant, tuned

CHAINS, THINNING, REPEATS = 105, 10, 5
SAMPLERS = {
    "smile": ["sampler=smile"],
    "psmile": ["sampler=psmile"],
    "sgld": ["sampler=sgld"],
    "psgld": ["sampler=psgld"],
    "sghmc": ["sampler=sghmc"],
    "sgnht": ["sampler=sgnht"],
    "ccadl": ["sampler=ccadl"],
    "contrast_friction": ["sampler=contrast_friction"],
    "contrast_friction, 10 parts": ["sampler=contrast_friction", "sampler.parts=10", "sampler.mass=noise"],
}


def report(steps: int, output: Path) -> None:
    rows = []
    for source in ("injected", "minibatch"):
        for sampler in SAMPLERS:
            names = (sampler, f"limit of {sampler}")
            runs = [
                [
                    in_own_process(measure, sampler=name, source=source, steps=steps)["seconds"]
                    for name in names
                ]
                for _ in range(REPEATS)  # in turn, so that a busy moment of the machine hits both
            ]
            ours, limit = (min(seconds) / (steps * CHAINS) * 1e9 for seconds in zip(*runs, strict=True))
            rows.append(
                {
                    "sampler": sampler,
                    "noise source": source,
                    "ns / chain-step": f"{ours:.0f}",
                    "chain-steps / s": f"{1e9 / ours / 1e6:.1f} M",
                    "limit, ns": f"{limit:.0f}",
                    "ratio": f"{ours / limit:.2f}",
                }
            )
            show(rows[-1])
    speed = pd.DataFrame(rows)
    memory = [
        {"steps": f"{n:.0e}", "peak memory": f"{found['megabytes']:.0f} MB"}
        for n in (steps, 10 * steps)
        for found in [in_own_process(measure, sampler="psmile", source="injected", steps=n)]
    ]
    paragraphs = [
        "# Speed",
        f"{machine()}. ICG with correlated noise, {CHAINS} chains (15 step sizes x 7 replications), dimension 10,"
        f" {steps:,} steps, float32, one thread; a sweep keeps as many such processes busy as there are cores."
        " Compilation (1 to 2 s) is not counted.",
        markdown(speed),
        "The limit draws the same random numbers and evaluates the same gradients in the same loop, and nothing"
        " else. SMILE and pSMILE evaluate two gradients in a step, contrast friction one of each of its parts (3 or"
        " 10, each with noise of its own), the others one. Repetitions differ by a few"
        " percent, with minibatches by up to 20 %: rows are gathered from a table that is larger than the cache.",
        markdown(pd.DataFrame(memory)),
    ]
    write(output, "bench", paragraphs, speed)


def measure(sampler: str, source: str, steps: int) -> dict[str, float]:
    """Seconds of all steps without compilation, and the peak memory of the process in MB."""
    name = sampler.removeprefix("limit of ")
    config = compose(
        ["target=icg", "noise=correlated", f"noise.source={source}", *SAMPLERS[name], "scale=paper"]
    )
    target = trailing_chains(make_target(config))
    algorithm = algorithm_of(config, target.logdensity, steps).of(())
    if sampler != name:
        gradients = 2 if name in ("smile", "psmile") else 1
        algorithm = tuned(only_what_is_needed(target.logdensity, gradients, config.sampler.parts), constant())
    ends: list[float] = []
    sample(
        target,
        algorithm,
        np.full(CHAINS, 1e-3),
        key=random.key(0),
        num_steps=steps,
        thinning=THINNING,
        on_chunk=lambda n: ends.append(time.perf_counter()),
    )
    chunks = len(ends) - 1  # the first one holds the compilation
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": peak_megabytes()}


def only_what_is_needed(logdensity_fn, gradients: int, parts: int) -> SamplingAlgorithm:
    """The limit: a variate per coordinate and gradients of all parts, passed on so that none is optimised away."""

    class State(NamedTuple):
        position: object

    value_and_grad = tree.value_and_grad(logdensity_fn)

    def step(key, state, batch, step_size):
        position = tree.random_normal(key, state.position)
        point = state.position
        for _ in range(gradients):
            for part in [batch] if parts == 1 else divided(batch, parts):
                value, gradient = value_and_grad(point, part)
                position = tree.axpy(step_size, gradient, position)
            point = position
        return State(point), info_without_energy(point, value)

    return SamplingAlgorithm(lambda position, key, batch: State(position), step)

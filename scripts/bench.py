"""Speed of the kernels on one core, against what the same random numbers and gradients cost alone.

    python scripts/bench.py            # all of it, about seven minutes; writes results/bench/bench.{md,csv}

The limit of a sampler is a chain that draws the same noise, makes the same variates and evaluates the same number of
gradients, in the same compiled loop, and does nothing else with them. Each measurement is a process of its own, pinned
to one thread, because that is how a sweep runs; the best of five is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

CHAINS, THINNING, REPEATS = 105, 10, 5
SAMPLERS = ("smile", "psmile", "sgld", "sghmc")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="steps per chain (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="default: %(default)s")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(**json.loads(options.measure))))
    else:
        report(options.steps, options.output)


def report(steps: int, output: Path) -> None:
    import pandas as pd

    from smile.tracking import write_text_atomic

    rows = []
    for source in ("injected", "minibatch"):
        for sampler in SAMPLERS:
            names = (sampler, f"limit of {sampler}")
            runs = [
                [in_own_process(sampler=name, source=source, steps=steps)["seconds"] for name in names]
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
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    speed = pd.DataFrame(rows)
    memory = pd.DataFrame(
        [
            {
                "steps": f"{n:.0e}",
                "peak memory": f"{in_own_process(sampler='psmile', source='injected', steps=n)['megabytes']:.0f} MB",
            }
            for n in (steps, 10 * steps)
        ]
    )
    text = "\n\n".join(
        [
            "# Speed",
            f"{machine()}. ICG with correlated noise, {CHAINS} chains (15 step sizes x 7 replications), dimension 10,"
            f" {steps:,} steps, float32, one thread; a sweep keeps as many such processes busy as there are cores."
            " Compilation (1 to 2 s) is not counted.",
            markdown(speed),
            "The limit draws the same random numbers and evaluates the same gradients in the same loop, and nothing"
            " else. SMILE and pSMILE evaluate two gradients in a step, the others one. Repetitions differ by a few"
            " percent, with minibatches by up to 20 %: rows are gathered from a table that is larger than the cache.",
            markdown(memory),
            f"`make bench` writes this file. {time.strftime('%Y-%m-%d')}.",
        ]
    )
    write_text_atomic(output / "bench.md", text + "\n")
    write_text_atomic(output / "bench.csv", speed.to_csv(index=False))
    print(f"\n{text}\n\nwritten to {output}/bench.md")


def in_own_process(**arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", json.dumps(arguments)]
    done = subprocess.run(
        command, env=os.environ | {"NPROC": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"measuring {arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(sampler: str, source: str, steps: int) -> dict[str, float]:
    """Seconds of all steps without compilation, and the peak memory of the process in MB."""
    import numpy as np

    from smile import random
    from smile.build import make_chains, make_target
    from smile.preflight import compose
    from smile.sampling import sample, trailing_chains
    from smile.tuners import constant, tuned

    name = sampler.removeprefix("limit of ")
    config = compose(
        ["target=icg", "noise=correlated", f"noise.source={source}", f"sampler={name}", "scale=paper"]
    )
    target = trailing_chains(make_target(config))
    kernel = make_chains(config, target, random.key(0)).kernel
    if sampler != name:
        gradients = 2 if name in ("smile", "psmile") else 1

        def kernel(logdensity):
            return only_what_is_needed(logdensity, gradients)

    ends = []
    sample(
        target,
        tuned(kernel(target.logdensity), constant()),
        np.full(CHAINS, 1e-3),
        key=random.key(0),
        num_steps=steps,
        thinning=THINNING,
        on_chunk=lambda n: ends.append(time.perf_counter()),
    )
    chunks = len(ends) - 1  # the first one holds the compilation
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": megabytes}


def only_what_is_needed(logdensity_fn, gradients: int):
    """The limit: a variate per coordinate and gradients, passed on so that none is optimised away."""
    from smile import tree
    from smile.base import SamplingAlgorithm
    from smile.kernels.info import info_without_energy

    class State(NamedTuple):
        position: object

    value_and_grad = tree.value_and_grad(logdensity_fn)

    def step(key, state, batch, step_size):
        position = tree.random_normal(key, state.position)
        point = state.position
        for _ in range(gradients):
            value, gradient = value_and_grad(point, batch)
            point = tree.axpy(step_size, gradient, position)
        return State(point), info_without_energy(point, value)

    return SamplingAlgorithm(lambda position, key, batch: State(position), step)


def markdown(table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def machine() -> str:
    """The processor, the number of cores and the versions that matter."""
    import jax

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, Python {platform.python_version()}, jax {jax.__version__}"


if __name__ == "__main__":
    main()

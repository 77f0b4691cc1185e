"""Speed of the kernels, against what the same random numbers and gradients cost alone.

    python scripts/bench.py                    # all of it, about ten minutes; writes results/bench/*.{md,csv}
    python scripts/bench.py --only network     # or analytic

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
# The published work on bikesharing: 10 chains, batches of 256, a network of 754 parameters. Speed does not depend on
# the values, so that rows are drawn at random.
ROWS, FEATURES, MEMBERS, BATCH = (12165, 1738, 3476), 11, 10, 256
METHODS = ("smile_naive", "psmile_naive", "psmile", "adasghmc")
SAMPLERS = ("smile", "psmile", "sgld", "sghmc")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="steps per chain (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="default: %(default)s")
    parser.add_argument("--only", choices=("analytic", "network"), help="one of the two; default: both")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        arguments = json.loads(options.measure)
        print(json.dumps((measure_network if "method" in arguments else measure)(**arguments)))
        return
    if options.only != "network":
        report(options.steps, options.output)
    if options.only != "analytic":
        report_networks(options.output)


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


def report_networks(output: Path) -> None:
    import pandas as pd

    from smile.tracking import write_text_atomic

    cores = len(os.sched_getaffinity(0))
    rows = []
    for devices in dict.fromkeys((1, cores)):
        for method in METHODS:
            names = (method, f"limit of {method}")
            runs = [
                [in_own_process(method=name, devices=devices, steps=6000)["seconds"] for name in names]
                for _ in range(2)
            ]
            ours, limit = (min(seconds) for seconds in zip(*runs, strict=True))
            rows.append(
                {
                    "method": method,
                    "devices": devices,
                    "steps / s": f"{6000 / ours:,.0f}",
                    "limit, steps / s": f"{6000 / limit:,.0f}",
                    "ratio": f"{ours / limit:.2f}",
                }
            )
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    memory = [
        {
            "draws": f"{steps // THINNING:,}",
            "peak memory": f"{run['megabytes']:.0f} MB",
        }
        for steps in (3000, 20_000)
        for run in [in_own_process(method="psmile", devices=cores, steps=steps, burn_in=0)]
    ]
    text = "\n\n".join(
        [
            "# Speed on networks",
            f"{machine()}. {MEMBERS} chains, {ROWS[0]:,} rows of {FEATURES} features, batch {BATCH}, network 16-16-16-1"
            f" with ReLU, float32, no draws kept. A device is a core"
            " with its own chains. Best of two, compilation (4 s) not counted.",
            markdown(pd.DataFrame(rows)),
            "The limit draws the same batches and evaluates the same number of gradients in the same"
            " loop, and nothing else: two gradients in a step of SMILE and pSMILE, one in a step of adaSGHMC.",
            f"Peak memory of pSMILE with every {THINNING}th draw evaluated on {ROWS[1] + ROWS[2]:,} rows:",
            markdown(pd.DataFrame(memory)),
            f"`make bench` writes this file. {time.strftime('%Y-%m-%d')}.",
        ]
    )
    write_text_atomic(output / "network.md", text + "\n")
    write_text_atomic(output / "network.csv", pd.DataFrame(rows).to_csv(index=False))
    print(f"\n{text}\n\nwritten to {output}/network.md")


def in_own_process(*, devices: int = 1, **arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", json.dumps(arguments)]
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        command,
        env=os.environ | {"NPROC": "1", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
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


def measure_network(method: str, steps: int, burn_in: int | None = None) -> dict[str, float]:
    """Seconds of all steps without compilation, and the peak memory of the process in MB."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from smile import random
    from smile.build import make_kernel, make_model, make_tuner
    from smile.config import ModelConfig
    from smile.data import Dataset, Split, rows_of
    from smile.execute.predictions import make_monitor
    from smile.preflight import compose
    from smile.sampling import Length, sample_ensemble
    from smile.targets import Prior, bnn, likelihood
    from smile.tuners import constant, tuned

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
    model = make_model(ModelConfig("fcn", (16, 16, 16)), 1)
    posterior = bnn(
        model, likelihood("homoscedastic"), Prior(), tuple(jnp.asarray(a[:2]) for a in splits[0]), ROWS[0]
    )
    algorithm = tuned(make_kernel(config, 1)(posterior.logdensity), make_tuner(config, steps, 1))
    if method != name:
        gradients = 1 if name == "adasghmc" else 2
        algorithm = tuned(only_gradients(posterior.logdensity, gradients), constant())
    length = Length(steps, steps if burn_in is None else burn_in, THINNING)
    keys = jax.random.split(random.key(0), MEMBERS)
    positions = jax.vmap(lambda key: posterior.join(model.init(key, splits[0].x[:2]), jnp.zeros(())))(keys)
    ends = []
    sample_ensemble(
        lambda parameters: algorithm,
        (),
        positions,
        jnp.full(MEMBERS, 1e-4),
        rows_of(tuple(splits[0])),
        BATCH,
        make_monitor(dataset, posterior, 1, length),
        length,
        key=random.key(0),
        on_chunk=lambda n: ends.append(time.perf_counter()),
    )
    chunks = len(ends) - 1  # the first one holds the compilation
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": megabytes}


def only_gradients(logdensity_fn, gradients: int):
    """The limit on networks: gradients, each at the point to which the one before led."""
    import jax
    import jax.numpy as jnp

    from smile.base import Info, SamplingAlgorithm

    class State(NamedTuple):
        position: object

    def step(key, state, batch, step_size):
        point = state.position
        for _ in range(gradients):
            point = point + 1e-3 * step_size * jax.grad(logdensity_fn)(point, batch)
        return State(point), Info(jnp.zeros(()), jnp.bool_(False), jnp.int32(gradients))

    return SamplingAlgorithm(lambda position, key, batch: State(position), step)


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

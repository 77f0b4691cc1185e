"""Speed of the kernels, against what the same random numbers and gradients cost alone.

    python scripts/bench.py                    # all of it, about ten minutes; writes results/bench/*.{md,csv}
    python scripts/bench.py --only network     # or analytic
    python scripts/bench.py --only models      # full-size networks at their published batches

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
# The published batch of every full-size network, and into how many parts it is divided on a CPU.
MODELS = {
    "lenet": ("fmnist", 512, 1),
    "resnet7": ("figure1", 512, 16),
    "resnet18": ("resnet18", 512, 32),
    "vit": ("vit", 128, 32),
    "gpt": ("figure2", 128, 32),
}
METHODS = ("smile_naive", "psmile_naive", "psmile", "adasghmc")
SAMPLERS = ("smile", "psmile", "sgld", "sghmc")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="steps per chain (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="default: %(default)s")
    parser.add_argument(
        "--only", choices=("analytic", "network", "models"), help="one of them; default: analytic and network"
    )
    parser.add_argument("--names", default=",".join(MODELS), help="which models (default: %(default)s)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        arguments = json.loads(options.measure)
        kinds = {
            "sampler": measure,
            "method": measure_network,
            "name": measure_model,
            "draws": measure_evaluation,
        }
        found = next(function for key, function in kinds.items() if key in arguments)(**arguments)
        print(json.dumps(found))
        return
    if options.only in (None, "analytic"):
        report(options.steps, options.output)
    if options.only in (None, "network"):
        report_networks(options.output)
    if options.only == "models":
        report_models(options.output, options.names.split(","))


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
            " loop, and nothing else: two gradients in a step of SMILE and pSMILE, one in a step of adaSGHMC. On"
            " several devices its program, like that of SMILE-naive, may be slower than that of pSMILE; the ratio on"
            " one device is what a sampler costs.",
            f"Peak memory of pSMILE with every {THINNING}th draw evaluated on {ROWS[1] + ROWS[2]:,} rows:",
            markdown(pd.DataFrame(memory)),
            f"`make bench` writes this file. {time.strftime('%Y-%m-%d')}.",
        ]
    )
    write_text_atomic(output / "network.md", text + "\n")
    write_text_atomic(output / "network.csv", pd.DataFrame(rows).to_csv(index=False))
    print(f"\n{text}\n\nwritten to {output}/network.md")


def report_models(output: Path, names: list[str]) -> None:
    import pandas as pd

    from smile.tracking import write_text_atomic

    rows = []
    for name in names:
        found = in_own_process(name=name)
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
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    memory = [
        {"draws": f"{draws:,}", "peak memory": f"{in_own_process(draws=draws)['megabytes']:,.0f} MB"}
        for draws in (20, 200)
    ]
    text = "\n\n".join(
        [
            "# Full-size networks",
            f"{machine()}. One step of pSMILE of one chain, tuner included, at the published batch size, accumulated"
            " over so many parts, and the two gradients of the batch alone; the best of two, compilation not counted."
            " FLOP are those that XLA counts in a gradient of the batch, twice.",
            markdown(pd.DataFrame(rows)),
            "Peak memory of LeNet, 2 chains, that evaluates every draw on 11,000 + 10,000 images:",
            markdown(pd.DataFrame(memory)),
            f"`python scripts/bench.py --only models` writes this file. {time.strftime('%Y-%m-%d')}.",
        ]
    )
    write_text_atomic(output / "models.md", text + "\n")
    write_text_atomic(output / "models.csv", pd.DataFrame(rows).to_csv(index=False))
    print(f"\n{text}\n\nwritten to {output}/models.md")


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
    from smile.execute.problem import algorithm_of, make_target
    from smile.preflight import compose
    from smile.sampling import sample, trailing_chains
    from smile.tuners import constant, tuned

    name = sampler.removeprefix("limit of ")
    config = compose(
        ["target=icg", "noise=correlated", f"noise.source={source}", f"sampler={name}", "scale=paper"]
    )
    target = trailing_chains(make_target(config))
    algorithm = algorithm_of(config, target.logdensity, steps).of(())
    if sampler != name:
        gradients = 2 if name in ("smile", "psmile") else 1
        algorithm = tuned(only_what_is_needed(target.logdensity, gradients), constant())
    ends = []
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
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": megabytes}


def measure_network(method: str, steps: int, burn_in: int | None = None) -> dict[str, float]:
    """Seconds of all steps without compilation, and the peak memory of the process in MB."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from smile import random
    from smile.base import Subsampling
    from smile.data import Dataset, Split, rows_of
    from smile.execute.predictions import make_monitor
    from smile.execute.problem import algorithm_of
    from smile.models import FCN, from_flax
    from smile.preflight import compose
    from smile.sampling import Batches, Chains, Length, sample_ensemble
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
    ends = []
    sample_ensemble(
        Chains(lambda parameters: algorithm, positions, jnp.full(MEMBERS, 1e-4)),
        Batches(rows_of(tuple(splits[0])), BATCH),
        make_monitor(dataset, posterior, 1, length),
        length,
        key=random.key(0),
        on_chunk=lambda n: ends.append(time.perf_counter()),
    )
    chunks = len(ends) - 1  # the first one holds the compilation
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": (ends[-1] - ends[0]) / chunks * len(ends), "megabytes": megabytes}


def full_size(name: str, parts: int):
    """Model and posterior of an experiment at scale=paper, with one batch of random data."""
    import jax.numpy as jnp
    import numpy as np

    from smile.preflight import compose
    from smile.targets import Prior, bnn, likelihood

    experiment, batch, _ = MODELS[name]
    config = compose(
        [f"+experiment={experiment}", "scale=paper", "+method=psmile", "seed=1", "hydra.mode=RUN"]
    )
    rng = np.random.default_rng(0)
    shapes = {"lenet": (28, 28, 1), "resnet7": (32, 32, 3), "resnet18": (32, 32, 3), "vit": (160, 160, 3)}
    if name == "gpt":
        context, classes = config.data.context, 65
        x, y = (jnp.asarray(rng.integers(0, classes, (batch, context)), jnp.int32) for _ in "xy")
    else:
        context, classes = None, 10
        x = jnp.asarray(rng.normal(size=(batch, *shapes[name])), jnp.float32)
        y = jnp.asarray(rng.integers(0, classes, batch), jnp.int32)
    model = config.model.build(classes, context)
    posterior = bnn(
        model, likelihood("categorical", classes), Prior(), (x[:2], y[:2]), 50_000, microbatches=parts
    )
    return config, model, posterior, (x, y)


def measure_model(name: str) -> dict[str, float]:
    """Seconds of one step and of its two gradients, and what XLA counts."""
    import jax
    import jax.numpy as jnp

    from smile import random
    from smile.execute.problem import algorithm_of, subsampling_of

    parts = MODELS[name][2] if jax.default_backend() == "cpu" else 1
    config, model, posterior, batch = full_size(name, parts)
    params = jax.jit(model.init)(random.key(0), batch[0][:2])
    position = posterior.join(params, jnp.zeros(()))
    subsampling = subsampling_of(config.target, posterior)
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
    return found | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure_evaluation(draws: int) -> dict[str, float]:
    """Peak memory of LeNet, whose draws are all evaluated."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from smile import random
    from smile.data import Dataset, Split, rows_of
    from smile.execute.predictions import make_monitor
    from smile.kernels import sgld
    from smile.sampling import Batches, Chains, Length, sample_ensemble
    from smile.tuners import constant, tuned

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
    return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


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

"""Speed of the kernels, against what the same random numbers and gradients cost alone.

    python scripts/bench                    # all of it, about ten minutes; writes results/bench/*.{md,csv}
    python scripts/bench --only network     # or analytic
    python scripts/bench --only models      # full-size networks at their published batches
    python scripts/bench --only predict     # Fit.predict of many rows
    python scripts/bench --only libraries --bde PYTHON   # beside bde, which that Python has, and a deep ensemble
    python scripts/bench --only profile     # where the time of one step of ResNet-7 and GPT goes
    python scripts/bench --only convolution # XLA's convolutions beside products of shifted images, on a CPU

The limit of a sampler is a chain that draws the same noise, makes the same variates and evaluates the same number of
gradients, in the same compiled loop, and does nothing else with them. Each measurement is a process of its own, pinned
to one thread, because that is how a sweep runs; the best of five is reported.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="steps per chain (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="default: %(default)s")
    parser.add_argument(
        "--only",
        choices=("analytic", "network", "models", "predict", "libraries", "profile", "convolution"),
        help="one of them; default: analytic and network",
    )
    parser.add_argument("--names", help="which models, such as lenet,vit; default: all")
    parser.add_argument("--bde", type=Path, help="a Python with sklearn-contrib-bde installed")
    parser.add_argument("--data", default="airfoil,diabetes", help="of libraries (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, help="with the tables of UCI; default: they are downloaded")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # what process.in_own_process asks for
    options = parser.parse_args()
    if options.measure:
        name, arguments = options.measure
        module, _, function = name.rpartition(".")
        print(json.dumps(getattr(importlib.import_module(module), function)(**json.loads(arguments))))
        return
    # Imported where they are needed: `--help` does not wait for jax.
    if options.only in (None, "analytic"):
        import analytic

        analytic.report(options.steps, options.output)
    if options.only in (None, "network"):
        import network

        network.report(options.output)
    if options.only == "models":
        import models

        models.report(options.output, options.names.split(",") if options.names else list(models.MODELS))
    if options.only == "predict":
        import predict

        predict.report(options.output)
    if options.only == "libraries":
        import libraries

        if options.bde is None:
            parser.error("--only libraries needs --bde PYTHON, one with sklearn-contrib-bde installed")
        libraries.report(options.output, options.bde, options.data.split(","), options.data_dir)
    if options.only == "profile":
        import anatomy

        anatomy.report(options.output, options.names.split(",") if options.names else list(anatomy.NETWORKS))
    if options.only == "convolution":
        import convolution

        convolution.report(options.output)


if __name__ == "__main__":
    main()

"""What a device does with every network: speed, memory, compilation, precision, and several chains at a time.

    python scripts/accelerator.py                   # published sizes on a GPU, small ones on a CPU
    python scripts/accelerator.py --size full --minutes 9

Writes results/bench/accelerator.{md,csv} after every row, so that what is cut off keeps what it has; the rows that are
worth most come first, and none but the first is begun that the time would not hold. The same command goes on with what
is missing; --again measures everything anew.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.experimental.compilation_cache import compilation_cache

sys.path.insert(0, str(Path(__file__).parent / "bench"))

from document import machine, markdown, save, show
from programs import (
    EXPERIMENTS,
    Program,
    clock,
    flops_of_gradient,
    gradients_of,
    has_half_precision,
    interleaved,
    step_of,
    work,
)

SIZES = {"full": "paper", "small": "quick", "tiny": "smoke"}  # the scale of the presets
NETWORKS = ("resnet7", "gpt", "lenet", "resnet18", "vit", "fcn")
CHAINS = 4
# As flax and jax call them: dtype of the network, and precision of products of float32 matrices.
PRECISIONS = {
    "default": ("float32", None),
    "bfloat16": ("bfloat16", None),
    "TF32": ("float32", "tensorfloat32"),
    "float32": ("float32", "highest"),
}
TIMING = {"full": (5, 1.0), "small": (5, 0.3), "tiny": (2, 0.01)}  # repeats, and seconds of each


class Cell(NamedTuple):
    """What one row measures; ``chains`` advance together by ``vmap``."""

    network: str
    precision: str
    chains: int


def cells(networks: Sequence[str], *, is_cpu: bool) -> list[Cell]:
    """All rows, those that are worth most first; a CPU has no TF32, and products of float32 are what they are."""
    others = ["bfloat16"] if is_cpu else ["bfloat16", "float32", "TF32"]
    return [
        *(Cell(name, "default", 1) for name in networks),
        *(Cell(name, "default", CHAINS) for name in networks),
        *(
            Cell(name, precision, 1)
            for precision, name in itertools.product(others, networks)
            if precision != "bfloat16" or has_half_precision(name)
        ),
    ]


def measure(cell: Cell, size: str) -> dict[str, Any]:
    """One row, numbers in seconds, steps of a chain, FLOP and 10^6 bytes."""
    dtype, precision = PRECISIONS[cell.precision]
    network = work(cell.network, SIZES[size], dtype=dtype, precision=precision)
    several = None if cell.chains == 1 else cell.chains
    step = Program(network, *step_of(network), chains=several)
    other, limit = (
        ("two gradients", Program(network, *gradients_of(network, 2)))
        if several is None
        else ("in turn", Program(network, *step_of(network), chains=several, at_once=1))
    )
    repeats, seconds = TIMING[size]
    found = interleaved({"step": step, other: limit}, repeats=repeats, seconds=seconds)
    ours, bare = (statistics.median(found[name]) / cell.chains for name in ("step", other))
    cached = math.nan
    if several is None and cell.precision == "default":
        cached = Program(network, *step_of(network)).compile_seconds
    return {
        **cell._asdict(),
        "parameters": network.network.posterior.dim,
        "batch": network.network.batch_size,
        "steps_per_second": 1 / ours,
        "two_gradients_per_second": 1 / bare if several is None else math.nan,
        "ratio": statistics.median(found["step"] / found[other]),
        "teraflops": 2 * flops_of_gradient(network) / ours / 1e12,
        "megabytes": step.megabytes,
        "compile_seconds": step.compile_seconds,
        "cached_compile_seconds": cached,
    }


def products(side: int) -> list[dict[str, str]]:
    """What the device makes of a product of two square matrices: the most that a network can hope for."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, side, side)).astype(np.float32)
    exact, rows = a.astype(np.float64) @ b, []
    for name, (dtype, precision) in PRECISIONS.items():
        x, y = (jnp.asarray(matrix, dtype) for matrix in (a, b))
        product = jax.jit(lambda x, y, p=precision: jnp.matmul(x, y, precision=p)).lower(x, y).compile()
        product(x, y).block_until_ready()
        seconds = []
        for _ in range(5):
            start = clock()
            found = product(x, y).block_until_ready()
            seconds.append(clock() - start)
        error = np.abs(np.asarray(found, np.float64) - exact).max() / np.abs(exact).max()
        speed = 2 * side**3 / statistics.median(seconds) / 1e12
        rows.append({"precision": name, "TFLOP/s": f"{speed:.3g}", "largest error": f"{error:.1e}"})
    return rows


@contextmanager
def cache_of_programs() -> Iterator[None]:
    """JAX's persistent one, in a folder of its own and of all programs; the state before is there again afterwards."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in zip(names, (folder, 0, -1), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # which JAX opens once
        try:
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()


# ---- the report ----------------------------------------------------------------------------------


def device() -> str:
    """What there is to compute with."""
    first = jax.devices()[0]
    limit = (first.memory_stats() or {}).get("bytes_limit")
    memory = f", {limit / 1e9:.0f} GB for XLA" if limit else ""
    return f"{len(jax.devices())} x {first.device_kind} ({first.platform}{memory}); {machine()}"


def readable(row: dict[str, Any]) -> dict[str, str]:
    """A row of the table of networks or of that of several chains."""
    one = row["chains"] == 1
    found = {
        "network": row["network"],
        **({"precision": row["precision"]} if one else {"chains": row["chains"]}),
        "parameters": f"{row['parameters']:,}",
        "batch": row["batch"],
        "steps / s" if one else "chain-steps / s": f"{row['steps_per_second']:.3g}",
        "ratio" if one else "time / in turn": f"{row['ratio']:.2f}",
        "TFLOP/s": f"{row['teraflops']:.3g}",
        "memory": f"{row['megabytes']:,.0f} MB",
        "compilation": f"{row['compile_seconds']:.1f} s",
    }
    if one:
        cached = row["cached_compile_seconds"]
        found["from the cache"] = "" if math.isnan(cached) else f"{cached:.1f} s"
    return {name: str(value) for name, value in found.items()}


def paragraphs(head: Sequence[str], rows: Sequence[dict[str, Any]], left: Sequence[Cell]) -> list[str]:
    """The report of what there is."""
    single, several = ([readable(r) for r in rows if (r["chains"] == 1) == one] for one in (True, False))
    found = list(head)
    if single:
        found += [
            "One chain of pSMILE: batches drawn on the device, kernel and tuner in one loop, state donated; the median"
            " of interleaved repetitions. The ratio is to the same batches and two gradients, nothing else (goal: 1.1"
            " at most). FLOP are those of two gradients as XLA counts them, memory is what XLA plans for the program."
            " The cache is JAX's persistent one.",
            markdown(pd.DataFrame(single)),
        ]
    if several:
        found += [
            "Chains that advance together by `vmap`, and their time in relation to one after the other:",
            markdown(pd.DataFrame(several)),
        ]
    if left:
        names = "; ".join(f"{c.network}, {c.precision}, {c.chains} chains" for c in left)
        found.append(f"Not measured, for want of time: {names}.")
    return found


def measured(file: Path, size: str) -> list[dict[str, Any]]:
    """Rows of an earlier report of this device, size and version; none where there is no such report."""
    if not file.is_file():
        return []
    table = pd.read_csv(file)
    if not {"device", "size"} <= set(table):
        return []
    return table[(table["device"] == device()) & (table["size"] == size)].to_dict("records")


def report(
    size: str, networks: Sequence[str], minutes: float, output: Path, *, again: bool = False
) -> list[dict[str, Any]]:
    """Measures as much as the time allows, and writes it after every row."""
    start, longest = time.monotonic(), 0.0
    rows = [] if again else measured(output / "accelerator.csv", size)
    is_cpu = jax.default_backend() == "cpu"
    known = {Cell(*(row[field] for field in Cell._fields)) for row in rows}
    plan = [cell for cell in cells(networks, is_cpu=is_cpu) if cell not in known]
    scale = SIZES[size]
    head = [
        "# Accelerator",
        f"{device()}. Networks and batches of `scale={scale}`, default precision that of runs. Seconds are those that"
        f" the process {'computed, as other work may share the cores' if is_cpu else 'took'}.",
        markdown(pd.DataFrame(products({"full": 8192, "small": 1024, "tiny": 64}[size]))),
    ]
    command = f"python scripts/accelerator.py --size {size}"
    with cache_of_programs():
        for index, cell in enumerate(plan):
            begun = time.monotonic()
            if index and begun - start + longest >= 60 * minutes:
                break
            rows.append({"device": device(), "size": size, **measure(cell, size)})
            longest = max(longest, time.monotonic() - begun)
            show(readable(rows[-1]))
            left = plan[index + 1 :]
            save(output, "accelerator", paragraphs(head, rows, left), pd.DataFrame(rows), command)
    print(
        f"{len(rows)} of {len(plan) + len(known)} rows, {time.monotonic() - start:.0f} s: {output}/accelerator.md"
    )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, help="default: full on an accelerator, small on a CPU")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="default: %(default)s")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="no row begins that would end later (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="forget what an earlier call has measured")
    options = parser.parse_args(arguments)
    networks = options.networks.split(",")
    if unknown := sorted(set(networks) - set(EXPERIMENTS)):
        parser.error(f"--networks: got {', '.join(unknown)}; valid: {', '.join(EXPERIMENTS)}")
    size = options.size or ("small" if jax.default_backend() == "cpu" else "full")
    report(size, networks, options.minutes, options.output, again=options.again)


if __name__ == "__main__":
    main()

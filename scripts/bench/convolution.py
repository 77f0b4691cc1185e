"""Convolutions on CPUs, three ways: XLA's own, alone and inside a loop, and a product of shifted images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process
from programs import clock

from smile.models.convolution import shifted

ROWS, SIZE, REPEATS = 16, 3, 3
# Side of the images, channels before and after, of the convolutions of ResNet-7.
LAYERS = [(32, 3, 32), (32, 32, 64), (16, 64, 64), (16, 64, 128), (8, 128, 128), (4, 128, 128)]
WAYS = {"convolution, alone": ("convolution", 1), "convolution, in a loop": ("convolution", 2),
        "product, in a loop": ("product", 2)}  # fmt: skip


def report(output: Path) -> None:
    rows = []
    for side, before, after in LAYERS:
        row: dict[str, Any] = {"images": f"{ROWS} x {side} x {side} x {before}", "channels": after}
        for name, (way, steps) in WAYS.items():
            found = in_own_process(measure, way=way, steps=steps, side=side, before=before, after=after)
            row[f"{name}, ms"] = f"{1e3 * found['seconds']:.3g}"
            row[f"{name}, MB"] = f"{found['megabytes']:.3g}"
        rows.append(row)
        show(row)
    table = pd.DataFrame(rows)
    paragraphs = [
        "# Convolutions on a CPU",
        f"{machine()}. Value and gradient of one 3x3 convolution of ResNet-7, float32: the best of {REPEATS}, in"
        " seconds that the process computed on one thread, and what XLA plans to keep beside arguments and results.",
        markdown(table),
        "`smile.models.Conv` takes the product on CPUs alone: steps of a chain are a loop.",
    ]
    write(output, "convolution", paragraphs, table, command="python scripts/bench --only convolution")


def measure(way: str, steps: int, side: int, before: int, after: int) -> dict[str, float]:
    """Seconds of one gradient of so many in a loop, or alone where ``steps`` is 1, and 10^6 bytes between."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(ROWS, side + 2, side + 2, before)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(SIZE, SIZE, before, after)), jnp.float32)

    def value(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if way == "product":
            y = shifted(x, SIZE, 1) @ kernel.reshape(-1, after)
        else:
            y = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return jnp.sum(jnp.tanh(y))

    def once(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        gradient = jax.grad(value, argnums=(0, 1))(*state)
        return jax.tree.map(lambda leaf, by: leaf + 1e-12 * by, state, gradient)

    def loop(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return once(state) if steps == 1 else jax.lax.fori_loop(0, steps, lambda _, s: once(s), state)

    compiled = jax.jit(loop).lower((x, kernel)).compile()
    seconds = []
    for _ in range(REPEATS + 1):
        start = clock()
        jax.block_until_ready(compiled((x, kernel)))
        seconds.append(clock() - start)
    return {
        "seconds": min(seconds[1:]) / steps,
        "megabytes": compiled.memory_analysis().temp_size_in_bytes / 1e6,
    }

"""Where the time of one step of pSMILE goes, by the differences between programs that have one part more each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from document import machine, markdown, show, write
from process import in_own_process
from programs import (
    Program,
    batches_of,
    gradients_by_leaf_of,
    gradients_of,
    interleaved,
    step_of,
    work,
)

# A preset, and what of it a CPU can hold: the published network, with fewer rows in a batch.
NETWORKS = {
    "resnet7": ("paper", ("target.batch_size=32", "target.microbatches=1")),
    "gpt": ("paper", ("target.batch_size=8", "target.microbatches=1", "data.context=64")),
}
ROWS = {"resnet7": 512 / 32, "gpt": 128 * 256 / (8 * 64)}  # published batch / this one, in rows or tokens
REPEATS, SECONDS = 9, 0.2
# Part -> the programs whose difference it is; the first ones grow with the batch, the others with the network.
GROWING = {
    "batch": ("batches", None),
    "gradient 1": ("one gradient", "batches"),
    "gradient 2": ("two gradients", "one gradient"),
}
FIXED = {
    "arithmetic of the kernel": ("smile_naive", "two gradients"),
    "preconditioner": ("psmile_naive", "smile_naive"),
    "tuner": ("psmile", "psmile_naive"),
}
WITHIN = {"of the gradients: one vector in place of leaves": ("two gradients", "by leaf")}


def report(output: Path, names: list[str]) -> None:
    rows = []
    for name in names:
        rows += parts(name, in_own_process(measure, name=name))
        show(rows[-1])
        table = pd.DataFrame(rows)
        # After every network: one takes minutes, of which a machine with other work has few.
        write(output, "profile", told(table), table, command="python scripts/bench --only profile")


def parts(name: str, found: dict[str, float]) -> list[dict[str, str]]:
    """Rows of one network, of what ``measure`` found."""
    times = {part: ROWS[name] if part in GROWING else 1.0 for part in (*GROWING, *FIXED, *WITHIN)}
    published = sum(found[part] * times[part] for part in (*GROWING, *FIXED))
    rows = [
        {
            "network": name,
            "part": part,
            "ms": f"{1e3 * found[part]:.3g} ± {1e3 * found[f'{part}, spread']:.2g}",
            "share": f"{found[part] / found['step']:.1%}",
            "at the published batch": f"{found[part] * times[part] / published:.1%}",
        }
        for part in times
    ]
    share = f"{found['ratio']:.3f} of two gradients"
    step = {"part": "step of pSMILE", "ms": f"{1e3 * found['step']:.3g}", "share": share}
    return [*rows, {"network": name, **step, "at the published batch": ""}]


def told(table: pd.DataFrame) -> list[str]:
    """The report."""
    return [
        "# Where the time of a step goes",
        f"{machine()}. One chain of pSMILE with its tuner at published widths: ResNet-7 with batches of 32 images, GPT"
        " with 8 windows of 64 characters. Seconds that the process computed on one thread, as other work shares the"
        f" cores; medians of {REPEATS} interleaved repetitions, ± half of the middle half of their paired differences.",
        markdown(table),
        "A part is the time of a program that has it less that of one without it: batches drawn alone; with one"
        " gradient; with two; SMILE-naive; pSMILE-naive; pSMILE. XLA fuses across parts, so that one may cost less than"
        " nothing. At the published batch, by arithmetic: gradients and batch take as many times as long as it has rows"
        " or tokens more. The last part of a network is no further one, but what it costs that the gradients are with"
        " respect to one vector of all parameters, and not to the leaves that the network has.",
    ]


def measure(name: str) -> dict[str, float]:
    """Seconds of the parts, their spread, of the whole step, and its ratio to two gradients."""
    scale, options = NETWORKS[name]
    network = work(name, scale, *options)
    made = {
        "batches": batches_of(network),
        "one gradient": gradients_of(network, 1),
        "two gradients": gradients_of(network, 2),
        "by leaf": gradients_by_leaf_of(network, 2),
        **{method: step_of(network, method) for method in ("smile_naive", "psmile_naive", "psmile")},
    }
    programs = {key: Program(network, state, body) for key, (state, body) in made.items()}
    seconds = interleaved(programs, repeats=REPEATS, seconds=SECONDS)
    found = {
        "step": float(np.median(seconds["psmile"])),
        "ratio": float(np.median(seconds["psmile"] / seconds["two gradients"])),
    }
    for part, (more, less) in (GROWING | FIXED | WITHIN).items():
        difference = seconds[more] - (seconds[less] if less else 0.0)
        quarter, middle, three_quarters = np.quantile(difference, [0.25, 0.5, 0.75])
        found |= {part: float(middle), f"{part}, spread": float(three_quarters - quarter) / 2}
    return found

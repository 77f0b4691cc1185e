"""Curves of a run while it lasts, for its trackers."""

from __future__ import annotations

import time

import numpy as np

from smile.runs.progress import Advance
from smile.sampling import Look
from smile.tracking.tracker import Trackers

__all__ = ["Live", "timed"]

_QUANTILES = (0.05, 0.5, 0.95)


class Live:
    """Tells trackers of the chains of a network after every chunk.

    Args:
        trackers: of the run.
        step_size: as given, (groups,); chains of one follow each other.
    """

    def __init__(self, trackers: Trackers, step_size: np.ndarray) -> None:
        self._trackers, self._step_size = trackers, step_size

    def __call__(self, look: Look) -> None:
        """The running LPPD, step sizes, and quantiles of the energy errors of chains, of every step size apart."""
        values: dict[str, float] = {}
        groups = len(self._step_size)
        for group, step_size in enumerate(self._step_size):
            of = f"/{step_size:.3g}" if groups > 1 else ""
            for split, read in look.read.items():
                name = "lppd" if split == "test" else f"{split}_lppd"
                values[f"{name}{of}"] = float(read["ensemble"][group])
            if look.step_size is None or look.energy_error is None:
                continue
            values[f"step_size{of}"] = float(np.median(look.step_size.reshape(groups, -1)[group]))
            errors = look.energy_error.reshape(groups, -1)[group]
            for level in _QUANTILES:
                values[f"energy_error_q{round(100 * level):02d}{of}"] = float(np.quantile(errors, level))
        self._trackers.log(look.steps, {name: value for name, value in values.items() if np.isfinite(value)})


def timed(advance: Advance, trackers: Trackers, chains: int) -> Advance:
    """The same, which also tells trackers how many steps all chains together make in a second, compilation aside."""
    if not trackers:
        return advance
    done, last = 0, float("nan")

    def told(num_steps: int, note: str = "") -> None:
        nonlocal done, last
        now = time.monotonic()
        done += num_steps
        if num_steps and not note and now > last:
            trackers.log(done, {"chain_steps_per_second": num_steps * chains / (now - last)})
        last = now
        advance(num_steps, note)

    return told

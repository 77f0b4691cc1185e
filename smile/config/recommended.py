"""What ``+method=recommended`` depends on, all of it known before a run, as resolvers of OmegaConf.

override /sampler: ${by_noise:${noise},<where batches are the noise>,<where noise is added>}
step_size: ${in_epochs:<distance>,<target>,<batch size>,<elsewhere>}
"""

from __future__ import annotations

from typing import TypeVar

from omegaconf import OmegaConf

from smile.config.lengths import per_epoch

__all__ = ["by_noise", "in_epochs"]

T = TypeVar("T")


def by_noise(noise: str, of_batches: T, added: T) -> T:
    """One of two values, by the choice of ``noise``."""
    return of_batches if noise == "none" else added


def in_epochs(distance: float, target: str, batch_size: int | str | None, elsewhere: float) -> float:
    """The step size of which an epoch makes ``distance``, of posteriors of rows; ``elsewhere`` of other targets."""
    from smile.targets.posteriors.options import POSTERIORS, row_model  # here: it imports jax

    if target not in POSTERIORS:
        return elsewhere
    return per_epoch(distance, batch_size, row_model(target).num_rows)


OmegaConf.register_new_resolver("by_noise", by_noise)
OmegaConf.register_new_resolver("in_epochs", in_epochs)

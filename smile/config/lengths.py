"""Lengths of chains and steps, whatever their batches: arithmetic that YAML does not have, as resolvers of OmegaConf.

    num_steps: ${equal_work:<row gradients>,<batch size>,<rows>,<gradients of a step>,<draws>,<target.gradient>}
    thinning: ${every:<num_steps>,<draws>}
    step_size: ${per_epoch:<distance>,<batch size>,<rows>}

A step of a chain costs (gradients of a step) x (batch size) row gradients; a batch size of ``full`` is all rows. With
control variates it costs twice as much, and the mode, which chains share, is paid for by every one of them.
"""

from __future__ import annotations

from omegaconf import OmegaConf

__all__ = ["equal_work", "every", "per_epoch"]


def equal_work(
    row_gradients: int,
    batch_size: int | str | None,
    rows: int,
    gradients: int,
    draws: int,
    gradient: str = "batch",
) -> int:
    """Steps that cost about ``row_gradients``: a multiple of ``draws``, or, where they are fewer, of 16."""
    size = rows if batch_size in ("full", None) else int(batch_size)
    if gradient == "control_variate":
        from smile.targets.control_variates import MODE_GRADIENTS  # here: it imports jax

        row_gradients, gradients = row_gradients - MODE_GRADIENTS * rows, 2 * gradients
    steps = row_gradients / (size * gradients)
    unit = draws if steps >= draws else 16
    return unit * max(1, round(steps / unit))


def every(num_steps: int, draws: int) -> int:
    """The thinning that leaves ``draws`` of these steps, or all where they are fewer."""
    return max(1, num_steps // draws)


def per_epoch(distance: float, batch_size: int | str | None, rows: int) -> float:
    """The step size of which an epoch's steps make ``distance``."""
    size = rows if batch_size in ("full", None) else int(batch_size)
    return float(f"{distance * size / rows:.4g}")


OmegaConf.register_new_resolver("equal_work", equal_work)
OmegaConf.register_new_resolver("every", every)
OmegaConf.register_new_resolver("per_epoch", per_epoch)

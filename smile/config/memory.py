"""How much memory chains need at the least: what no machine has is a slip of the keyboard."""

from __future__ import annotations

import os

from smile.config.run import RunConfig
from smile.options import ConfigError

__all__ = ["check_memory", "memory_of_this_machine"]

_MOST_BYTES = 2**40  # 1 TiB
_COPIES = 6  # of a position: velocity, gradient, momenta, preconditioner, a proposal
_DRAWS = 1280  # that are kept of a chain of an analytic target, see smile.sampling.chains
_BYTES = 4  # of a float32


def memory_of_this_machine() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(config: RunConfig, dim: int, most: int | None = None) -> None:
    """What chains need, before anything is allocated.

    Args:
        config: of the run.
        dim: numbers of a position; 0 where only the built target knows.
        most: bytes of the machine that computes; a TiB where it is not known.

    Raises:
        ConfigError: naming the option with the largest number.
    """
    sizes = {"replications": config.replications, "step_size": len(config.step_size) or 1}
    chains = sizes["replications"] * sizes["step_size"]
    copies, matrices = _COPIES, 0
    if config.network is None:
        copies += min(config.num_steps // config.thinning, _DRAWS)
        if dim:
            sizes["target.dim"] = dim
            matrices = 4 * (config.target.name == "icg") + 4 * config.noise.needs_scales  # float64
    needed = _BYTES * max(1, dim) * (chains * copies + matrices * dim)
    if needed > (most or _MOST_BYTES):
        limit = f"the {most / 2**30:.3g} GiB of this machine" if most else "1 TiB"
        option = max(sizes, key=lambda name: sizes[name])
        need = f"{chains:.3g} chains of {max(1, dim):.3g} numbers need {needed / 2**30:.3g} GiB"
        valid = f"less: {need}, more than {limit}"
        raise ConfigError(option, sizes[option], valid)

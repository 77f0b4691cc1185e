"""How much memory chains need at the least: what no machine has is a slip of the keyboard."""

from __future__ import annotations

from smile.config.run import RunConfig
from smile.options import ConfigError

__all__ = ["check_memory"]

_MOST_BYTES = 2**40  # 1 TiB
_COPIES = 6  # of a position: velocity, gradient, momenta, preconditioner, a proposal
_DRAWS = 1280  # that are kept of a chain of an analytic target, see smile.sampling.chains
_BYTES = 4  # of a float32


def check_memory(config: RunConfig, dim: int) -> None:
    """What chains need, before anything is allocated.

    Args:
        config: of the run.
        dim: numbers of a position; 0 where only the built target knows.

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
    if needed > _MOST_BYTES:
        option = max(sizes, key=lambda name: sizes[name])
        valid = f"less: {chains:.3g} chains of {max(1, dim):.3g} numbers need {needed / 2**30:.3g} GiB, more than 1 TiB"
        raise ConfigError(option, sizes[option], valid)

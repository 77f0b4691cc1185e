"""What a command is told before it starts anything: every target, network and sampler is built once."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from smile.config.memory import check_memory, memory_of_this_machine
from smile.config.run import RunConfig
from smile.extras import MissingExtraError, is_installed, missing
from smile.options import ConfigError
from smile.sweep.attempt import is_done, prepare_jax, reason_of, run_dir

__all__ = ["absent", "check_data", "check_early", "check_folders", "check_paths", "own_devices"]

_CLOCK_TOLERANCE_SECONDS = 60


@contextmanager
def own_devices() -> Iterator[None]:
    """The devices that this process prepares are not those of the processes that it starts, here or on a cluster."""
    flags = os.environ.get("XLA_FLAGS")
    try:
        yield
    finally:
        os.environ.pop("XLA_FLAGS", None)
        if flags is not None:
            os.environ["XLA_FLAGS"] = flags


def absent(configs: Sequence[RunConfig]) -> list[str]:
    """What the runs that are left go on without, as a package is not installed, in sentences.

    Raises:
        MissingExtraError: where they must not.
    """
    left = [config for config in configs if not is_done(config)]
    lines = [
        line for tracker in dict.fromkeys(config.tracker for config in left) for line in tracker.absent()
    ]
    if any(config.network for config in left) and not is_installed("matplotlib"):
        lines.append(f"no figures, as they need {missing('matplotlib')}")
    return lines


def check_early(configs: Sequence[RunConfig], *, computes_here: bool = True) -> None:
    """Builds every target with its noise, and every network with its data, once: what is wrong stops the command.

    Args:
        configs: of all runs of the command.
        computes_here: whether this machine is to compute them, whose memory then bounds what chains may need.
    """
    problems: dict[Any, dict[Any, RunConfig]] = {}
    for config in configs:
        if not is_done(config):
            problem = (config.data, config.model, config.target, config.noise)
            problems.setdefault(problem, {})[config.sampler] = config
    for by_sampler in problems.values():
        config = next(iter(by_sampler.values()))
        prepare_jax(config)
        if computes_here and isinstance(dim := getattr(config.target, "dim", 0), int) and _is_cpu():
            for one in by_sampler.values():
                check_memory(one, dim, memory_of_this_machine())
        with _room_for(config):
            _check_problem(by_sampler)


def _is_cpu() -> bool:
    """Whether chains lie in the memory of the machine, and not in that of an accelerator."""
    import jax

    return jax.default_backend() == "cpu"


@contextmanager
def _room_for(config: RunConfig) -> Iterator[None]:
    """Raises ConfigError where a target, or a network, is larger than the memory of this machine."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # JAX's own is a RuntimeError
        why = reason_of(error)
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in why:
            raise
        where = ("model", config.model.name) if config.model else ("target", config.target.name)
        raise ConfigError(*where, f"one that fits into the memory; {why}") from None


def _check_problem(by_sampler: Mapping[Any, RunConfig]) -> None:
    config = next(iter(by_sampler.values()))
    from smile.execute.problem import (
        check_sampler,
        exact_target,
        make_network,
        subsampling_of,
    )
    from smile.targets import AnalyticTarget

    if chosen := config.network:
        network = make_network(chosen, config.seed)
        subsampling = subsampling_of(network.posterior, network.batch_size)
        for config in by_sampler.values():
            check_sampler(config, subsampling)
            check_memory(config, network.posterior.dim)
    elif isinstance(config.target, AnalyticTarget):
        try:
            config.noise.check(exact_target(config.target))
        except MissingExtraError:
            raise
        except ValueError as error:
            factory = config.target.factory
            where = ("target.factory", factory) if factory else ("target", config.target.name)
            raise ConfigError(*where, f"a target that can be sampled; {error}") from None
        for config in by_sampler.values():
            noisy = config.noise.is_noisy
            check_sampler(config, None if noisy else exact_target(config.target).subsampling)


def check_paths(configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where the file system cannot look up the folder of a run."""
    for config in {run_dir(config).parent: config for config in configs}.values():
        try:
            run_dir(config).stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            valid = f"a folder that can be read; {error.strerror}"
            raise ConfigError("results_dir", config.results_dir, valid) from None


def check_folders(configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where results cannot be written; says it where the clock of their file system is not ours."""
    for folder in dict.fromkeys(run_dir(config).parent for config in configs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe.", suffix=".tmp") as file:
                file.write(b"room?")
                file.flush()
                skew = os.fstat(file.fileno()).st_mtime - time.time()
        except OSError as error:
            raise ConfigError(
                "results_dir", str(folder), f"a folder that can be written; {reason_of(error)}"
            ) from None
        if abs(skew) > _CLOCK_TOLERANCE_SECONDS:
            print(
                f"smile: the clocks of this machine and of {folder} differ by {abs(skew):.0f} s; dates will be off",
                file=sys.stderr,
            )


def check_data(configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where data cannot be downloaded or decoded, as far as that shows before."""
    for data in dict.fromkeys(config.data for config in configs):
        if data is not None:
            data.check()

"""One attempt at one run: locked, followed by a status, and whatever happens to it stays in its folder."""

from __future__ import annotations

import logging
import os
import tempfile
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from smile import stop
from smile.code import FAULTS, explained
from smile.config.identity import run_id
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import experiment_dir
from smile.runs import status
from smile.runs.lock import LOCK_FILE, Lock, claim
from smile.runs.queue import current_job
from smile.runs.status import FAILURE_FILE
from smile.tracking import is_finished, write_text_atomic
from smile.tracking.parquet import METRICS_FILE
from smile.tracking.trackers import TrackerConfig

__all__ = ["FOUND", "Outcome", "attempt", "is_done", "prepare_jax", "reason_of", "run_dir", "tidy"]

_logger = logging.getLogger(__name__)


FOUND = "its results were there"

State = Literal["done", "failed", "taken", "followed"]


class Outcome(NamedTuple):
    """How an attempt ended, and why where it did not end well.

    Attributes:
        state: ``taken`` where another process is at the run, ``followed`` where another host of it writes the results.
        reason: in one line.
    """

    state: State
    reason: str = ""


def run_dir(config: RunConfig) -> Path:
    """Where the results of a run lie."""
    return experiment_dir(config.results_dir, config.experiment, config.scale) / "runs" / run_id(config)


def is_done(config: RunConfig) -> bool:
    """Whether there is nothing left to do."""
    return is_finished(run_dir(config)) and not config.force


def tidy(config: RunConfig) -> None:
    """Removes what a process has left beside finished metrics that was killed between them and its end."""
    directory = run_dir(config)
    if not (os.path.lexists(directory / LOCK_FILE) or any(directory.glob(".*.tmp"))) or not is_done(config):
        return
    with suppress(OSError), claim(directory) as lock:  # of a folder that is only read nothing is asked
        if isinstance(lock, Lock):
            _remove_leftovers(directory)


def attempt(config: RunConfig, label: str, *, shares_machine: bool = False) -> Outcome:
    """Runs a config, unless it is done or another process is at it.

    Args:
        label: what people call it.
        shares_machine: whether other runs compute on this machine, see ``prepare_jax``.

    Raises:
        Preempted: where it was asked to stop.
    """
    directory = run_dir(config)
    if config.distributed and _is_follower(config):
        return _follow(config, label)
    if is_done(config):
        return _told(config, Outcome("done", FOUND))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with claim(directory) as lock:
            if not isinstance(lock, Lock):
                who = f"process {lock.pid} on {lock.host or 'another machine'} is at it"
                return _told(config, Outcome("taken", who))
            if is_done(config):
                return _told(config, Outcome("done", FOUND))
            if (directory / METRICS_FILE).exists() and not config.force:
                _logger.warning("%s cannot be read and is computed again", directory / METRICS_FILE)
            return _run(config, directory, label, lock, shares_machine)
    except OSError as error:  # before the run has begun: its folder cannot be used
        return _told(config, Outcome("failed", reason_of(error)))


# ---- several hosts -------------------------------------------------------------------------------


def _is_follower(config: RunConfig) -> bool:
    """Whether another host of this run owns its folder."""
    prepare_jax(config)
    import jax

    return jax.process_index() > 0


def _told(config: RunConfig, outcome: Outcome) -> Outcome:
    """The outcome, of which the first host of a run tells all others: they see neither its lock nor its disk.

    Where the first host computes it is ``followed``, which the others say then.
    """
    if config.distributed:
        import numpy as np
        from jax.experimental.multihost_utils import broadcast_one_to_all

        states: tuple[State, ...] = get_args(State)
        told = states[int(broadcast_one_to_all(np.int32(states.index(outcome.state))))]
        return outcome if told == outcome.state else Outcome(told, "as the first host says")
    return outcome


def _follow(config: RunConfig, label: str) -> Outcome:
    """Computes this host's part of a run, and keeps nothing."""
    from smile.execute import execute

    with tempfile.TemporaryDirectory() as scratch:
        quiet = replace(config, results_dir=scratch, tracker=TrackerConfig())
        run_dir(quiet).mkdir(parents=True)
        try:
            if (told := _told(config, Outcome("followed"))).state != "followed":
                return told
            execute(quiet, run_dir(quiet), label=f"{label}, another host")
        except FAULTS as error:
            return Outcome("failed", reason_of(error))
    return Outcome("followed")


def _remove_leftovers(directory: Path) -> None:
    """Of a run that failed or was killed, whose lock the caller holds."""
    for leftover in (FAILURE_FILE, ".*.tmp", ".lock.*"):
        for file in directory.glob(leftover):
            file.unlink(missing_ok=True)  # a process that waits for the lock has files of its own here


def _run(config: RunConfig, directory: Path, label: str, lock: Lock, shares_machine: bool) -> Outcome:
    _remove_leftovers(directory)
    with status.running(directory, config.label, current_job(), lock):
        try:
            stop.check()
            prepare_jax(config, shares_machine)
            from smile.execute import execute  # here, because it imports jax

            _told(config, Outcome("followed"))
            execute(config, directory, label=label)
        except FAULTS as error:
            reason = reason_of(error)
            try:
                write_text_atomic(directory / FAILURE_FILE, f"{reason}\n\n{traceback.format_exc()}")
            except OSError:
                where = "" if isinstance(error, OSError) else f"\n{traceback.format_exc()}"
                _logger.error("%s: no room to say so in %s%s", reason, directory, where)
            status.update(directory, state="failed", reason=reason)
            return Outcome("failed", reason)
        except stop.Preempted as request:
            if str(request) == status.LOST:
                stop.clear()
                return Outcome("taken", str(request))
            status.update(directory, state="preempted", reason=str(request))
            raise
        except BaseException as end:
            status.update(directory, state="preempted", reason=type(end).__name__)
            raise
        status.update(directory, state="done")
    return Outcome("done")


def prepare_jax(config: RunConfig, shares_machine: bool = False) -> None:
    """Sets what JAX reads once, at its first computation: devices and threads; then the precision.

    Args:
        shares_machine: whether one core is all it may have, and not the memory of a whole accelerator.
    """
    cores = len(os.sched_getaffinity(0))
    if shares_machine:
        cores = 1
        os.environ.setdefault("NPROC", "1")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        count = cores if config.devices == "auto" else config.devices
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={count}".strip()
    import jax

    jax.config.update("jax_enable_x64", config.precision == "float64")
    if config.distributed and not jax.distributed.is_initialized():
        # Slurm, Open MPI and TPU pods say these by themselves.
        num_processes, process_id = (
            os.environ.get(f"JAX_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID")
        )
        jax.distributed.initialize(
            num_processes=int(num_processes) if num_processes else None,
            process_id=int(process_id) if process_id else None,
        )
    _check_platform()


def _check_platform() -> None:
    """Finds the devices now: whatever needs them first would be blamed for there being none."""
    import jax

    try:
        jax.devices()
    except Exception as error:  # of a plugin that JAX loads, which may raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[0] if lines else "there is no such device, or no plugin for it"
        if platforms := os.environ.get("JAX_PLATFORMS"):
            raise ConfigError(
                "JAX_PLATFORMS", platforms, f"cpu, or an accelerator of this machine; {why}"
            ) from None
        raise ConfigError("devices", "none", f"a machine on which JAX finds a device; {why}") from None


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(filter(None, [error.strerror, str(error.filename or "")]))
    return explained(error)

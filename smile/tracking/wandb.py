"""A mirror of a run's metrics in Weights & Biases that can neither fail the run nor talk over its output."""

from __future__ import annotations

import logging
import netrc
import os
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pandas as pd

from smile.options import choice, file_name, option
from smile.tracking.statistics import reached, summarise

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbOptions", "is_reachable", "mirror", "wandb_id"]

_logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0  # for a server that answers, but slowly, at the start and at the end
_CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class WandbOptions:
    """``tracker.wandb``: ``auto`` is online where the user is logged in and offline elsewhere."""

    mode: Literal["auto", "offline", "online", "disabled"] = option(
        choice("auto", "offline", "online", "disabled")
    )
    project: str = option(file_name)


def wandb_id(experiment: str, scale: str, run_id: str) -> str:
    """The id that a run has in wandb, whenever and wherever it is mirrored."""
    return f"{experiment}-{scale}-{run_id}"


def mirror(
    config: Mapping[str, Any],
    rows: pd.DataFrame,
    *,
    mode: str,
    project: str,
    group: str,
    name: str,
    run_id: str,
    directory: str | Path,
) -> None:
    """Opens one wandb run, logs one row of means per step size and the best one as summary, and closes it again.

    Args:
        config: the resolved config; nested keys are flattened with dots.
        rows: the run's metrics in the schema of ``smile.tracking.parquet``.
        mode: ``auto`` (online where an API key is configured, else offline), ``online``, ``offline`` or ``disabled``.
        project: wandb project.
        group: usually the experiment.
        name: what the run is called in the user interface.
        run_id: makes a repeated run replace its predecessor.
        directory: offline runs go to ``directory/wandb``.

    Whatever goes wrong becomes one warning.
    """
    if mode == "disabled":
        return
    try:
        _mirror(config, rows, mode, project, group, name, run_id, Path(directory).resolve())
    except Exception as error:  # a mirror never fails a run
        _logger.warning(
            "wandb: run %s is not mirrored (%s: %s)", run_id, type(error).__name__, _first_line(error)
        )


def _mirror(
    config: Mapping[str, Any],
    rows: pd.DataFrame,
    mode: str,
    project: str,
    group: str,
    name: str,
    run_id: str,
    directory: Path,
) -> None:
    import wandb

    directory.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        symlink=False,
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        init_timeout=_PATIENCE_SECONDS,
        finish_timeout=_PATIENCE_SECONDS,
        finish_timeout_raises=True,
    )
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in(settings) else "offline")
    if mode == "online" and not is_reachable(settings.base_url):
        _logger.warning("wandb: %s does not answer; run %s waits for smile-sync", settings.base_url, run_id)
        mode = "offline"
    with wandb.init(
        project=project,
        group=group,
        name=name,
        id=run_id,
        dir=directory,
        mode=mode,  # type: ignore[arg-type]
        config=dict(_flatten(config)),
        settings=settings,
    ) as run:
        _log(run, rows)


def _log(run: wandb.Run, rows: pd.DataFrame) -> None:
    summary = summarise(rows)
    run.define_metric("*", step_metric="step_size")
    means = summary.reset_index().pivot(index="step_size", columns="metric", values="mean")
    for step_size, row in means.iterrows():
        run.log({"step_size": step_size, **row.dropna().to_dict()})
    run.summary["wall_seconds"] = float(rows["wall_seconds"].max())
    run.summary["gradient_evaluations"] = int(rows["gradient_evaluations"].max())
    found = reached(summary)
    if found and found.step_size is not None:
        cell = summary.loc[(found.metric.name, found.step_size)]
        run.summary["best/step_size"] = found.step_size
        run.summary[f"best/{found.metric.name}"] = float(cell["mean"])
        run.summary[f"best/{found.metric.name}_error"] = float(cell["error"])


def _is_logged_in(settings: wandb.Settings) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return urlsplit(settings.base_url).hostname in file.hosts


@cache
def is_reachable(url: str) -> bool:
    """Whether a server, or the proxy before it, accepts connections, found out once per process and within seconds."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy)
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]

"""A run in Weights & Biases: curves while it lasts, and its metrics and figure at the end."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

import pandas as pd

from smile.extras import need
from smile.options import boolean, choice, file_name, option
from smile.tracking.reachable import is_reachable
from smile.tracking.statistics import reached, summarise
from smile.tracking.tracker import About, Tracker, TrackerOptions, flatten, following

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbOptions", "mirror", "wandb_id"]

_logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0  # for a server that answers, but slowly, at the start and at the end

WandbMode = Literal["auto", "offline", "online", "disabled"]


@dataclass(frozen=True)
class WandbOptions(TrackerOptions):
    """``tracker.wandb``: ``auto`` is online where the user is logged in and offline elsewhere."""

    module: ClassVar[str] = "wandb"

    mode: WandbMode = option(choice("auto", "offline", "online", "disabled"))
    project: str = option(file_name)
    if_installed: bool = option(boolean, default=False)

    @property
    def is_wanted(self) -> bool:
        """Unless it is disabled."""
        return self.mode != "disabled"

    def open(self, about: About) -> Tracker:
        """One wandb run, which replaces an earlier one of the same id; offline ones go to the folder ``wandb``."""
        need(self.module, "tracker=wandb")
        import wandb

        directory = about.directory.resolve()
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
        mode: str = self.mode
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in(settings) else "offline")
        identity = wandb_id(about.experiment, about.scale, about.run_id)
        if mode == "online" and not is_reachable(settings.base_url):
            _logger.warning(
                "wandb: %s does not answer; run %s waits for smile-sync", settings.base_url, identity
            )
            mode = "offline"
        run = wandb.init(
            project=self.project,
            group=about.experiment,
            name=about.label,
            id=identity,
            dir=directory,
            mode=mode,  # type: ignore[arg-type]
            config=dict(flatten(about.config)),
            settings=settings,
        )
        run.define_metric("live/*", step_metric="live/step")
        return _Wandb(run)


def wandb_id(experiment: str, scale: str, run_id: str) -> str:
    """The id that a run has in wandb, whenever and wherever it is mirrored."""
    return f"{experiment}-{scale}-{run_id}"


class _Wandb(Tracker):
    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"live/step": step, **{f"live/{name}": value for name, value in values.items()}})

    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        """One row of means per step size, the best one as summary."""
        run, summary = self._run, summarise(rows)
        means = summary.reset_index().pivot(index="step_size", columns="metric", values="mean")
        for name in means.columns:
            run.define_metric(name, step_metric="step_size")
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
        if figure is not None:
            import wandb

            run.log({"figure": wandb.Image(str(figure))})

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def mirror(about: About, rows: pd.DataFrame, *, mode: WandbMode, project: str) -> None:
    """A run that is over; whatever goes wrong becomes one warning.

    Args:
        about: the run.
        rows: its metrics in the schema of ``smile.tracking.parquet``.
        mode: and
        project: see ``WandbOptions``.
    """
    with following({"wandb": WandbOptions(mode=mode, project=project)}, about) as trackers:
        trackers.finish(rows, None)


def _is_logged_in(settings: wandb.Settings) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return urlsplit(settings.base_url).hostname in file.hosts

"""Curves, table and figure of a run for ``tensorboard --logdir tensorboard``; torch and TensorFlow are not needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from smile.extras import need
from smile.options import file_path, option
from smile.paths import experiment_dir, local_path
from smile.tracking.statistics import reached, summarise
from smile.tracking.tracker import About, Tracker, TrackerOptions, flatten

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

__all__ = ["TensorboardOptions"]

_EVENTS = "events.out.tfevents.*"


@dataclass(frozen=True)
class TensorboardOptions(TrackerOptions):
    """``tracker.tensorboard``: event files in ``dir/<experiment>/<scale>/<run id>``."""

    module: ClassVar[str] = "tensorboardX"

    dir: str = option(file_path)

    def open(self, about: About) -> Tracker:
        """Empties the folder of the run first: what a killed one had shown comes again with its checkpoint."""
        need(self.module, "tracker=tensorboard")
        from tensorboardX import SummaryWriter

        folder = (
            experiment_dir(about.directory / local_path(self.dir), about.experiment, about.scale)
            / about.run_id
        )
        for file in folder.glob(_EVENTS):
            file.unlink(missing_ok=True)
        writer = SummaryWriter(str(folder))
        writer.add_text("config", _table(flatten(about.config)))
        return _Tensorboard(writer)


class _Tensorboard(Tracker):
    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer
        self._step = 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(f"live/{name}", value, step)
        self._writer.flush()

    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        summary = summarise(rows)
        means = summary.reset_index().pivot(index="metric", columns="step_size", values="mean")
        columns = [f"{step_size:.4g}" for step_size in means.columns]
        lines = [(name, " | ".join(f"{value:.4g}" for value in row)) for name, row in means.iterrows()]
        self._writer.add_text("metrics", _table(lines, "metric", " | ".join(columns)), self._step)
        found = reached(summary)
        if found and found.step_size is not None:
            best = float(summary.loc[(found.metric.name, found.step_size), "mean"])
            self._writer.add_scalar("best/step_size", found.step_size, self._step)
            self._writer.add_scalar(f"best/{found.metric.name}", best, self._step)
        if figure is not None:
            from matplotlib.image import imread  # which drew it

            self._writer.add_image("figure", imread(figure), self._step, dataformats="HWC")

    def close(self, *, failed: bool) -> None:
        self._writer.close()


def _table(lines: Any, *head: str) -> str:
    """Markdown, which TensorBoard shows as a table."""
    first, second = head or ("option", "value")
    rule = " | ".join("---" for _ in f"{first} | {second}".split(" | "))
    body = [f"| {name} | {value} |" for name, value in lines]
    return "\n".join([f"| {first} | {second} |", f"| {rule} |", *body])

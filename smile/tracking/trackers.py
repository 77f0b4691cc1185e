"""``tracker=...``: the trackers that there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from smile.extras import need
from smile.tracking.mlflow import MlflowOptions
from smile.tracking.tensorboard import TensorboardOptions
from smile.tracking.tracker import TrackerOptions
from smile.tracking.wandb import WandbOptions

__all__ = ["TRACKERS", "TrackerConfig"]

TRACKERS: Mapping[str, type[TrackerOptions]] = {
    "wandb": WandbOptions,
    "tensorboard": TensorboardOptions,
    "mlflow": MlflowOptions,
}


@dataclass(frozen=True)
class TrackerConfig:
    """Where numbers go besides Parquet; None: not there."""

    wandb: WandbOptions | None = None
    tensorboard: TensorboardOptions | None = None
    mlflow: MlflowOptions | None = None

    @property
    def chosen(self) -> dict[str, TrackerOptions]:
        """Those that are told of a run, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: options for name, options in named.items() if options is not None}

    def absent(self) -> list[str]:
        """What runs go on without, in sentences.

        Raises:
            MissingExtraError: where they must not.
            ConfigError: where the environment tells a tracker something wrong.
        """
        for name, options in self.chosen.items():
            if options.is_wanted and not options.if_installed:
                need(options.module, f"tracker={name}")
            options.check_environment()
        return [line for options in self.chosen.values() if (line := options.absent())]

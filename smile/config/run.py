"""One run as one frozen object. Nothing after it reads global state, and nothing before it has computed anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from smile.options import SEED, boolean, choice, either, file_name, integer, number, option, optional, text
from smile.tracking.trackers import TrackerConfig

if TYPE_CHECKING:
    from smile.data import DataOptions
    from smile.kernels import Sampler
    from smile.models import ModelOptions
    from smile.noise import NoiseOptions
    from smile.sampling import WarmStartOptions
    from smile.targets import AnalyticTarget, NetworkTarget
    from smile.tuners import TunerOptions

__all__ = ["NetworkChoices", "RunConfig"]


class NetworkChoices(NamedTuple):
    """The groups that only runs on networks choose from."""

    target: NetworkTarget
    data: DataOptions
    model: ModelOptions
    warm_start: WarmStartOptions


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything one run needs. ``smile.config.identity.run_id`` hashes the part that determines its numbers."""

    data: DataOptions | None  # None where the target is analytic
    model: ModelOptions | None
    warm_start: WarmStartOptions | None
    target: AnalyticTarget | NetworkTarget
    noise: NoiseOptions
    sampler: Sampler
    tuner: TunerOptions
    tracker: TrackerConfig
    step_size: tuple[float, ...]  # empty where the tuner finds it
    replications: int = option(integer(1))
    num_steps: int = option(integer(1))  # burn-in included
    thinning: int = option(integer(1))
    burn_in: int = option(integer(0))
    short_steps: int | None = option(
        optional(integer(1)), default=None
    )  # chains of so many steps are measured, too
    seed: int = option(SEED)
    precision: Literal["float32", "float64"] = option(choice("float32", "float64"))
    scale: str = option(file_name)
    experiment: str = option(file_name)
    variant: str = option(text)
    force: bool = option(boolean)
    dry_run: bool = option(boolean)
    max_minutes: float | None = option(optional(number(0)), default=None)  # of the command
    devices: Literal["auto"] | int = option(either({"auto": "auto"}, integer(1, 1024)))
    distributed: bool = option(boolean)
    results_dir: str = option(text)

    @property
    def network(self) -> NetworkChoices | None:
        """What a run on a network chose; None where the target is analytic."""
        from smile.targets import NetworkTarget  # here, because it imports jax

        if not isinstance(self.target, NetworkTarget):
            return None
        assert self.data is not None and self.model is not None and self.warm_start is not None
        return NetworkChoices(self.target, self.data, self.model, self.warm_start)

    @property
    def label(self) -> str:
        """What people call the run: its choices, and the variant."""
        problem = (self.target.name, self.data.name if self.data else self.noise.name)
        tuner = "" if self.tuner.name in ("none", self.sampler.tuned_by) else self.tuner.name
        return " ".join(filter(None, (*problem, self.sampler.name, tuner, self.variant)))

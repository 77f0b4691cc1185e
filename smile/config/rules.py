"""The rules between groups. What concerns one choice alone stands where it is declared."""

from __future__ import annotations

from smile.config.memory import check_memory
from smile.config.run import NetworkChoices, RunConfig
from smile.data import DATA
from smile.kernels import SAMPLERS, Sampler
from smile.models import MODELS
from smile.options import ConfigError
from smile.targets import AnalyticTarget
from smile.tuners import AdaptingTuner, TunerOptions

__all__ = ["check_together", "check_tuner"]


def check_tuner(tuner: TunerOptions, sampler: Sampler) -> None:
    """A tuner and the sampler that it is to control.

    Raises:
        ConfigError: where they do not fit together.
    """
    if sampler.tuned_by not in (None, tuner.name):
        valid = f"{sampler.tuned_by} with sampler={sampler.name}, whose L and step size it adapts"
        raise ConfigError("tuner", tuner.name, valid)
    if isinstance(tuner, AdaptingTuner) and sampler.tuned_by != tuner.name:
        its = [name for name, one in SAMPLERS.items() if one and one.tuned_by == tuner.name]
        valid = f"any other with sampler={sampler.name}; it adapts sampler={', '.join(its)}"
        raise ConfigError("tuner", tuner.name, valid)
    if tuner.needs_energy and not sampler.has_energy:
        valid = f"any other with sampler={sampler.name}, which conserves no energy to watch"
        raise ConfigError("tuner", tuner.name, valid)


def check_together(config: RunConfig) -> None:
    """All other rules.

    Raises:
        ConfigError: which names the first one that is broken.
    """
    _check_groups(config)
    if chosen := config.network:
        _check_network(config, chosen)
    else:
        _check_analytic(config)
    _check_slices(config)
    if config.burn_in >= config.num_steps:
        raise ConfigError("burn_in", config.burn_in, f"a whole number below num_steps={config.num_steps}")
    check_memory(config, getattr(config.target, "dim", 0))
    if config.num_steps % config.thinning:
        raise ConfigError("thinning", config.thinning, f"a divisor of num_steps={config.num_steps}")


def _check_slices(config: RunConfig) -> None:
    """A slice of a command goes on where the one before it has stopped."""
    if config.max_minutes is None:
        return
    if config.force:
        raise ConfigError(
            "force", True, "false with max_minutes, whose every slice would repeat what is done"
        )
    if config.distributed:
        valid = "null with distributed=true: its hosts would not all stop before the same run"
        raise ConfigError("max_minutes", config.max_minutes, valid)


def _check_groups(config: RunConfig) -> None:
    """Networks need data, a model and a warm start, of one kind; analytic targets have none."""
    target = config.target
    if isinstance(target, AnalyticTarget):
        for group in ("data", "model", "warm_start"):
            if (choice := getattr(config, group)) is not None:
                raise ConfigError(group, choice.name, f"none with target={target.name}")
        return
    data = [name for name, one in DATA.items() if one and one.kind == target.reads]
    models = [name for name, one in MODELS.items() if one and target.reads in one.reads]
    if config.data is None or config.data.kind != target.reads:
        given = config.data.name if config.data else "none"
        raise ConfigError("data", given, f"{', '.join(data)} with target={target.name}")
    if config.model is None or target.reads not in config.model.reads:
        given = config.model.name if config.model else "none"
        text = "" if target.reads == "text" else ", or target=nanogpt"
        raise ConfigError("model", given, f"{', '.join(models)} with target={target.name}{text}")
    if config.warm_start is None:
        raise ConfigError("warm_start", "none", f"adamw with target={target.name}")


def _check_network(config: RunConfig, chosen: NetworkChoices) -> None:
    if config.noise.is_noisy:
        valid = "none with target=bnn, whose batches are the noise of its gradients"
        raise ConfigError("noise", config.noise.name, valid)
    if config.sampler.is_weighted:
        valid = f"one whose draws count equally, with target={chosen.target.name}; sampler.most_noise=null makes one"
        raise ConfigError("sampler", config.sampler.name, valid)
    if config.sampler.uncounted_steps > config.burn_in:
        valid = f"a whole number <= burn_in={config.burn_in}, as chains stand still while they measure"
        raise ConfigError("sampler.measured_steps", config.sampler.uncounted_steps, valid)
    if config.sampler.is_full_batch and chosen.target.batch_size is not None:
        valid = f"null with sampler={config.sampler.name}, because it is the full-batch baseline"
        raise ConfigError("target.batch_size", chosen.target.batch_size, valid)
    if config.sampler.needs_subsampling and chosen.target.batch_size is None:
        valid = f"a whole number with sampler={config.sampler.name}, whose preconditioner needs the noise of batches"
        raise ConfigError("target.batch_size", None, valid)
    if config.sampler.needs_noise and chosen.target.batch_size is None:
        if not hasattr(config.sampler, "L"):
            valid = f"a whole number with sampler={config.sampler.name}, which lives on noise"
            raise ConfigError("target.batch_size", None, valid)
        valid = f"a number > 0 on the full batch: without noise sampler={config.sampler.name} is not ergodic"
        raise ConfigError("sampler.L", None, valid)
    if config.short_steps is not None:
        raise ConfigError("short_steps", config.short_steps, f"null with target={chosen.target.name}")
    if config.burn_in % config.thinning:
        raise ConfigError("burn_in", config.burn_in, f"a multiple of thinning={config.thinning}")


def _check_analytic(config: RunConfig) -> None:
    target, noise = config.target, config.noise
    assert isinstance(target, AnalyticTarget)
    if config.distributed:
        raise ConfigError("distributed", True, f"false with target={target.name}")
    if config.sampler.is_full_batch and noise.is_noisy:
        valid = f"none with sampler={config.sampler.name}, because it is the full-batch baseline"
        raise ConfigError("noise", noise.name, valid)
    if config.sampler.is_full_batch and target.has_batches:
        valid = f"full with sampler={config.sampler.name}, because it is the full-batch baseline"
        raise ConfigError("target.batch_size", getattr(target, "batch_size", None), valid)
    if config.sampler.needs_subsampling and getattr(target, "batch_size", 0) is None:
        valid = f"rows of a batch with sampler={config.sampler.name}, whose preconditioner needs their noise"
        raise ConfigError("target.batch_size", "full", f"{valid}; on all rows sampler=mclmc")
    if config.sampler.needs_noise and not (noise.is_noisy or target.has_batches or target.factory):
        name = config.sampler.name
        if not hasattr(config.sampler, "L"):
            raise ConfigError("noise", noise.name, f"any other with sampler={name}, which lives on noise")
        raise ConfigError(
            "sampler.L", None, f"a number > 0 with noise=none: without noise sampler={name} is not ergodic"
        )
    if config.sampler.uncounted_steps >= config.num_steps:
        valid = f"a whole number below num_steps={config.num_steps}, whose positions count"
        raise ConfigError("sampler.measured_steps", config.sampler.uncounted_steps, valid)
    if noise.needs_scales and not target.has_known_scales:
        valid = f"none, isotropic with target={target.name}, as the others need known scales"
        raise ConfigError("noise", noise.name, valid)
    if 0 < target.dim < noise.fewest_coordinates:
        valid = f"at least {noise.fewest_coordinates} with noise={noise.name}, which varies along x[2]"
        raise ConfigError("target.dim", target.dim, valid)

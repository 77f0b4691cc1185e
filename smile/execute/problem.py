"""What a config names, built: the posterior with its noise, the network with its data, and where chains start."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile.base import Build, Subsampling, Target
from smile.code import FAULTS, explained, module_of
from smile.config.run import NetworkChoices, RunConfig
from smile.data import Dataset, load_dataset, source
from smile.kernels import Sampler
from smile.models import MODELS, Model, standardised
from smile.options import ConfigError
from smile.targets import AnalyticTarget, NetworkPosterior, NetworkTarget, Prior, bnn, likelihood
from smile.tuners import Adapted, AdaptingTuner, Tuner, TunerOptions, tuned
from smile.tuners.base import TunedAlgorithm

__all__ = [
    "Dynamics",
    "Network",
    "adapt",
    "algorithm_of",
    "build_network",
    "check_sampler",
    "exact_target",
    "full_batch",
    "make_network",
    "make_target",
    "stacked",
    "subsampling_of",
]


# ---- chains --------------------------------------------------------------------------------------


class Dynamics(NamedTuple):
    """What moves chains, where there is no ``RunConfig``, whose attributes these are.

    Attributes:
        sampler: the dynamics.
        tuner: step-size control.
        step_size: initial ones; empty where the tuner finds it.
        replications: chains of every step size.
        num_steps: of a chain.
    """

    sampler: Sampler
    tuner: TunerOptions
    step_size: tuple[float, ...]
    replications: int
    num_steps: int


class Algorithm(NamedTuple):
    """The kernel and the tuner of a run.

    Attributes:
        of: from what an adaptation found, ``Adapted.parameters``, to kernel and tuner in one.
        keeps: ``step -> bool``, whether the tuner lets the draw after this step be kept; None: every one.
    """

    of: Callable[[Any], TunedAlgorithm]
    keeps: Callable[[jax.Array], jax.Array] | None


def algorithm_of(
    config: RunConfig | Dynamics,
    logdensity_fn: Callable[[Any, Any], jax.Array],
    num_steps: int,
    unit: int = 1,
    subsampling: Subsampling | None = None,
    dimension: int | None = None,
    around: Callable[[Tuner], Tuner] = lambda tuner: tuner,
) -> Algorithm:
    """The kernel and the tuner that the config names.

    Args:
        logdensity_fn: ``(position, batch) -> (*chains,)``.
        num_steps: of a chain, over which schedules run.
        unit: see ``smile.base.Build``.
        subsampling: how batches are drawn, where that is known.
        dimension: number of scalars in a position, for a tuner that needs it.
        around: what is made of the tuner.
    """
    tuning = config.tuner
    build = Build(
        num_steps, unit, tuning.wants_reference_kernel, subsampling, dimension, tuning.wants_same_batch_energy
    )
    tuner = around(config.tuner.build(build))

    def of(parameters: Any) -> TunedAlgorithm:
        return tuned(config.sampler.build(build, parameters)(logdensity_fn), tuner)

    return Algorithm(of, tuner.keeps)


def check_sampler(config: RunConfig, subsampling: Subsampling | None) -> None:
    """Raises ConfigError where the sampler cannot run on batches like these."""
    config.sampler.build(Build(config.num_steps, subsampling=subsampling))


def adapt(
    config: RunConfig | Dynamics,
    logdensity_fn: Callable[[Any], jax.Array],
    positions: Any,
    keys: jax.Array,
) -> tuple[Adapted, int]:
    """Where all chains start, step sizes varying slowest, and how many steps of each it took to find that out.

    Args:
        logdensity_fn: of the full batch, for one chain.
        positions: where the chains of one step size start, leaves (replications, ...).
        keys: (replications,).
    """
    if isinstance(config.tuner, AdaptingTuner):
        return config.tuner.adapt(logdensity_fn, positions, keys), config.tuner.num_steps
    sizes = len(config.step_size)
    positions = jax.tree.map(lambda leaf: jnp.tile(leaf, (sizes, *(1,) * (leaf.ndim - 1))), positions)
    return Adapted((), np.repeat(config.step_size, config.replications), positions), 0


# ---- analytic targets ----------------------------------------------------------------------------


def make_target(config: RunConfig) -> Target:
    """The posterior as the sampler sees it: with its noise, or of the full batch."""
    assert isinstance(config.target, AnalyticTarget)
    target = exact_target(config.target)
    if config.sampler.is_full_batch:
        return full_batch(target)
    if config.noise.is_noisy:  # which is not that of rows
        target = target.replace(subsampling=None, batch_noise=None)
    target = config.noise.add(target)
    return target if target.divides or config.sampler.parts == 1 else stacked(target, config.sampler.parts)


def stacked(target: Target, parts: int) -> Target:
    """The same target whose batches are independent ones, one behind the other along their leading axes."""

    def draw_batch(key: jax.Array, chains: tuple[int, ...]) -> Any:
        drawn = [target.draw_batch(one, chains) for one in jax.random.split(key, parts)]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)

    return target.replace(draw_batch=draw_batch, batch_of_step=None)


@cache
def exact_target(options: AnalyticTarget) -> Target:
    """The posterior itself, without noise, built once for the runs of a process that share it."""
    return options.build()


def full_batch(target: Target) -> Target:
    """The same target without the choice of a batch."""
    return target.replace(
        logdensity=lambda position, batch: target.logdensity(position, target.full_batch),
        draw_batch=lambda key, chains: (),
        batch_of_step=None,
        full_batch=(),
        subsampling=None,
        batch_noise=None,
    )


# ---- networks ------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A network, its data and its posterior; the log densities of all chains share them.

    Attributes:
        batch_size: rows per gradient; None: all.
    """

    dataset: Dataset
    model: Model
    posterior: NetworkPosterior
    batch_size: int | None


def subsampling_of(posterior: NetworkPosterior, batch_size: int | None) -> Subsampling:
    """How the batches of a network are drawn."""
    return Subsampling(posterior.num_rows, batch_size or math.ceil(posterior.num_rows), posterior.prior_sd)


def make_network(chosen: NetworkChoices, seed: int) -> Network:
    """Data, model and posterior of a run on a network.

    Raises:
        ConfigError: in one line, what does not fit together.
    """
    prior = Prior(chosen.target.prior, chosen.target.prior_scale)
    given = chosen.model.factory or chosen.model.name
    dataset = load_dataset(chosen.data, seed)
    if chosen.model.reads_images and dataset.test.x.ndim != 4:
        rows = [
            name for name, one in MODELS.items() if one and "numbers" in one.reads and not one.reads_images
        ]
        raise ConfigError(
            "model", chosen.model.name, f"{', '.join(rows)} with data={chosen.data.name}, no images"
        )
    module = module_of(chosen.model)
    return build_network(chosen.target, dataset, chosen.model.build, prior, given, module)


def build_network(
    options: NetworkTarget,
    dataset: Dataset,
    make_model: Callable[[int, int | None], Model],
    prior: Prior,
    given: str,
    module: str = "",
) -> Network:
    """The posterior of a network on data that have been read.

    Args:
        options: likelihood and batches; ``prior`` stands in place of theirs.
        dataset: to learn.
        make_model: ``(num_outputs, context) -> network``.
        prior: of the parameters.
        given: what messages call the network.
        module: a user's, whose faults are told with their place; empty where the caller sees them himself.

    Raises:
        ConfigError: in one line, what does not fit together.
    """
    batches = source(dataset)
    batch_size = options.rows_per_batch(batches.num_choices)
    if batch_size is not None and batch_size > batches.num_choices:
        fitting = f"a whole number <= {batches.num_choices}, the rows to train on, auto or null"
        raise ConfigError("target.batch_size", options.batch_size, fitting)
    if batch_size is not None:
        options.check_microbatches(batch_size)
    valid = ("homoscedastic", "heteroscedastic") if dataset.task == "regression" else ("categorical",)
    name = valid[0] if options.likelihood == "auto" else options.likelihood
    if name not in valid:
        raise ConfigError("target.likelihood", name, f"auto, {', '.join(valid)} for {dataset.task}")
    using = likelihood(name, dataset.num_classes)
    model = make_model(using.num_outputs, dataset.context)
    if np.any(dataset.x_mean != 0) or np.any(dataset.x_scale != 1):
        model = standardised(model, dataset.x_mean, dataset.x_scale)
    example = (jnp.asarray(dataset.test.x[:2]), jnp.asarray(dataset.test.y[:2]))
    try:
        posterior = bnn(model, using, prior, example, batches.num_rows, microbatches=options.microbatches)
    except FAULTS as error:
        if not module and not isinstance(error, TypeError | ValueError):
            raise  # a fault of ours, of which the traceback says more
        raise ConfigError(
            "model", given, f"a network that can be sampled; {explained(error, module)}"
        ) from None
    return Network(dataset, model, posterior, batch_size)

"""From a config to what it names: one typed table per group, from choices to constructors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import optax

from smile import targets
from smile.base import SamplingAlgorithm, Target
from smile.config import (
    AdaptationConfig,
    AdaSGHMCConfig,
    BNNConfig,
    ConfigError,
    DataConfig,
    EnergyVarianceConfig,
    MCLMCConfig,
    ModelConfig,
    PSMILEConfig,
    RunConfig,
    ScheduleConfig,
    SGHMCConfig,
    SGLDConfig,
    SMILEConfig,
    TargetConfig,
    TunerConfig,
    WarmStartConfig,
)
from smile.data import (
    Dataset,
    load,
    load_images,
    load_text,
    source,
    split_and_standardise,
    split_images,
    split_text,
    unfamiliar,
)
from smile.dotted import one_line
from smile.kernels import adasghmc, gradient_noise, sghmc, sgld, smile
from smile.models import FCN, GPT, LeNet, Model, ResNet7, ResNet18, ViT, from_flax, standardised
from smile.models import custom as custom_model
from smile.noise import add_noise
from smile.targets import NetworkPosterior, Prior, bnn, likelihood
from smile.tuners import Tuner, constant, cosine, cyclical, energy_variance, linear
from smile.tuners.mclmc import Adapted, find_L_and_step_size

__all__ = [
    "Chains",
    "Network",
    "adapt",
    "exact_target",
    "load_dataset",
    "make_chains",
    "make_kernel",
    "make_network",
    "make_optimiser",
    "make_target",
    "make_tuner",
]


_UNFAMILIAR_ROWS = 2000

# From the log density of a batch to a kernel.
Kernel = Callable[[Callable[[Any, Any], jax.Array]], SamplingAlgorithm]


class Chains(NamedTuple):
    """The chains of a run, step sizes varying slowest.

    Attributes:
        kernel: log density -> kernel.
        step_size: (chains,).
        replication: (chains,) int.
    """

    kernel: Kernel
    step_size: np.ndarray
    replication: np.ndarray


def make_target(config: RunConfig) -> Target:
    """The posterior as the sampler sees it: with its noise, or of the full batch."""
    assert isinstance(config.target, TargetConfig)
    target = exact_target(config.target)
    if isinstance(config.sampler, MCLMCConfig):
        return full_batch(target)
    noise = config.noise
    if noise.name == "none" or noise.source == "none" or noise.distribution == "none":
        return target
    is_gaussian = config.target.name == "icg"
    rotation = config.target.rotation if is_gaussian else 1
    return add_noise(
        target,
        structure=noise.name,
        source=noise.source,
        distribution=noise.distribution,
        parameter=noise.parameter,
        scale=noise.scale,
        rotation=rotation if noise.rotation == "aligned" else noise.rotation,
        condition_number=config.target.condition_number if is_gaussian else 100.0,
        kappa=noise.kappa,
        num_rows=noise.num_rows,
        batch_size=noise.batch_size,
    )


def exact_target(options: TargetConfig) -> Target:
    """The posterior itself, without noise."""
    match options.name:
        case "icg":
            return targets.icg(
                dim=options.dim, condition_number=options.condition_number, rotation=options.rotation
            )
        case "rosenbrock":
            return targets.rosenbrock(dim=options.dim)
        case "funnel":
            return targets.funnel(dim=options.dim)
        case "custom":
            return targets.custom(options.factory)
        case never:
            assert_never(never)


def full_batch(target: Target) -> Target:
    """The same target without the choice of a batch."""
    return target.replace(
        logdensity=lambda position, batch: target.logdensity(position, target.full_batch),
        draw_batch=lambda key, chains: (),
        full_batch=(),
    )


def make_chains(config: RunConfig, target: Target, key: jax.Array) -> Chains:
    """Kernel and step sizes of all chains; ``tuner=mclmc`` adapts them here, one chain per replication."""
    if isinstance(config.tuner, AdaptationConfig):
        keys = jax.random.split(key, (config.replications, 2))
        positions = jax.vmap(target.init)(keys[:, 0])
        adapted = adapt(config.tuner, lambda position: target.logdensity(position, ()), positions, keys[:, 1])
        kernel = partial(smile, momentum_decoherence_length=adapted.L)
        return Chains(kernel, np.asarray(adapted.step_size, np.float64), np.arange(config.replications))
    step_size = np.repeat(config.step_size, config.replications)
    replication = np.tile(np.arange(config.replications), len(config.step_size))
    return Chains(make_kernel(config, 1), step_size, replication)


def adapt(
    tuner: AdaptationConfig, logdensity_fn: Callable[[Any], jax.Array], positions: Any, keys: jax.Array
) -> Adapted:
    """L, step size and position of every chain after the adaptation of ``tuner=mclmc``; leaves (chains, ...)."""
    return jax.jit(
        jax.vmap(
            partial(
                find_L_and_step_size,
                logdensity_fn,
                num_steps=tuner.num_steps,
                desired_energy_variance=tuner.desired_energy_variance,
            )
        )
    )(positions, keys)


def make_kernel(config: RunConfig, unit: int) -> Kernel:
    """From a log density to the kernel that the config names.

    Args:
        config: of the run; ``sampler=mclmc`` has no kernel before its adaptation.
        unit: how many steps one unit of ``freeze_after`` has.
    """
    is_reference = isinstance(config.tuner, EnergyVarianceConfig) and config.tuner.reference
    match config.sampler:
        case SMILEConfig(L=length):
            return partial(smile, momentum_decoherence_length=length, reference=is_reference)
        case PSMILEConfig(L=length, ema_rate=rate, freeze_after=freeze_after, reference=reference):
            preconditioner = gradient_noise(rate, freeze_after and freeze_after * unit, reference)
            return partial(
                smile,
                momentum_decoherence_length=length,
                preconditioner=preconditioner,
                reference=is_reference,
            )
        case SGLDConfig(temperature=temperature):
            return partial(sgld, temperature=temperature)
        case SGHMCConfig(friction=friction):
            return partial(sghmc, friction=friction)
        case AdaSGHMCConfig(momentum_decay=decay, freeze_after=freeze_after, reference=reference):
            return partial(
                adasghmc,
                momentum_decay=decay,
                freeze_after=freeze_after * unit or None,
                reference=reference,
            )
        case MCLMCConfig():
            raise ValueError("sampler=mclmc has no kernel before its adaptation")
        case never:
            assert_never(never)


def make_tuner(config: RunConfig, num_steps: int, unit: int) -> Tuner:
    """The step-size control that the config names.

    Args:
        config: of the run.
        num_steps: of a chain, over which schedules run.
        unit: how many steps one unit of ``freeze_after`` has.
    """
    match config.tuner:
        case EnergyVarianceConfig() as options:
            return energy_variance(
                reset_quantile=options.reset_quantile,
                adaptation_probability=options.adaptation_probability,
                adaptation_strength=options.adaptation_strength,
                smoothing=options.smoothing,
                freeze_after=options.freeze_after and options.freeze_after * unit,
                reference=options.reference,
            )
        case ScheduleConfig(name="linear", end_fraction=end):
            return linear(num_steps, end)
        case ScheduleConfig(name="cosine", end_fraction=end):
            return cosine(num_steps, end)
        case ScheduleConfig(name="cyclical", end_fraction=end, num_cycles=cycles, exploration=exploration):
            return cyclical(num_steps, cycles, exploration, end)
        case TunerConfig() | AdaptationConfig():  # the latter has done its work before sampling
            return constant()
        case _:
            raise ValueError(f"no tuner for tuner={config.tuner.name}")


# ---- networks ------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A network, its data and its posterior; the log densities of all chains share them."""

    dataset: Dataset
    model: Model
    posterior: NetworkPosterior


@cache
def load_dataset(options: DataConfig, seed: int) -> Dataset:
    """Split and standardised.

    Raises:
        ConfigError: in one line, what is wrong with the data.
    """
    option = "data.path" if options.name in ("csv", "text") else "data.dir"
    given = options.path if options.name in ("csv", "text") else options.dir
    try:
        return _load_dataset(options, seed)
    except (OSError, ValueError) as error:
        raise ConfigError(option, given, " ".join(str(error).split())) from None


def _load_dataset(options: DataConfig, seed: int) -> Dataset:
    if options.context is not None:
        name = "builtin" if options.name == "text" and options.path is None else options.name
        text = load_text(name, directory=options.dir, path=options.path)
        return split_text(text, context=options.context, train=options.train, validation=options.validation)
    if options.name in ("digits", "fashion_mnist", "cifar10", "imagenette"):
        assert options.validation_rows is not None
        images = load_images(options.name, directory=options.dir, size=options.size)
        dataset = split_images(
            images,
            seed=seed,
            validation=options.validation_rows,
            limit=options.limit,
            test_limit=options.test_limit,
            normalise=options.normalise,
        )
        if options.unfamiliar == "none":
            return dataset
        rows, shape = len(dataset.test.y), images.test.x.shape[1:]
        return replace(
            dataset, unfamiliar=unfamiliar(options.unfamiliar, shape, rows=min(rows, _UNFAMILIAR_ROWS))
        )
    table = load(
        options.name, directory=options.dir, path=options.path, target=options.target, task=options.task
    )
    return split_and_standardise(table, seed=seed, train=options.train, validation=options.validation)


def make_network(config: RunConfig) -> Network:
    """Data, model and posterior of ``target=bnn``.

    Raises:
        ConfigError: in one line, what does not fit together.
    """
    options = config.target
    assert isinstance(options, BNNConfig) and config.data is not None and config.model is not None
    dataset = load_dataset(config.data, config.seed)
    batches = source(dataset)
    if options.batch_size is not None and options.batch_size > batches.num_choices:
        raise ConfigError(
            "target.batch_size",
            options.batch_size,
            f"a whole number <= {batches.num_choices}, the rows to train on, or null",
        )
    valid = ("homoscedastic", "heteroscedastic") if dataset.task == "regression" else ("categorical",)
    name = valid[0] if options.likelihood == "auto" else options.likelihood
    if name not in valid:
        raise ConfigError("target.likelihood", name, f"auto, {', '.join(valid)} for {dataset.task}")
    chosen = likelihood(name, dataset.num_classes)
    model = make_model(config.model, chosen.num_outputs, dataset.context)
    if np.any(dataset.x_mean != 0) or np.any(dataset.x_scale != 1):
        model = standardised(model, dataset.x_mean, dataset.x_scale)
    prior = Prior(options.prior, options.prior_scale)
    example = (jnp.asarray(dataset.test.x[:2]), jnp.asarray(dataset.test.y[:2]))
    try:
        posterior = bnn(model, chosen, prior, example, batches.num_rows, microbatches=options.microbatches)
    except (TypeError, ValueError) as error:
        raise ConfigError("model", config.model.factory or config.model.name, one_line(error)) from None
    return Network(dataset, model, posterior)


def make_model(options: ModelConfig, num_outputs: int, context: int | None = None) -> Model:
    """The network with its output layer.

    Args:
        options: of the config.
        num_outputs: that the likelihood needs.
        context: tokens of a window of text.

    Raises:
        ConfigError: where a user's own cannot be made.
    """
    activation = getattr(jax.nn, options.activation) if options.activation != "tanh" else jnp.tanh
    dtype = jnp.dtype(options.dtype)
    match options:
        case ModelConfig(name="fcn", widths=widths):
            return from_flax(FCN((*widths, num_outputs), activation))
        case ModelConfig(name="lenet"):
            return from_flax(LeNet(num_outputs, activation=activation, dtype=dtype))
        case ModelConfig(name="resnet7", width=int(width)):
            return from_flax(ResNet7(num_outputs, width=width, dtype=dtype))
        case ModelConfig(name="resnet18", width=int(width), remat=remat):
            return from_flax(ResNet18(num_outputs, width=width, dtype=dtype, remat=remat))
        case ModelConfig(name="vit", width=int(width), depth=int(depth), heads=int(heads), patch=int(patch)):
            return from_flax(
                ViT(
                    num_outputs,
                    patch=patch,
                    embedding=width,
                    depth=depth,
                    num_heads=heads,
                    mlp_width=4 * width,
                    head_width=8 * width // 3,
                    token_sd=options.token_sd or 0.02,
                    dtype=dtype,
                    remat=options.remat,
                )
            )
        case ModelConfig(name="gpt", width=int(width), depth=int(depth), heads=int(heads)):
            assert context is not None
            return from_flax(
                GPT(
                    num_outputs,
                    context=context,
                    embedding=width,
                    depth=depth,
                    num_heads=heads,
                    mlp_width=4 * width,
                    reference_residual=options.reference,
                    dtype=dtype,
                    remat=options.remat,
                )
            )
        case ModelConfig(name="custom", factory=factory):
            try:
                return custom_model(factory, num_outputs)
            except ValueError as error:
                raise ConfigError("model.factory", factory, f"a network; {error}") from None
        case _:
            raise ValueError(f"no network for model={options.name} with these options: {options}")


def make_optimiser(options: WarmStartConfig, batches_per_epoch: int) -> optax.GradientTransformation:
    """AdamW with its schedule, counted in batches."""
    warmup = options.warmup_epochs * batches_per_epoch
    total = (options.decay_epochs or options.max_epochs) * batches_per_epoch
    peak, end, rest = options.learning_rate, options.end_fraction, max(1, total - warmup)
    match options.schedule:
        case "cosine":
            schedule = optax.cosine_decay_schedule(peak, rest, end)
        case "linear":
            schedule = optax.linear_schedule(peak, peak * end, rest)
        case "constant":
            schedule = optax.constant_schedule(peak)
        case never:
            assert_never(never)
    if warmup:
        schedule = optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), schedule], [warmup])
    return optax.adamw(schedule, b2=options.b2, weight_decay=options.weight_decay)

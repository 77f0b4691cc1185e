"""The typed schema of every option, the rules between options, and the one-line answer to a wrong one.

YAML in ``conf/`` holds the defaults, Hydra composes them, and ``parse`` turns the result into one frozen
``RunConfig``. Nothing after it reads global state, and nothing before it has computed anything.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

__all__ = [
    "AdaSGHMCConfig",
    "AdaptationConfig",
    "AnyTunerConfig",
    "BNNConfig",
    "ConfigError",
    "DataConfig",
    "EnergyVarianceConfig",
    "MCLMCConfig",
    "ModelConfig",
    "NoiseConfig",
    "PSMILEConfig",
    "RunConfig",
    "SGHMCConfig",
    "SGLDConfig",
    "SMILEConfig",
    "SamplerConfig",
    "ScheduleConfig",
    "TargetConfig",
    "TrackerConfig",
    "TunerConfig",
    "UnknownOptionError",
    "WandbConfig",
    "WarmStartConfig",
    "from_dict",
    "identify",
    "parse",
    "parse_step_size",
    "resolved",
    "run_id",
    "to_dict",
]


class ConfigError(ValueError):
    """A wrong option, in one line: its name, what was given, what is valid and the nearest valid name."""

    def __init__(self, option: str, given: object, valid: str | Iterable[str]) -> None:
        shown = "null" if given is None else repr(given)
        super().__init__(_one_line(f"{option}: got {shown}", str(given), valid))


class UnknownOptionError(ConfigError):
    """A name that is no option; ``among`` says of what, for example ``sampler=smile``."""

    def __init__(self, option: str, valid: str | Iterable[str], among: str = "") -> None:
        message = f"{option}: no such option{f' of {among}' if among else ''}"
        ValueError.__init__(self, _one_line(message, option.rpartition(".")[2], valid))


def _one_line(message: str, given: str, valid: str | Iterable[str]) -> str:
    names = [] if isinstance(valid, str) else list(valid)
    near = difflib.get_close_matches(given, names, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return " ".join(f"{message}; valid: {', '.join(names) or valid or 'none'}{hint}".split())


# ---- converters: a value from YAML becomes a typed value, or ValueError says what would be valid -


_REQUIRED: Any = object()


def _option(
    convert: Callable[[Any], Any],
    default: Any = _REQUIRED,
    *,
    neutral: Any = _REQUIRED,
    in_run_id: bool = True,
) -> Any:
    """A dataclass field.

    Args:
        convert: makes a typed value of one from YAML.
        default: where a choice of the group does not have the option.
        neutral: value that leaves numbers as they were before there was this option, and run ids with them.
        in_run_id: False where numbers do not depend on it.
    """
    metadata = {"convert": convert, "in_run_id": in_run_id}
    if neutral is not _REQUIRED:
        metadata["neutral"] = neutral
        default = neutral if default is _REQUIRED else default
    if default is _REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(metadata=metadata, default=default)


def _number(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], float]:
    """A finite number strictly between ``low`` and ``high``."""
    bounds = [f"> {low:g}" if low > -math.inf else "", f"< {high:g}" if high < math.inf else ""]
    valid = " ".join(("a finite number", *filter(None, [" and ".join(filter(None, bounds))])))

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
            raise ValueError(valid)
        return float(value)

    return convert


def _integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """A whole number in [low, high]; 1e6 is one, too."""
    valid = f"a whole number >= {low}" + (f" and <= {high}" if high is not None else "")

    def convert(value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < low or (high is not None and value > high):
            raise ValueError(valid)
        return int(value)

    return convert


def _choice(*names: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in names:
            raise _NotAChoiceError(names)
        return str(value)

    return convert


class _NotAChoiceError(ValueError):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def _or(special: Mapping[Any, Any], convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Values with a meaning of their own, such as null or a word, beside ordinary ones."""
    words = dict.fromkeys("null" if word is None else str(word) for word in special)

    def wrapped(value: Any) -> Any:
        if (value is None or isinstance(value, str | float)) and value in special:
            return special[value]
        try:
            return convert(value)
        except ValueError as error:
            raise ValueError(" or ".join([*words, str(error)])) from None

    return wrapped


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true, false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _file_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z0-9_]", value):
        raise ValueError("a name of letters, digits, '_', '-' and '.'")
    return value


def _dotted_path(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        raise ValueError("a dotted path such as my_package.my_module.my_target")
    return value


def _widths(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of whole numbers >= 1, such as [16,16,16]")
    return tuple(_integer(1)(width) for width in value)


_SEED = _integer(0, 2**32 - 1)
_DECOHERENCE_LENGTH = _or({None: None, math.inf: None, "inf": None}, _number(0))


# ---- groups, in the order in which data flows ----------------------------------------------------


@dataclass(frozen=True)
class TargetConfig:
    """``target=...``: the posterior. Options of other choices keep the neutral values given here."""

    name: Literal["icg", "rosenbrock", "funnel", "custom"] = _option(_text)
    dim: int = _option(_integer(2), default=0)  # 0 for custom: the user's target knows its own
    condition_number: float = _option(_number(0), default=1.0)  # icg: ratio of standard deviations
    rotation: int | None = _option(_or({"none": None, None: None}, _SEED), default=None)  # icg: seed
    moments: Literal["exact", "reference"] = _option(_choice("exact", "reference"), default="exact")
    factory: str = _option(_dotted_path, default="")  # custom


@dataclass(frozen=True)
class NoiseConfig:
    """``noise=...``: what is wrong with the gradients. The defaults say "nothing", as in ``noise=none``."""

    name: Literal["none", "isotropic", "diagonal", "correlated", "spatially_varied"] = _option(_text)
    source: Literal["none", "injected", "minibatch"] = _option(
        _choice("injected", "minibatch"), default="none"
    )
    distribution: Literal["none", "gaussian", "laplace", "student_t", "lognormal"] = _option(
        _choice("gaussian", "laplace", "student_t", "lognormal"), default="none"
    )
    parameter: float | None = _option(_or({None: None}, _number()), default=None)  # df, or sigma
    scale: float = _option(_number(0), default=0.0)  # sd of one data row's entries
    rotation: Literal["aligned"] | int = _option(_or({"aligned": "aligned"}, _SEED), default="aligned")
    kappa: float | None = _option(_or({None: None}, _number(0)), default=None)  # spatially_varied: length
    num_rows: int = _option(_integer(1), default=0)
    batch_size: int = _option(_integer(1), default=0)


@dataclass(frozen=True)
class SMILEConfig:
    """``sampler=smile``; ``L`` None means no momentum refresh."""

    name: Literal["smile"] = _option(_text)
    L: float | None = _option(_DECOHERENCE_LENGTH)


@dataclass(frozen=True)
class PSMILEConfig:
    """``sampler=psmile``: SMILE with the gradient-noise preconditioner of ``smile.kernels``."""

    name: Literal["psmile"] = _option(_text)
    L: float | None = _option(_DECOHERENCE_LENGTH)
    ema_rate: float = _option(_number(0, 1))
    freeze_after: int | None = _option(_or({None: None}, _integer(1)))
    reference: Literal["analytic", "network"] | None = _option(
        _or({None: None}, _choice("analytic", "network"))
    )


@dataclass(frozen=True)
class SGLDConfig:
    """``sampler=sgld``."""

    name: Literal["sgld"] = _option(_text)
    temperature: float = _option(_number(0))


@dataclass(frozen=True)
class SGHMCConfig:
    """``sampler=sghmc``."""

    name: Literal["sghmc"] = _option(_text)
    friction: float = _option(_number(0))


@dataclass(frozen=True)
class MCLMCConfig:
    """``sampler=mclmc``: the full-batch baseline; its L and step size come from ``tuner=mclmc``."""

    name: Literal["mclmc"] = _option(_text)


@dataclass(frozen=True)
class AdaSGHMCConfig:
    """``sampler=adasghmc``; ``freeze_after`` 0 means that the preconditioner adapts for ever."""

    name: Literal["adasghmc"] = _option(_text)
    momentum_decay: float = _option(_number(0, 1))
    freeze_after: int = _option(_integer(0))
    reference: bool = _option(_boolean)


SamplerConfig = SMILEConfig | PSMILEConfig | SGLDConfig | SGHMCConfig | AdaSGHMCConfig | MCLMCConfig


@dataclass(frozen=True)
class TunerConfig:
    """``tuner=none``: the step size stays as given."""

    name: Literal["none"] = _option(_text)


@dataclass(frozen=True)
class EnergyVarianceConfig:
    """``tuner=energy_variance``: the paper's, see ``smile.tuners.energy_variance``."""

    name: Literal["energy_variance"] = _option(_text)
    reset_quantile: float = _option(_number(0, 1.0000001))
    adaptation_probability: float = _option(_number(-1e-9, 1))
    adaptation_strength: float = _option(_number(-1e-9, 1))
    smoothing: float = _option(_number(0, 1))
    freeze_after: int | None = _option(_or({None: None}, _integer(1)))
    reference: bool = _option(_boolean)


@dataclass(frozen=True)
class ScheduleConfig:
    """``tuner=linear|cosine|cyclical``: the step size as a function of the step; cycles are cyclical's."""

    name: Literal["linear", "cosine", "cyclical"] = _option(_text)
    end_fraction: float = _option(_number(-1e-9, 1.0000001))
    num_cycles: int = _option(_integer(1), default=1)
    exploration: float = _option(_number(-1e-9, 1), default=0.0)


@dataclass(frozen=True)
class AdaptationConfig:
    """``tuner=mclmc``: BlackJAX's adaptation of L and step size, before sampling."""

    name: Literal["mclmc"] = _option(_text)
    num_steps: int = _option(_integer(1))
    desired_energy_variance: float = _option(_number(0))


AnyTunerConfig = TunerConfig | EnergyVarianceConfig | ScheduleConfig | AdaptationConfig


@dataclass(frozen=True)
class BNNConfig:
    """``target=bnn|nanogpt``: the posterior of a network's weights; ``batch_size`` None means the full batch.

    The last three divide the work so that it fits into the memory.
    """

    name: Literal["bnn", "nanogpt"] = _option(_text)
    likelihood: Literal["auto", "homoscedastic", "heteroscedastic", "categorical"] = _option(
        _choice("auto", "homoscedastic", "heteroscedastic", "categorical")
    )
    prior: Literal["normal", "laplace", "he", "glorot"] = _option(
        _choice("normal", "laplace", "he", "glorot")
    )
    prior_scale: float = _option(_number(0))
    batch_size: int | None = _option(_or({None: None}, _integer(1)))
    count: Literal["steps", "epochs"] = _option(_choice("steps", "epochs"))
    draws: Literal["none", "last", "stream"] = _option(_choice("none", "last", "stream"), in_run_id=False)
    checkpoint_minutes: float = _option(_number(-1e-9), in_run_id=False)
    chains_at_once: int | None = _option(_or({None: None}, _integer(1)), in_run_id=False)
    rows_at_once: int | None = _option(_or({None: None}, _integer(1)), in_run_id=False)
    microbatches: int = _option(_integer(1), in_run_id=False)


@dataclass(frozen=True)
class DataConfig:
    """``data=...``: what a network learns; ``path``, ``target`` and ``task`` are those of ``data=csv``.

    ``digest`` is no option but says what the files held when the config was composed: other contents are another run.
    """

    name: Literal[
        "airfoil", "energy", "bikesharing", "diabetes", "digits", "csv",
        "fashion_mnist", "cifar10", "imagenette", "modern_shakespeare", "text",
    ] = _option(_text)  # fmt: skip
    train: float = _option(_number(0, 1), default=0.0)  # tables and text: fraction
    validation: float = _option(_number(0, 1), default=0.0)
    validation_rows: int | None = _option(_integer(1), neutral=None)  # images: of the official training part
    dir: str | None = _option(_or({None: None}, _text), default=None, in_run_id=False)
    path: str | None = _option(_or({None: None}, _text), default=None, in_run_id=False)
    target: str | None = _option(_text, default=None)
    task: Literal["auto", "regression", "classification"] = _option(
        _choice("auto", "regression", "classification"), default="auto"
    )
    size: int | None = _option(_or({None: None}, _integer(1)), neutral=None)  # images: pixels on a side
    normalise: bool = _option(_boolean, neutral=True)  # images: standardised channels, or raw pixels
    limit: int | None = _option(_or({None: None}, _integer(1)), neutral=None)  # training rows
    test_limit: int | None = _option(_or({None: None}, _integer(1)), neutral=None)
    unfamiliar: Literal["none", "noise", "digits"] = _option(
        _choice("none", "noise", "digits"), neutral="none"
    )
    context: int | None = _option(_integer(1), neutral=None)  # text: tokens of a window
    digest: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """``model=...``: the network. Options of other choices keep the neutral values given here."""

    name: Literal["fcn", "lenet", "resnet7", "resnet18", "vit", "gpt", "custom"] = _option(_text)
    widths: tuple[int, ...] = _option(_widths, default=())  # fcn: of the hidden layers
    activation: Literal["relu", "tanh", "gelu", "silu"] = _option(
        _choice("relu", "tanh", "gelu", "silu"), default="relu"
    )
    factory: str = _option(_dotted_path, default="")
    width: int | None = _option(_integer(1), neutral=None)  # resnets: channels; transformers: of the tokens
    depth: int | None = _option(_integer(1), neutral=None)  # transformers: blocks
    heads: int | None = _option(_integer(1), neutral=None)
    patch: int | None = _option(_integer(1), neutral=None)
    token_sd: float | None = _option(_number(0), neutral=None)
    reference: bool = _option(_boolean, neutral=False)  # gpt: the public code's residual
    dtype: Literal["float32", "bfloat16"] = _option(_choice("float32", "bfloat16"), neutral="float32")
    remat: bool = _option(_boolean, default=False, in_run_id=False)


@dataclass(frozen=True)
class WarmStartConfig:
    """``warm_start=adamw``: how the deep ensemble is trained in which chains start."""

    name: Literal["adamw"] = _option(_text)
    learning_rate: float = _option(_number(0))
    weight_decay: float = _option(_number(-1e-9))
    schedule: Literal["constant", "cosine", "linear"] = _option(_choice("constant", "cosine", "linear"))
    end_fraction: float = _option(_number(-1e-9, 1.0000001))
    warmup_epochs: int = _option(_integer(0))
    batch_size: int = _option(_integer(1))
    max_epochs: int = _option(_integer(0))
    patience: int = _option(_integer(1))
    decay_epochs: int | None = _option(_or({None: None}, _integer(1)), neutral=None)
    b2: float = _option(_number(0, 1), neutral=0.999)
    augmentation: Literal["none", "flip_crop_resize"] = _option(
        _choice("none", "flip_crop_resize"), neutral="none"
    )


@dataclass(frozen=True)
class WandbConfig:
    """The mirror: ``auto`` is online where the user is logged in and offline elsewhere."""

    mode: Literal["auto", "offline", "online", "disabled"] = _option(
        _choice("auto", "offline", "online", "disabled")
    )
    project: str = _option(_file_name)


@dataclass(frozen=True)
class TrackerConfig:
    """``tracker=...``: where numbers go besides Parquet."""

    wandb: WandbConfig


@dataclass(frozen=True)
class RunConfig:
    """Everything one run needs. ``run_id`` hashes the part that determines its numbers."""

    data: DataConfig | None  # None where the target is analytic
    model: ModelConfig | None
    warm_start: WarmStartConfig | None
    target: TargetConfig | BNNConfig
    noise: NoiseConfig
    sampler: SamplerConfig
    tuner: AnyTunerConfig
    tracker: TrackerConfig
    step_size: tuple[float, ...]  # empty where the sampler adapts its own (mclmc)
    replications: int = _option(_integer(1))
    num_steps: int = _option(_integer(1))  # burn-in included
    thinning: int = _option(_integer(1))
    burn_in: int = _option(_integer(0))
    seed: int = _option(_SEED)
    precision: Literal["float32", "float64"] = _option(_choice("float32", "float64"))
    scale: str = _option(_file_name)
    experiment: str = _option(_file_name)
    variant: str = _option(_text)
    force: bool = _option(_boolean)
    dry_run: bool = _option(_boolean)
    devices: Literal["auto"] | int = _option(_or({"auto": "auto"}, _integer(1)))
    distributed: bool = _option(_boolean)
    results_dir: str = _option(_text)

    @property
    def label(self) -> str:
        """What people call the run: its choices, and the variant."""
        problem = (self.target.name, self.data.name if self.data else self.noise.name)
        method = (self.sampler.name, "" if self.tuner.name in ("none", "mclmc") else self.tuner.name)
        return " ".join(filter(None, (*problem, *method, self.variant)))


_NOISE_OPTIONS = (
    "name",
    "source",
    "distribution",
    "parameter",
    "scale",
    "rotation",
    "num_rows",
    "batch_size",
)

_TABLE_OPTIONS = ("name", "train", "validation")
_UCI_OPTIONS = (*_TABLE_OPTIONS, "dir")
_IMAGE_OPTIONS = ("name", "validation_rows", "dir", "size", "normalise", "limit", "test_limit", "unfamiliar")
_TRANSFORMER_OPTIONS = ("name", "width", "depth", "heads", "dtype", "remat")

# Which options each choice of a group has, and the class that holds them.
_CHOICES: dict[str, dict[str, tuple[type | None, tuple[str, ...] | None]]] = {
    "data": {
        "none": (None, ("name",)),
        "airfoil": (DataConfig, _UCI_OPTIONS),
        "energy": (DataConfig, _UCI_OPTIONS),
        "bikesharing": (DataConfig, _UCI_OPTIONS),
        "diabetes": (DataConfig, _TABLE_OPTIONS),
        "csv": (DataConfig, (*_TABLE_OPTIONS, "path", "target", "task")),
        "digits": (DataConfig, tuple(option for option in _IMAGE_OPTIONS if option != "dir")),
        "fashion_mnist": (DataConfig, _IMAGE_OPTIONS),
        "cifar10": (DataConfig, _IMAGE_OPTIONS),
        "imagenette": (DataConfig, _IMAGE_OPTIONS),
        "modern_shakespeare": (DataConfig, ("name", "train", "validation", "dir", "context")),
        "text": (DataConfig, ("name", "train", "validation", "path", "context")),
    },
    "model": {
        "none": (None, ("name",)),
        "fcn": (ModelConfig, ("name", "widths", "activation")),
        "lenet": (ModelConfig, ("name", "activation", "dtype")),
        "resnet7": (ModelConfig, ("name", "width", "dtype")),
        "resnet18": (ModelConfig, ("name", "width", "dtype", "remat")),
        "vit": (ModelConfig, (*_TRANSFORMER_OPTIONS, "patch", "token_sd")),
        "gpt": (ModelConfig, (*_TRANSFORMER_OPTIONS, "reference")),
        "custom": (ModelConfig, ("name", "factory")),
    },
    "warm_start": {"none": (None, ("name",)), "adamw": (WarmStartConfig, None)},
    "target": {
        "bnn": (BNNConfig, None),
        "nanogpt": (BNNConfig, None),
        "icg": (TargetConfig, ("name", "dim", "condition_number", "rotation", "moments")),
        "rosenbrock": (TargetConfig, ("name", "dim", "moments")),
        "funnel": (TargetConfig, ("name", "dim", "moments")),
        "custom": (TargetConfig, ("name", "factory")),
    },
    "noise": {
        "none": (NoiseConfig, ("name",)),
        "isotropic": (NoiseConfig, _NOISE_OPTIONS),
        "diagonal": (NoiseConfig, _NOISE_OPTIONS),
        "correlated": (NoiseConfig, _NOISE_OPTIONS),
        "spatially_varied": (NoiseConfig, (*_NOISE_OPTIONS, "kappa")),
    },
    "sampler": {
        "smile": (SMILEConfig, None),
        "psmile": (PSMILEConfig, None),
        "sgld": (SGLDConfig, None),
        "sghmc": (SGHMCConfig, None),
        "adasghmc": (AdaSGHMCConfig, None),
        "mclmc": (MCLMCConfig, None),
    },
    "tuner": {
        "none": (TunerConfig, None),
        "energy_variance": (EnergyVarianceConfig, None),
        "linear": (ScheduleConfig, ("name", "end_fraction")),
        "cosine": (ScheduleConfig, ("name", "end_fraction")),
        "cyclical": (ScheduleConfig, None),
        "mclmc": (AdaptationConfig, None),
    },
}

_TEXTS = tuple(name for name, (_, options) in _CHOICES["data"].items() if "context" in (options or ()))

# Nodes that only feed other options: the grid gives step_size, compat gives defaults of its groups.
_HELPER_NODES = ("grid", "compat", "protocol")

# What a run's numbers do not depend on.
_NOT_IN_RUN_ID = (
    "tracker",
    "scale",
    "experiment",
    "variant",
    "force",
    "dry_run",
    "devices",
    "distributed",
    "results_dir",
)


# ---- parsing -------------------------------------------------------------------------------------


def parse(cfg: DictConfig) -> RunConfig:
    """Converts and checks a composed config.

    Args:
        cfg: what Hydra composed from ``conf/`` (without its ``hydra`` node).

    Returns:
        The typed config of one run.

    Raises:
        ConfigError: in one line, the first wrong option, what was given and what is valid.
    """
    fields = {field.name: field for field in dataclasses.fields(RunConfig)}
    values = {str(key): _resolve(cfg, str(key)) for key in cfg if key not in _HELPER_NODES}
    for key in values:
        if key not in fields:
            raise UnknownOptionError(key, fields)
    nested: dict[str, Any] = {group: _build_choice(group, values.pop(group, None)) for group in _CHOICES}
    nested["tracker"] = _build_tracker(values.pop("tracker", None))
    if nested["data"] is not None:
        nested["data"] = dataclasses.replace(nested["data"], digest=_digest(nested["data"]))
    _check_tuner(nested["tuner"], nested["sampler"])  # decides what a step size may be
    nested["step_size"] = _step_sizes(values.pop("step_size", None), cfg, nested)
    plain = {name: field for name, field in fields.items() if name not in nested}
    config = RunConfig(**nested, **_convert(plain, values, ""))
    _check_together(config)
    return config


def resolved(cfg: DictConfig, config: RunConfig) -> dict[str, Any]:
    """What ``parse`` makes the same config of, without interpolations; plain dictionaries, lists and scalars.

    Args:
        cfg: what Hydra composed.
        config: what ``parse`` made of it.
    """
    plain = {str(key): _resolve(cfg, str(key)) for key in cfg if key not in _HELPER_NODES}
    return plain | {"step_size": list(config.step_size) or None}


def parse_step_size(value: Any) -> tuple[float, ...]:
    """A number, a list of numbers or ``"logspace(low, high, num)"`` as increasing, distinct step sizes.

    Raises:
        ConfigError: where ``value`` is none of these or a step size is not positive and finite.
    """
    valid = "a number > 0, a list of different ones or logspace(low, high, num)"
    if isinstance(value, str):
        match = re.fullmatch(r"\s*logspace\(([^,()]+),([^,()]+),([^,()]+)\)\s*", value)
        try:
            low, high, num = (float(part) for part in match.groups()) if match else (math.nan,) * 3
        except ValueError:
            low = high = num = math.nan
        if not (0 < low < high < math.inf and num.is_integer() and num >= 2):
            raise ConfigError(
                "step_size", value, f"{valid}; logspace needs 0 < low < high and a whole num >= 2"
            )
        return tuple(float(x) for x in np.geomspace(low, high, int(num)))
    entries = list(value) if isinstance(value, list | tuple) else [value]
    try:
        steps = tuple(sorted(_number(0)(entry) for entry in entries))
    except ValueError:
        raise ConfigError("step_size", value, valid) from None
    if not steps or len(set(steps)) < len(steps):
        raise ConfigError("step_size", value, valid)
    return steps


def run_id(config: RunConfig) -> str:
    """Twelve hexadecimal digits, equal exactly where everything that determines a run's numbers is equal."""
    canonical = json.dumps(identify(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identify(config: RunConfig) -> dict[str, Any]:
    """The part of the resolved config that determines a run's numbers."""
    identity = {key: value for key, value in to_dict(config).items() if key not in _NOT_IN_RUN_ID}
    for group in _CHOICES:
        chosen = getattr(config, group)
        for field in dataclasses.fields(chosen) if chosen else ():
            value = getattr(chosen, field.name)
            if not field.metadata.get("in_run_id", True) or value == field.metadata.get("neutral", _REQUIRED):
                del identity[group][field.name]
    return identity


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The resolved config as plain nested dictionaries, lists and scalars."""
    plain = {key: value for key, value in dataclasses.asdict(config).items() if value is not None}
    return plain | {"step_size": list(config.step_size)}


def from_dict(plain: Mapping[str, Any]) -> RunConfig:
    """The config of which ``to_dict`` made ``plain``, such as the ``config.yaml`` of a run; checked when it was made.

    Raises:
        ConfigError: where another version of the schema wrote it.
    """
    try:
        nested: dict[str, Any] = {"tracker": TrackerConfig(WandbConfig(**plain["tracker"]["wandb"]))}
        for group, choices in _CHOICES.items():
            values = plain.get(group)
            cls = choices[values["name"]][0] if values else None
            nested[group] = cls(**_with_tuples(values)) if values and cls else None
        return RunConfig(**(_with_tuples(plain) | nested))
    except (KeyError, TypeError) as error:
        raise ConfigError("config.yaml", str(error), "one that this version of smile wrote") from None


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _digest(data: DataConfig) -> str:
    """Of a file's contents, or of names and sizes of the images in a folder: nothing else says how they are encoded.

    Empty where the data have a checksum of their own, and where they cannot be read, which loading them will explain.
    """
    try:
        if data.path:
            return hashlib.sha256(Path(data.path).read_bytes()).hexdigest()[:12]
        if data.dir and data.name in ("cifar10", "imagenette"):
            files = sorted((file.name, file.stat().st_size) for file in Path(data.dir).glob("*.parquet"))
            return hashlib.sha256(repr(files).encode()).hexdigest()[:12]
    except OSError:
        pass
    return ""


def _resolve(cfg: DictConfig, key: str) -> Any:
    """One top-level value with its interpolations resolved."""
    try:
        value = cfg[key]
        return (
            OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
            if OmegaConf.is_config(value)
            else value
        )
    except OmegaConfBaseException as error:
        raise ConfigError(error.full_key or key, "nothing usable", str(error).splitlines()[0]) from None


def _build_choice(group: str, values: Any) -> Any:
    choices = _CHOICES[group]
    name = values.get("name") if isinstance(values, dict) else None
    if name not in choices:
        raise ConfigError(group, name if isinstance(values, dict) else values, choices)
    cls, options = choices[name]
    known = dataclasses.fields(cls) if cls else ()
    fields = {field.name: field for field in known if options is None or field.name in options}
    for key in values:
        if key not in fields and key != "name":
            raise UnknownOptionError(f"{group}.{key}", [f for f in fields if f != "name"], f"{group}={name}")
    return cls(**_convert(fields, values, f"{group}.")) if cls else None


def _build_tracker(values: Any) -> TrackerConfig:
    if not isinstance(values, dict) or set(values) != {"wandb"}:
        raise ConfigError("tracker", values, "wandb")
    fields = {field.name: field for field in dataclasses.fields(WandbConfig)}
    wandb = values["wandb"]
    for key in wandb if isinstance(wandb, dict) else [str(wandb)]:
        if key not in fields:
            raise UnknownOptionError(f"tracker.wandb.{key}", fields)
    return TrackerConfig(WandbConfig(**_convert(fields, wandb, "tracker.wandb.")))


def _convert(
    fields: Mapping[str, dataclasses.Field[Any]], values: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    converted = {}
    for name, field in fields.items():
        value = values.get(name)
        try:
            converted[name] = field.metadata["convert"](value)
        except _NotAChoiceError as error:
            raise ConfigError(prefix + name, value, error.names) from None
        except ValueError as error:
            raise ConfigError(prefix + name, value, str(error)) from None
    return converted


def _step_sizes(given: Any, cfg: DictConfig, groups: Mapping[str, Any]) -> tuple[float, ...]:
    """The explicit ``step_size``, or the grid where it is null."""
    if isinstance(groups["tuner"], AdaptationConfig):
        if given is not None:
            raise ConfigError(
                "step_size", given, "null with tuner=mclmc, because it adapts one step size itself"
            )
        return ()
    if given is not None:
        return parse_step_size(given)
    choice = " ".join(f"{group}={groups[group].name}" for group in ("target", "noise", "sampler"))
    for key in cfg.grid:
        if key not in ("name", "min", "max", "num", "ranges"):
            raise UnknownOptionError(f"grid.{key}", ("min", "max", "num"))
    try:
        low, high, num = cfg.grid.min, cfg.grid.max, cfg.grid.num
    except OmegaConfBaseException:
        raise ConfigError(
            "grid", cfg.grid.name, f"grid=common or a step_size, as there is no range for {choice}"
        ) from None
    try:
        low, high, num = _number(0)(low), _number(0)(high), _integer(2)(num)
    except ValueError:
        low = high = math.nan
    if not low < high:
        raise ConfigError("grid", f"min={low} max={high} num={num}", "0 < min < max and a whole num >= 2")
    return parse_step_size(f"logspace({low}, {high}, {num})")


# ---- rules between options -----------------------------------------------------------------------


def _check_together(config: RunConfig) -> None:
    _check_network(config)
    if isinstance(config.target, TargetConfig):
        _check_target(config.target)
        _check_noise(config, config.target)
    if config.burn_in >= config.num_steps:
        raise ConfigError("burn_in", config.burn_in, f"a whole number below num_steps={config.num_steps}")
    if config.num_steps % config.thinning:
        raise ConfigError("thinning", config.thinning, f"a divisor of num_steps={config.num_steps}")
    if isinstance(config.sampler, MCLMCConfig) and config.noise.name != "none":
        raise ConfigError(
            "noise", config.noise.name, "none with sampler=mclmc, because it is the full-batch baseline"
        )


def _check_network(config: RunConfig) -> None:
    is_network = isinstance(config.target, BNNConfig)
    for group in ("data", "model", "warm_start"):
        choice = getattr(config, group)
        if is_network and choice is None:
            of_text = {"data": _TEXTS, "model": ("gpt", "custom")}.get(group, tuple(_CHOICES[group]))
            is_text = config.target.name == "nanogpt"
            names = [
                n for n in _CHOICES[group] if n != "none" and (n in of_text if is_text else n not in _TEXTS)
            ]
            raise ConfigError(group, "none", f"{', '.join(names)} with target={config.target.name}")
        if not is_network and choice is not None:
            raise ConfigError(group, choice.name, f"none with target={config.target.name}")
    if not isinstance(config.target, BNNConfig):
        if config.distributed:
            raise ConfigError("distributed", True, f"false with target={config.target.name}")
        return
    if config.noise.name != "none":
        raise ConfigError(
            "noise", config.noise.name, "none with target=bnn, whose batches are the noise of its gradients"
        )
    assert config.data is not None and config.model is not None
    _check_text(config, config.data, config.model)
    if config.target.batch_size and config.target.batch_size % config.target.microbatches:
        raise ConfigError(
            "target.microbatches",
            config.target.microbatches,
            f"a divisor of target.batch_size={config.target.batch_size}",
        )
    if config.data.train + config.data.validation >= 1:
        raise ConfigError(
            "data.validation", config.data.validation, f"a number < 1 - data.train={1 - config.data.train:g}"
        )
    if isinstance(config.sampler, MCLMCConfig) and config.target.batch_size is not None:
        raise ConfigError(
            "target.batch_size",
            config.target.batch_size,
            "null with sampler=mclmc, because it is the full-batch baseline",
        )
    if config.burn_in % config.thinning:
        raise ConfigError("burn_in", config.burn_in, f"a multiple of thinning={config.thinning}")


def _check_text(config: RunConfig, data: DataConfig, model: ModelConfig) -> None:
    is_text = data.name in _TEXTS
    if is_text != (config.target.name == "nanogpt"):
        valid = [n for n in _CHOICES["data"] if n not in (*_TEXTS, "none")]
        raise ConfigError(
            "data",
            data.name,
            f"{', '.join(valid if is_text else _TEXTS)} with target={config.target.name}",
        )
    if is_text and model.name not in ("gpt", "custom"):
        raise ConfigError("model", model.name, "gpt, custom with target=nanogpt")
    if not is_text and model.name == "gpt":
        raise ConfigError("model", "gpt", "any other with target=bnn, or target=nanogpt")
    if is_text and isinstance(config.target, BNNConfig) and config.target.batch_size is None:
        raise ConfigError("target.batch_size", None, "a whole number with target=nanogpt")


def _check_tuner(tuner: AnyTunerConfig, sampler: SamplerConfig) -> None:
    if isinstance(tuner, AdaptationConfig) != isinstance(sampler, MCLMCConfig):
        if isinstance(sampler, MCLMCConfig):
            raise ConfigError(
                "tuner", tuner.name, "mclmc with sampler=mclmc, whose L and step size it adapts"
            )
        raise ConfigError("tuner", "mclmc", f"any other with sampler={sampler.name}; it adapts sampler=mclmc")
    if isinstance(tuner, EnergyVarianceConfig) and not isinstance(sampler, SMILEConfig | PSMILEConfig):
        raise ConfigError(
            "tuner", tuner.name, f"any other with sampler={sampler.name}, which conserves no energy to watch"
        )


def _check_target(target: TargetConfig) -> None:
    if target.name == "icg" and target.condition_number < 1:
        raise ConfigError("target.condition_number", target.condition_number, "a finite number >= 1")
    if target.name == "rosenbrock" and target.dim % 2:
        raise ConfigError(
            "target.dim", target.dim, "an even number with target=rosenbrock, half of it for X and half for Y"
        )
    published = {"icg": (10, 100.0, 1), "funnel": (10, 1.0, None)}.get(target.name)
    if target.moments == "reference" and published not in (
        None,
        (target.dim, target.condition_number, target.rotation),
    ):
        given = (
            "target.dim=10 target.condition_number=100 target.rotation=1"
            if target.name == "icg"
            else "target.dim=10"
        )
        raise ConfigError(
            "target.moments", "reference", f"exact, because the public code's constants need {given}"
        )


def _check_noise(config: RunConfig, target: TargetConfig) -> None:
    noise = config.noise
    if target.name == "custom" and noise.name not in ("none", "isotropic"):
        raise ConfigError(
            "noise", noise.name, "none, isotropic with target=custom, as the others need known scales"
        )
    if noise.name == "spatially_varied" and target.dim < 3:
        raise ConfigError(
            "target.dim", target.dim, "at least 3 with noise=spatially_varied, which varies along x[2]"
        )
    if noise.batch_size > noise.num_rows:
        raise ConfigError(
            "noise.batch_size", noise.batch_size, f"a whole number <= noise.num_rows={noise.num_rows}"
        )
    bounds = {"student_t": (2, "degrees of freedom > 2"), "lognormal": (0, "sigma > 0")}
    if noise.distribution in bounds:
        low, valid = bounds[noise.distribution]
        if noise.parameter is None or noise.parameter <= low:
            raise ConfigError(
                "noise.parameter", noise.parameter, f"{valid} with noise.distribution={noise.distribution}"
            )
    elif noise.parameter is not None:
        raise ConfigError(
            "noise.parameter", noise.parameter, f"null with noise.distribution={noise.distribution}"
        )

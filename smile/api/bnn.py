"""``smile.BNN(network).fit(X, y)``: a warm start and chains, by the code that runs of the command line go through."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import smile
from smile import random
from smile.api import choices
from smile.api.bar import bar
from smile.api.fit import Fit
from smile.api.inputs import InputError, Missing, learn_inputs
from smile.api.labels import Labels, Likelihood, learn_labels
from smile.api.networks import Architecture, architecture
from smile.api.summary import Summary, advice
from smile.config.rules import check_together, check_tuner
from smile.config.run import RunConfig
from smile.data import Dataset, Table, split_and_standardise
from smile.execute import predictions, results
from smile.execute.network import adapt_chains, sample_chains
from smile.execute.problem import Network, build_network, check_sampler, subsampling_of
from smile.execute.warm_start import train_members
from smile.kernels import Sampler
from smile.models import Model
from smile.options import ConfigError, choice, integer, number, require
from smile.runs.progress import Advance
from smile.sampling import thin, thinning_to
from smile.targets import Prior
from smile.tuners import AdaptingTuner, TunerOptions

__all__ = ["BNN"]


class BNN:
    """A Bayesian neural network.

    Args:
        network: a module of flax linen, nnx or Equinox, an ``(init, apply)`` pair, a function of the number of outputs
            that returns one, a dotted path, ``smile.mlp(16, 16)``; see ``smile.api.networks.architecture``.
        likelihood: ``auto``: categorical for classes, homoscedastic for numbers; ``homoscedastic``: normal with one
            standard deviation, one output; ``heteroscedastic``: two outputs, mean and log standard deviation;
            ``categorical``: one output per class.
        prior: of ``smile.priors``; None: ``normal(1.0)``.

    Raises:
        NetworkError: where the network cannot be used.
    """

    def __init__(self, network: Any, *, likelihood: Likelihood = "auto", prior: Prior | None = None) -> None:
        self._architecture = architecture(network)
        self._likelihood = likelihood
        self._prior = Prior() if prior is None else prior
        if not isinstance(self._prior, Prior):
            raise ValueError(f"prior: got {prior!r}; valid: one of smile.priors, such as smile.priors.he()")

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        method: str = "psmile_naive",
        chains: int = 8,
        num_steps: int = 20_000,
        burn_in: int | None = None,
        thinning: int = 10,
        step_size: float | None = None,
        batch_size: int | Literal["auto"] | None = "auto",
        sampler: Sampler | None = None,
        tuner: TunerOptions | None = None,
        temperature: float = 1.0,
        warm_start_epochs: int = 200,
        train: float = 0.7,
        validation: float = 0.1,
        missing: Missing = "refuse",
        dtype: Literal["float32", "float64"] = "float32",
        seed: int = 0,
        keep: int = 1000,
        chains_at_once: int | None = None,
        rows_at_once: int | None = None,
        progress: bool = True,
    ) -> Fit:
        """Trains a deep ensemble and starts a chain in each of its networks; JAX's devices share the chains.

        Args:
            X: (rows, columns) of numpy, jax or pandas, words and categories included; or images.
            y: (rows,): floats for a regression; whole numbers, words, categories for classes.
            method: a sampler with its tuner, by the name of a file in ``conf/method``.
            chains: how many, each in a network of its own.
            num_steps: of a chain, burn-in included.
            burn_in: first steps, whose draws are not used; None: half of all.
            thinning: every how many steps a draw is used; a divisor of num_steps and burn_in.
            step_size: the initial one, > 0; None: that of the method.
            batch_size: rows per gradient; ``auto``: 256, or half of fewer than 512; None: all rows.
            sampler: in place of that of the method, such as ``smile.psmile(ema_rate=0.05)``.
            tuner: likewise, such as ``smile.energy_variance(adaptation_strength=0.01)``.
            temperature: T > 0; chains sample exp(log posterior / T).
            warm_start_epochs: after which training of the deep ensemble ends, if it has not before; 0: none.
            train: share of the rows that is learnt.
            validation: share of the rows by which training is stopped; the rest is held out for ``summary``.
            missing: what to do with missing cells of X, see ``smile.api.inputs.learn_inputs``.
            dtype: of parameters and chains.
            seed: determines the split of the rows, and every number.
            keep: at most how many draws of all chains together ``predict`` uses and ``save`` writes, evenly thinned,
                but one of every chain at least; ``summary`` is about all of them.
            chains_at_once: chains of a device that advance together; None: all.
            rows_at_once: rows that are predicted together while chains run; None: all.
            progress: shows a bar.

        Raises:
            InputError: what is wrong with X or y, and where.
            ConfigError: which option is wrong, and what is valid.
            NetworkError: why the network cannot be used.
        """
        require("temperature", temperature, number(0))
        require("keep", keep, integer(1))
        require("dtype", dtype, choice("float32", "float64"))
        config = _composed(
            (
                f"+method={method}", f"num_steps={num_steps}", f"thinning={thinning}", f"replications={chains}",
                f"burn_in={num_steps // 2 if burn_in is None else burn_in}", f"seed={seed}",
                f"warm_start.max_epochs={warm_start_epochs}",
            ),
            sampler,
            tuner,
            step_size,
            {
                "batch_size": batch_size, "likelihood": self._likelihood, "chains_at_once": chains_at_once,
                "rows_at_once": rows_at_once,
            },
        )  # fmt: skip
        inputs, x, kept = learn_inputs(X, missing)
        labels = learn_labels(y, self._likelihood, kept)
        names = (
            tuple(inputs.column(i).removesuffix(" of X") for i in range(x.shape[1])) if x.ndim == 2 else ()
        )
        table = Table("X", x, labels.y, labels.task, tuple(map(str, labels.classes)), (*names, "y"))
        dataset = split_and_standardise(table, seed=seed, train=train, validation=validation)
        with (
            jax.enable_x64(dtype == "float64"),
            bar(config.num_steps, config.sampler.name, progress) as advance,
        ):
            network = self._network(config, dataset, dtype, temperature)
            run = _run(config, network, keep, advance)
        options = {
            "method": method, "chains": chains, "num_steps": num_steps, "burn_in": config.burn_in,
            "thinning": thinning, "step_size": list(config.step_size), "batch_size": network.batch_size,
            "temperature": temperature, "dtype": dtype, "seed": seed, "missing": missing,
            "sampler": dataclasses.asdict(config.sampler), "tuner": dataclasses.asdict(config.tuner),
            "jax": version("jax"), "flax": version("flax"),
        }  # fmt: skip
        return _fit(inputs, labels, network, run, self._architecture, options)

    def _network(self, config: RunConfig, dataset: Dataset, dtype: str, temperature: float) -> Network:
        assert config.network is not None
        target = config.network.target

        def make(num_outputs: int, context: int | None) -> Model:
            return in_precision(self._architecture.make(num_outputs, context), dtype)

        network = build_network(target, dataset, make, self._prior, self._architecture.shown)
        if temperature != 1:
            cold = network.posterior
            network = network._replace(
                posterior=dataclasses.replace(
                    cold,
                    logdensity=lambda position, batch: cold.logdensity(position, batch) / temperature,
                    prior_sd=math.sqrt(temperature) * cold.prior_sd,
                )
            )
        check_sampler(config, subsampling_of(network.posterior, network.batch_size))
        return network


class _Run(NamedTuple):
    """Kept draws (chains, draws, dim), what they are worth, and the figure."""

    draws: np.ndarray
    summary: Summary
    figure: Any


class _Kept:
    """Every ``every``-th draw of all chains, as chunks of them come."""

    def __init__(self, every: int) -> None:
        self._every, self._seen, self._chunks = every, 0, []  # type: int, int, list[np.ndarray]

    def write(self, chunk: int, draws: np.ndarray) -> None:
        self._chunks.append(thin(draws, self._seen, self._every))
        self._seen += len(draws)

    def has(self, counts: Sequence[int]) -> bool:
        return False  # not on disk

    @property
    def draws(self) -> np.ndarray:
        """(chains, draws, dim)."""
        return np.ascontiguousarray(np.concatenate(self._chunks).swapaxes(0, 1))


def _run(config: RunConfig, network: Network, keep: int, advance: Advance) -> _Run:
    """What ``execute_network`` does, without files."""
    chosen, chains = config.network, config.replications
    assert chosen is not None
    key_warm, key_adapt, key_sample = jax.random.split(random.key(config.seed), 3)
    positions, _ = train_members(chosen, chains, network, key_warm, advance)
    ensemble = predictions.one_draw(chosen.target, network, positions)
    starts = adapt_chains(config, network, jnp.asarray(positions), key_adapt, None, advance)
    draws_per_chain = (config.num_steps - config.burn_in) // config.thinning
    kept = _Kept(thinning_to(keep, draws_per_chain, chains))
    sampled = sample_chains(config, network, starts, key_sample, advance, keepers=[kept])
    metrics = {name: float(v[0]) for name, v in results.metrics_by_group(network, sampled, ensemble).items()}
    dataset = network.dataset
    summary = Summary(
        metrics,
        predictions.evaluate(network, ensemble, 0, 1),
        (len(dataset.train.y), len(dataset.validation.y), len(dataset.test.y)),
        f"{config.sampler.name} with tuner {config.tuner.name}, {chains} chains of {config.num_steps} steps",
        advice(metrics, config.num_steps),
    )
    return _Run(kept.draws, summary, results.figure("", network, sampled, ensemble, 0))


def _fit(
    inputs: Any,
    labels: Labels,
    network: Network,
    run: _Run,
    architecture: Architecture,
    options: dict[str, Any],
) -> Fit:
    if run.draws.shape[1] == 0:
        raise InputError("no draw was kept: a smaller burn_in, or more steps")
    dataset = network.dataset
    assert dataset.units is not None
    gaussian = "homoscedastic" if network.posterior.likelihood.has_log_sd else "heteroscedastic"
    return Fit(
        draws=run.draws,
        inputs=inputs,
        units=dataset.units,
        labels=labels._replace(y=labels.y[:0]),
        y_mean=dataset.y_mean,
        y_scale=dataset.y_scale,
        likelihood="categorical" if labels.classes else gaussian,
        posterior=network.posterior,
        network=architecture.facts,
        options={**options, "smile": smile.__version__},
        summarised=run.summary,
        figure=run.figure._replace(title=run.summary.sampler),
    )


def in_precision(model: Model, dtype: str) -> Model:
    """The network whose parameters are of ``dtype``."""

    def init(key: jax.Array, x: jax.Array) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model.init(key, x))

    return Model(init, model.apply)


def _composed(
    overrides: tuple[str, ...],
    sampler: Sampler | None,
    tuner: TunerOptions | None,
    step_size: float | None,
    target: dict[str, Any],
) -> RunConfig:
    """What the command line composes of ``overrides``, with the caller's choices in place, and its rules."""
    config = choices.composed(*overrides)
    parts: dict[str, Any] = {"sampler": sampler or config.sampler, "tuner": tuner or config.tuner}
    for name, kind in (("sampler", Sampler), ("tuner", TunerOptions)):
        if not isinstance(parts[name], kind):
            raise ConfigError(name, parts[name], "one such as smile.psmile(), smile.energy_variance()")
    check_tuner(parts["tuner"], parts["sampler"])
    if parts["sampler"].is_full_batch and target["batch_size"] == "auto":
        target = {**target, "batch_size": None}
    assert config.network is not None
    parts["target"] = dataclasses.replace(config.network.target, **target)
    if step_size is not None:
        if isinstance(parts["tuner"], AdaptingTuner):
            raise ConfigError(
                "step_size", step_size, f"None with tuner={parts['tuner'].name}, which finds it"
            )
        require("step_size", step_size, number(0))
        parts["step_size"] = (float(step_size),)
    elif sampler is not None:  # that of the method's sampler may be in another unit
        parts["step_size"] = choices.composed(f"sampler={sampler.name}").step_size
    found = dataclasses.replace(config, **parts)
    check_together(found)
    return found

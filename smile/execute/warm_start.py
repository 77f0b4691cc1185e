"""The deep ensemble in which chains start: trained once and shared by every run that wants the same, killed or not."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smile import checksum, stop
from smile.code import module_of
from smile.config.identity import identify
from smile.config.run import NetworkChoices, RunConfig
from smile.data import flip_crop_resize, source
from smile.execute.problem import Network
from smile.paths import local_path
from smile.runs.progress import Advance
from smile.sampling import Checkpoints, Member, Training, train_ensemble
from smile.sampling.devices import on_first_host, over_rows
from smile.targets import NetworkTarget
from smile.tracking import write_bytes_atomic

__all__ = ["WarmStart", "checkpoints", "train_members", "warm_start"]

_logger = logging.getLogger(__name__)


class WarmStart(NamedTuple):
    """The deep ensemble.

    Attributes:
        positions: (chains, dim), float32.
        digest: of everything that determines them.
    """

    positions: np.ndarray
    digest: str


def warm_start(config: RunConfig, network: Network, key: jax.Array, advance: Advance) -> WarmStart:
    """From the cache, or trained while other processes that want the same ensemble wait."""
    digest = _warm_start_digest(config, network)
    shape = jax.ShapeDtypeStruct((config.replications, network.posterior.dim), np.float32)
    positions = on_first_host(lambda: _cached(config, network, digest, key, advance), shape)
    return WarmStart(np.asarray(positions), digest)


def _cached(config: RunConfig, network: Network, digest: str, key: jax.Array, advance: Advance) -> np.ndarray:
    path = local_path(config.results_dir) / "warm_starts" / f"{digest}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with stop.alone(path.with_suffix(".lock")):
        if (found := _read(path)) is not None:
            return found
        chosen = config.network
        assert chosen is not None
        saved = checkpoints(chosen.target, path.with_suffix(".checkpoints"), shared=False)
        positions, trained = train_members(chosen, config.replications, network, key, advance, saved)
        _write(path, {"positions": positions, **trained})
        saved.clear()
        return positions


def _read(path: Path) -> np.ndarray | None:
    """Positions as they were written; None where there are none, or something else bears their name."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not checksum.is_sound(content, _seal(path)):
        _logger.warning("%s is damaged or of an older version: the deep ensemble is trained again", path)
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return np.asarray(file["positions"])


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """As ``numpy.savez`` does, with a seal as the comment of the archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = checksum.blank(_seal(path))
    write_bytes_atomic(path, checksum.sealed(buffer.getvalue()))


def _seal(path: Path) -> str:
    """What only the file of this deep ensemble is sealed as."""
    return f"warm start {path.stem}"


def checkpoints(options: NetworkTarget, directory: Path, *, shared: bool = True) -> Checkpoints:
    """Those of a part of a run, as often as the options say."""
    return Checkpoints(directory, 60 * options.checkpoint_minutes, shared=shared)


def _warm_start_digest(config: RunConfig, network: Network) -> str:
    identity = identify(config)
    names = ("data", "model", "warm_start", "replications", "seed", "precision")
    chosen = {name: identity[name] for name in names} | {"likelihood": identity["target"]["likelihood"]}
    if config.model is not None and module_of(config.model):  # whose shapes follow from no option of ours
        chosen["parameters"] = _parameters(network)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]


def _parameters(network: Network) -> list[tuple[str, tuple[int, ...], str]]:
    """Path, shape and dtype of every leaf of the parameters."""
    params = jax.eval_shape(network.model.init, jax.random.key(0), jnp.asarray(network.dataset.test.x[:2]))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [(jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype)) for path, leaf in leaves]


def train_members(
    chosen: NetworkChoices,
    members: int,
    network: Network,
    key: jax.Array,
    advance: Advance,
    saved: Checkpoints | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Positions (members, dim), and what training reached by member."""
    options, target, posterior, dataset = chosen.warm_start, chosen.target, network.posterior, network.dataset
    likelihood, train = posterior.likelihood, source(dataset)
    validation = (jnp.asarray(dataset.validation.x), jnp.asarray(dataset.validation.y))
    example = jnp.asarray(dataset.test.x[:2])

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        prediction = likelihood.predict(network.model.apply(params, x), jnp.zeros(()))
        return -jnp.mean(likelihood.log_prob(prediction, y))

    def validation_loss(params: Any, validation: Any) -> jax.Array:
        x, y = validation
        outputs = over_rows(partial(network.model.apply, params), x, target.rows_at_once)
        return -jnp.mean(likelihood.log_prob(likelihood.predict(outputs, jnp.zeros(())), y))

    def augment(key: jax.Array, batch: Any) -> Any:
        x, y = batch
        return flip_crop_resize(key, x), y

    member = Member(
        init=lambda key: network.model.init(key, example),
        loss=loss,
        validation_loss=validation_loss,
        optimiser=options.optimiser(train.steps_per_epoch(min(options.batch_size, train.num_choices))),
        augment=augment if options.augmentation == "flip_crop_resize" else None,
    )
    training = Training(
        members, options.batch_size, options.max_epochs, options.patience, target.chains_at_once
    )
    trained = train_ensemble(
        member,
        train,
        validation,
        training,
        key=key,
        checkpoints=saved,
        on_epoch=lambda epoch: advance(0, f"warm start, epoch {epoch} of at most {options.max_epochs}"),
    )

    def position(params: Any) -> jax.Array:
        log_sd = jnp.zeros(())
        if likelihood.has_log_sd:
            # The residuals of rows that the network has not seen: those it was trained on would be too small.
            mean = posterior.predict(posterior.join(params, log_sd), validation[0])[0]
            log_sd = 0.5 * jnp.log(jnp.mean((mean - validation[1]) ** 2))
        return posterior.join(params, log_sd)

    facts = {name: getattr(trained, name) for name in ("validation_loss", "best_epoch", "num_epochs")}
    return np.asarray(jax.jit(jax.vmap(position))(trained.params)), facts

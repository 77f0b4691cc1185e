"""References of posteriors on disk: summaries of long NUTS chains, and thinned draws (``scripts/references``).

One Parquet file for each posterior: a row per draw, the whole position in one column, and in the footer, as JSON, mean
and standard deviation of what is observed over all draws of the long chains, what says that these have converged, and
two checks. The digest is that of the numbers in the file; the log densities of the first draws tell whether the
posterior still is the one that was sampled.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smile.options import ConfigError
from smile.paths import experiments_dir

__all__ = ["NUM_CHECKED", "Reference", "check_density", "digest_of", "from_bytes", "read", "to_bytes"]

NUM_CHECKED = 8  # draws whose log densities are kept
_TOLERANCE = 0.05  # of differences of log densities in single precision
_VALID = "one whose reference is there and unchanged; make references computes it"


class Reference(NamedTuple):
    """What is known of a posterior.

    Attributes:
        draws: thinned positions, (n, dim) float32.
        mean: of what is observed, (k,) float64.
        sd: its standard deviations, (k,) float64.
        logdensity: of the first draws, (NUM_CHECKED,) float64.
        num_draws: behind mean and standard deviation.
        rhat_max: largest rank-normalised split R-hat of what is observed.
        ess_min: smallest bulk effective sample size.
    """

    draws: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    logdensity: np.ndarray
    num_draws: int
    rhat_max: float
    ess_min: float


def digest_of(reference: Reference) -> str:
    """Twelve hexadecimal digits of all its numbers."""
    numbers = hashlib.sha256(np.ascontiguousarray(reference.draws, "<f4").tobytes())
    for values in (reference.mean, reference.sd, reference.logdensity):
        numbers.update(np.ascontiguousarray(values, "<f8").tobytes())
    return numbers.hexdigest()[:12]


def to_bytes(reference: Reference) -> bytes:
    """The content of its file."""
    facts = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in reference._asdict().items()
        if name != "draws"
    }
    facts["digest"] = digest_of(reference)
    flat = pa.array(np.ascontiguousarray(reference.draws, np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, reference.draws.shape[1])
    table = pa.table({"position": column}).replace_schema_metadata({"reference": json.dumps(facts)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False)
    return buffer.getvalue()


def from_bytes(content: bytes) -> tuple[Reference, str]:
    """The reference and the digest that its file says.

    Raises:
        ValueError: where the content is no reference.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        facts = json.loads(table.schema.metadata[b"reference"])
        digest = facts.pop("digest")
        column = table.column("position").combine_chunks()
        draws = column.flatten().to_numpy().reshape(len(column), -1)
        arrays = {name: np.asarray(value) for name, value in facts.items() if isinstance(value, list)}
        return Reference(draws=draws, **{**facts, **arrays}), str(digest)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def read(name: str, folder: Path | None = None) -> tuple[Reference, str]:
    """The reference of a posterior and its digest.

    Args:
        name: of the posterior.
        folder: where references lie; None: ``experiments/posteriors/references``.

    Raises:
        ConfigError: which names the posterior, where there is no reference, or its numbers are not those of its digest.
    """
    path = (folder or experiments_dir() / "posteriors" / "references") / f"{name}.parquet"
    if not path.is_file():
        raise ConfigError("target", f"{name} without its reference {path.name}", _VALID)
    try:
        reference, said = from_bytes(path.read_bytes())
    except ValueError as error:
        raise ConfigError("target", f"{name} with an unreadable reference ({error})", _VALID) from None
    if said != (found := digest_of(reference)):
        given = f"{name}, whose reference has the digest {found} and says {said}"
        raise ConfigError("target", given, _VALID)
    return reference, said


def check_density(name: str, reference: Reference, logdensity: Callable[[jax.Array], jax.Array]) -> None:
    """Raises ConfigError where another log density was sampled; its constant is of no account."""
    draws = jnp.asarray(reference.draws[:NUM_CHECKED], jnp.float32)
    found = np.asarray(jax.jit(jax.vmap(logdensity))(draws), np.float64)
    difference = (found - found[0]) - (reference.logdensity - reference.logdensity[0])
    allowed = _TOLERANCE + 1e-5 * np.abs(found).max()
    if not (np.abs(difference) <= allowed).all():
        worst = f"log densities differ by {np.abs(difference).max():.3g}"
        given = f"{name}, whose reference is of another posterior: {worst}"
        raise ConfigError("target", given, _VALID)

"""The references of +experiment=posteriors: long NUTS chains on all rows, in double precision.

python scripts/references.py                       # all that are missing or out of date, as `make references` does
python scripts/references.py breast_cancer --again

A reference is written only where split R-hat is below 1.005 and the bulk effective sample size above 4,000 for
everything that is observed; otherwise the command says what was reached, and fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

from smile.metrics import rank_diagnostics
from smile.options import ConfigError
from smile.paths import experiments_dir
from smile.targets.posteriors import POSTERIORS, Posterior, RowModel
from smile.targets.posteriors.options import row_model
from smile.targets.posteriors.reference import NUM_CHECKED, Reference, to_bytes
from smile.targets.posteriors.rows import full_logdensity, observed
from smile.tracking.files import write_bytes_atomic

MOST_RHAT, FEWEST_EFFECTIVE = 1.005, 4000
MOST_NUMBERS = 400_000  # of the draws in a file


class Effort(NamedTuple):
    """How long NUTS runs; chains are vectorised."""

    chains: int = 8
    warm_up: int = 1000
    draws: int = 2500
    target_acceptance: float = 0.8
    double: bool = True  # precision
    is_log_concave: bool = False  # NUTS then moves in the coordinates of the Laplace approximation


EFFORT = {
    "diabetes_hierarchy": Effort(target_acceptance=0.95),
    "diabetes_funnel": Effort(target_acceptance=0.95),
    "diabetes_network": Effort(draws=4000, target_acceptance=0.9),
    "digits_softmax": Effort(4, 200, 1800, double=False, is_log_concave=True),
}


def laplace_coordinates(model: RowModel) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """``z -> (position, 0)`` whose posterior is about standard normal; its mode by Newton's method."""
    logdensity = full_logdensity(model)
    newton = jax.jit(lambda x: (jax.grad(logdensity)(x), jax.hessian(logdensity)(x)))
    mode = np.zeros(model.dim)
    for _ in range(12):
        gradient, hessian = newton(jnp.asarray(mode, float))
        mode = mode - np.linalg.solve(np.asarray(hessian, float), np.asarray(gradient, float))
    factor = np.linalg.inv(np.linalg.cholesky(-np.asarray(hessian, float))).T
    return lambda z: (jnp.asarray(mode, z.dtype) + jnp.asarray(factor, z.dtype) @ z, jnp.zeros((), z.dtype))


def nuts(model: RowModel, effort: Effort, key: jax.Array) -> np.ndarray:
    """Positions in the model's coordinates, (chains, draws, dim)."""
    to_position = model.reference_coordinates or (lambda z: (z, 0.0))
    if effort.is_log_concave:
        to_position = laplace_coordinates(model)
    logdensity_fn = full_logdensity(model)

    def logdensity(z: jax.Array) -> jax.Array:
        position, log_volume = to_position(z)
        return logdensity_fn(position) + log_volume

    def chain(key: jax.Array) -> jax.Array:
        key_start, key_warm_up, key_draws = jax.random.split(key, 3)
        warm_up = blackjax.window_adaptation(
            blackjax.nuts, logdensity, target_acceptance_rate=effort.target_acceptance
        )
        start = 0.3 * jax.random.normal(key_start, (model.dim,))
        (state, parameters), _ = warm_up.run(key_warm_up, start, effort.warm_up)
        kernel = blackjax.nuts(logdensity, **parameters)

        def step(state, key):
            state, _ = kernel.step(key, state)
            return state, to_position(state.position)[0]

        return jax.lax.scan(step, state, jax.random.split(key_draws, effort.draws))[1]

    return np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(key, effort.chains)))


def reference_of(name: str, effort: Effort, seed: int) -> Reference:
    """Raises SystemExit where the chains have not converged."""
    model = row_model(name)
    start = time.monotonic()
    draws = nuts(model, effort, jax.random.key(seed))
    symmetry = model.symmetry
    if symmetry is not None:  # compared in one half, whichever of them each draw was found in
        mirrored = np.asarray(jax.vmap(jax.vmap(symmetry))(draws))
        draws = np.where(draws[..., 1:2] >= draws[..., :1], draws, mirrored)
    seen = np.asarray(jax.jit(jax.vmap(jax.vmap(lambda x: observed(model, x))))(draws))
    rhat, ess = rank_diagnostics(seen)
    said = f"{name}: R-hat {rhat.max():.4f}, bulk ESS {ess.min():,.0f}, {time.monotonic() - start:.0f} s"
    print(said, flush=True)
    if not (rhat.max() < MOST_RHAT and ess.min() > FEWEST_EFFECTIVE):
        sys.exit(
            f"{said}: needs R-hat below {MOST_RHAT} and more than {FEWEST_EFFECTIVE}: give it more draws"
        )
    flat = draws.reshape(-1, model.dim)
    if symmetry is not None:
        flat = np.stack([flat, np.asarray(jax.vmap(symmetry)(flat))], axis=1).reshape(-1, model.dim)
        seen = np.asarray(jax.vmap(lambda x: observed(model, x))(flat))
    count = min(2000, MOST_NUMBERS // model.dim, len(flat))
    thinned = flat[np.linspace(0, len(flat) - 1, count).round().astype(int)].astype(np.float32)
    logdensity = jax.jit(jax.vmap(full_logdensity(model)))(jnp.asarray(thinned[:NUM_CHECKED], float))
    seen = seen.reshape(len(flat), -1)
    return Reference(
        draws=thinned,
        mean=seen.mean(axis=0),
        sd=seen.std(axis=0, ddof=1),
        logdensity=np.asarray(logdensity),
        num_draws=len(flat),
        rhat_max=float(rhat.max()),
        ess_min=float(ess.min()),
    )


def is_current(name: str) -> bool:
    try:
        Posterior(name=name, batch_size=None).build()
    except ConfigError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(POSTERIORS), help="posteriors; all unless said")
    parser.add_argument("--again", action="store_true", help="also where there is a reference that fits")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if wrong := set(arguments.names) - set(POSTERIORS):
        parser.error(f"no posterior {', '.join(sorted(wrong))}: valid are {', '.join(POSTERIORS)}")
    for name in arguments.names:
        if not arguments.again and is_current(name):
            print(f"{name}: current")
            continue
        effort = EFFORT.get(name, Effort())
        with jax.enable_x64(effort.double):
            found = reference_of(name, effort, arguments.seed)
        folder = experiments_dir() / "posteriors" / "references"
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(folder / f"{name}.parquet", to_bytes(found))


if __name__ == "__main__":
    main()

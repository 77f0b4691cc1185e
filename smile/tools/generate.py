"""``smile-generate``: text from the model average of a language model that was sampled with ``target=nanogpt``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from smile import random
from smile.arguments import OneLineParser, command_line
from smile.checksum import read_json
from smile.config.parse import from_dict
from smile.config.run import RunConfig
from smile.execute.results import VOCABULARY_FILE
from smile.models import generate
from smile.options import ConfigError
from smile.sampling import load_draws
from smile.targets import Prior, bnn, likelihood
from smile.tracking import read_run
from smile.tracking.config_file import CONFIG_FILE, read_config
from smile.tracking.statistics import reached, summarise

__all__ = ["main"]


class _WrongError(Exception):
    """What cannot be generated and why, in one line."""


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 where there is nothing to generate from."""
    options = _parse(arguments)
    try:
        print(_text(options))
    except (_WrongError, ConfigError, ValueError, OSError) as error:
        print(f"smile-generate: {error}", file=sys.stderr)
        return 2
    return 0


def _text(options: argparse.Namespace) -> str:
    run_dir = options.run
    if not (run_dir / VOCABULARY_FILE).is_file():
        raise _WrongError(
            f"{run_dir} is no finished run of a language model: give results/<experiment>/<scale>/runs/<id> of a "
            "run with target=nanogpt"
        )
    config = _config(run_dir)
    vocabulary = read_json(run_dir / VOCABULARY_FILE)["characters"]
    if unknown := sorted(set(options.prompt) - set(vocabulary)):
        raise _WrongError(f"--prompt: the text has no {', '.join(map(repr, unknown))}; valid: {vocabulary!r}")
    assert config.network is not None
    context = getattr(config.network.data, "context", None)
    if context is None:
        raise _WrongError(f"{run_dir} is no run on text")
    model = config.network.model.build(len(vocabulary), context)
    windows = jnp.zeros((2, context), jnp.int32)
    posterior = bnn(model, likelihood("categorical", len(vocabulary)), Prior(), (windows, windows), 1)
    params = jax.vmap(lambda position: posterior.split(position)[0])(
        _members(config, run_dir, options.members)
    )
    tokens = generate(
        model.apply,
        params,
        jnp.array([[vocabulary.index(character) for character in options.prompt]]),
        random.key(options.seed),
        num_tokens=options.characters,
        context=context,
        temperature=options.temperature,
        top_k=options.top_k,
    )
    return options.prompt + "".join(vocabulary[token] for token in np.asarray(tokens)[0])


def _config(run_dir: Path) -> RunConfig:
    try:
        return from_dict(yaml.safe_load(read_config(run_dir)))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise _WrongError(f"{run_dir / CONFIG_FILE} is no config of a run: {error!r}") from None


def _members(config: RunConfig, run_dir: Path, most: int) -> jax.Array:
    """The draws of the step size that validation data chose, at most so many and evenly spaced, (members, dim)."""
    draws = load_draws(run_dir / "draws")
    summary = summarise(read_run(run_dir))
    found = reached(summary)
    best = found.step_size if found else None
    if best is None:
        raise _WrongError(f"the chains of {run_dir} diverged at every step size")
    group = int(np.argmin(np.abs(np.array(config.step_size) - best)))
    chains = config.replications
    members = draws[group * chains : (group + 1) * chains].reshape(-1, draws.shape[-1])
    chosen = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).astype(int))
    return jnp.asarray(members[chosen])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="smile-generate",
        description="Continues a prompt, each character drawn from the average prediction of the chains of a run.",
        epilog="Runs keep their last draws with target.draws=last (the default of target=nanogpt), all with stream.",
    )
    parser.add_argument("run", type=Path, help="folder of the run: results/<experiment>/<scale>/runs/<id>")
    parser.add_argument("--prompt", default="\n", help="what the text starts with (default: a new line)")
    parser.add_argument(
        "--characters", type=int, default=500, help="how many to write (default: %(default)s)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        help="0: always the most probable one (default: %(default)s)",
    )
    parser.add_argument("--top-k", type=int, help="only the k most probable characters (default: all)")
    parser.add_argument(
        "--members", type=int, default=16, help="most draws to average (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the text (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not options.prompt:
        parser.error("--prompt needs one character at least")
    return options


if __name__ == "__main__":
    sys.exit(main())

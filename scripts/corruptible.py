"""Every kind of file that is read back: how it comes to be, and what reads it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smile import checksum, random
from smile.api.saved import posterior_file
from smile.checksum import read_json, sealed_json
from smile.data import image_cache
from smile.data.image_files import Part
from smile.execute.posterior import KIND, POSTERIOR_FILE, VERSION
from smile.execute.problem import make_network
from smile.execute.warm_start import warm_start
from smile.preflight import compose, compose_command, parse_arguments
from smile.run import main
from smile.runs.compact import compact, read_configs
from smile.runs.lock import LOCK_FILE
from smile.runs.owner import this_process
from smile.runs.survey import survey
from smile.sampling import Checkpoints, load_draws, write_draws
from smile.sweep.frozen import JOBS_FILE, freeze, thaw
from smile.tools import sync
from smile.tracking import read_metrics
from smile.tracking.archive import Archive, read_archive, write_archive

__all__ = ["KINDS", "Kind"]

ANALYTIC = ["scale=smoke", "sampler=sgld", "num_steps=100", "step_size=[0.01,0.1]", "replications=2",
            "tracker.wandb.mode=disabled"]  # fmt: skip
TREES = {index: {"a": jnp.arange(40.0) + index, "b": jnp.full((3, 2), index)} for index in (1, 2)}
KEYS = ["run_id", "step_size", "replication", "metric", "value"]


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        make: in an empty folder; returns the files to damage.
        read: what their readers make of the folder.
        newer: what a later version might write, from what this one writes.
        recomputes: whether the reader can do without the file.
        is_older: whether what was read is an older state.
    """

    name: str
    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    newer: Callable[[bytes], bytes] | None = None
    recomputes: bool = False
    is_older: Callable[[Any, Any], bool] = lambda found, expected: False

    def is_same(self, found: Any, expected: Any) -> bool:
        return bool(found == expected)


def runs_of(folder: Path) -> Path:
    return folder / "adhoc/smoke"


def command(folder: Path) -> str:
    """The command again, and the numbers that are there afterwards."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*ANALYTIC, f"results_dir={folder}"])
    if code:
        raise ValueError(err.getvalue())
    (run,) = survey(runs_of(folder)).runs
    return f"{run.state} {read_metrics(runs_of(folder))[KEYS].to_csv()}"


def make_run(name: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        command(folder)
        return [*runs_of(folder).glob(f"runs/*/{name}")]

    return make


def make_lock(folder: Path) -> list[Path]:
    """Of a process that has died, minutes ago."""
    (metrics,) = make_run("metrics.parquet")(folder)
    metrics.unlink()
    file = metrics.with_name(LOCK_FILE)
    file.write_text(json.dumps(this_process()._replace(start=1)))
    os.utime(file, (time.time() - 300,) * 2)
    return [file]


def synchronised(folder: Path) -> str:
    """What smile-sync sends to wandb as the config."""
    sent: list[Any] = []
    with mock.patch.object(sync, "mirror", lambda about, *_, **__: sent.append(about.config)):
        sync.rebuild(runs_of(folder), "adhoc", "smoke", folder, "smile")
    return json.dumps(sent, sort_keys=True)


def make_merged(folder: Path) -> list[Path]:
    command(folder)
    compact(runs_of(folder))
    return sorted(runs_of(folder).glob("compact/*.parquet"))


def read_merged(folder: Path) -> str:
    found = survey(runs_of(folder)).counts
    return f"{found} {read_configs(runs_of(folder))} {read_metrics(runs_of(folder))[KEYS].to_csv()}"


def make_list(folder: Path) -> list[Path]:
    jobs = compose_command(parse_arguments([*ANALYTIC, f"results_dir={folder}"])).jobs
    return [freeze(jobs).rename(folder / "submission") / JOBS_FILE]


def make_checkpoints(folder: Path) -> list[Path]:
    saved = Checkpoints(folder, 0.0)
    for index, tree in TREES.items():
        saved.save(index, tree)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "1"
                  and path.name != "1.sha256")  # fmt: skip


def restored(folder: Path) -> tuple[int, str]:
    """Its number and whether it holds what was saved under it."""
    found = Checkpoints(folder, 0.0).restore(TREES[1])
    if found is None:
        return 0, "True"
    same = jax.tree.map(lambda one, other: bool((one == other).all()), found[1], TREES[found[0]])
    return found[0], str(all(jax.tree.leaves(same)))


def trained(folder: Path) -> bytes:
    config = compose(["target=bnn", "scale=smoke", "warm_start.max_epochs=1", "replications=2", "model.widths=[4]",
                      f"results_dir={folder}"])  # fmt: skip
    assert config.network is not None
    found = warm_start(
        config, make_network(config.network, 0), random.key(0), lambda num_steps, note="": None
    )
    return found.positions.tobytes()


def make_warm_start(folder: Path) -> list[Path]:
    trained(folder)
    return [*folder.glob("warm_starts/*.npz")]


def decoded(folder: Path) -> bytes:
    image_cache._digests_once.cache_clear()  # as in a process that has not looked yet
    pixels = np.arange(2 * 3 * 16, dtype=np.uint8).reshape(6, 4, 4, 1)
    part = Part("here", np.arange(6) % 2, lambda: iter([("here", pixels)]))
    parts = image_cache.cached(
        folder / "set", lambda: {"train": part, "test": part}, channels=1, size=None, digests={}
    )
    return b"".join(np.asarray(array).tobytes() for split in parts.values() for array in split)


def make_images(folder: Path) -> list[Path]:
    decoded(folder)
    return sorted((folder / "set").iterdir())


def make_draws(folder: Path) -> list[Path]:
    for chunk in range(3):
        write_draws(folder, chunk, np.random.default_rng(chunk).normal(size=(2, 3, 5)).astype(np.float32))
    return [folder / "000001.npy"]


def make_vocabulary(folder: Path) -> list[Path]:
    (folder / "vocabulary.json").write_text(sealed_json({"characters": "\n abcdef"}))
    return [folder / "vocabulary.json"]


def make_posterior(folder: Path) -> list[Path]:
    """What a run on a table and a fit leave, without a network."""
    arrays = {"draws": np.random.default_rng(0).normal(size=(4, 30))}
    write_archive(folder / POSTERIOR_FILE, KIND, VERSION, Archive({"task": "regression"}, arrays))
    return [folder / POSTERIOR_FILE]


def read_posterior(folder: Path) -> str:
    found = read_archive(posterior_file(folder), KIND, VERSION)
    return f"{found.facts['task']} {found.arrays['draws'].tolist()}"


def with_a_column(content: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(content))
    buffer = io.BytesIO()
    pq.write_table(table.append_column("more", pa.array([1] * len(table))), buffer)
    return buffer.getvalue()


def with_a_field(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"more": 1}).encode()


def with_an_array(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with np.load(io.BytesIO(content)) as file:
        np.savez(buffer, more=np.zeros(2), **file)
    return buffer.getvalue()


def is_older(found: Any, expected: Any) -> bool:
    return bool(found[0] < expected[0] and found[1] == "True")


KINDS = (
    Kind("metrics", make_run("metrics.parquet"), command, with_a_column, recomputes=True),
    Kind("merged metrics and configs", make_merged, read_merged, with_a_column),
    Kind("status", make_run("status.json"), command, with_a_field),
    Kind("lock", make_lock, command, lambda content: json.dumps([*json.loads(content), 1]).encode()),
    Kind("config", make_run("config.yaml"), synchronised, lambda content: b"more: 1\n" + content),
    Kind("list of runs", make_list, lambda folder: str(thaw(folder / "submission")), with_a_field),
    Kind("checkpoint", make_checkpoints, restored, recomputes=True, is_older=is_older),
    Kind("warm start", make_warm_start, trained, with_an_array, recomputes=True),
    Kind("image cache", make_images, decoded, lambda content: content + b"1", recomputes=True),
    Kind("draws", make_draws, lambda folder: load_draws(folder).tobytes(),
         lambda content: content + checksum.blank("more")),
    Kind("vocabulary", make_vocabulary, lambda folder: str(read_json(folder / "vocabulary.json")), with_a_field),
    Kind("saved posterior", make_posterior, read_posterior, with_an_array),
)  # fmt: skip

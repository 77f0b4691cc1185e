"""What a sweep was when it was submitted: every run's config, resolved, and the state of the code.

``submissions/<time>/`` of the experiment holds ``jobs.json``, ``commit.txt`` and ``changes.diff``. Queued runs read
nothing else, so that editing YAML changes what is submitted next and nothing that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

import smile
from smile import provenance
from smile.checksum import read_json, sealed_json
from smile.config.identity import run_id
from smile.config.run import RunConfig
from smile.options import ConfigError
from smile.paths import experiment_dir
from smile.tracking import write_text_atomic

__all__ = ["JOBS_FILE", "Job", "freeze", "submitted", "thaw"]

JOBS_FILE = "jobs.json"


class Job(NamedTuple):
    """One run of a sweep.

    Attributes:
        config: parsed.
        plain: what it was parsed from, resolved; nested dictionaries, lists and scalars.
    """

    config: RunConfig
    plain: Mapping[str, Any]


def freeze(jobs: Sequence[Job]) -> Path:
    """Writes a submission.

    Args:
        jobs: one at least, of one experiment and scale as a rule.

    Returns:
        Its folder, a new one.
    """
    config = jobs[0].config
    parent = experiment_dir(config.results_dir, config.experiment, config.scale) / "submissions"
    parent.mkdir(parents=True, exist_ok=True)
    folder = _new_folder(parent)
    plain = [{"run_id": run_id(job.config), "config": job.plain} for job in jobs]
    write_text_atomic(folder / JOBS_FILE, sealed_json({"jobs": plain}))
    commit = provenance.commit() or "no checkout"
    write_text_atomic(folder / "commit.txt", f"{commit}\nsmile {smile.__version__}\n")
    write_text_atomic(folder / "changes.diff", provenance.changes())
    return folder


def thaw(folder: Path) -> list[RunConfig]:
    """The configs of a submission.

    Raises:
        ConfigError: where what they say today is another run, because the code or a data file has changed.
        DamagedError: where the file is not as it was written.
    """
    from smile.config.parse import parse  # here, because it imports jax

    configs = []
    for job in read_json(folder / JOBS_FILE)["jobs"]:
        config = parse(OmegaConf.create(job["config"]))
        if run_id(config) != job["run_id"]:
            valid = f"{job['run_id']}, as submitted: the code or a data file has changed since"
            raise ConfigError(f"run id of {config.label}", run_id(config), valid)
        configs.append(config)
    return configs


def submitted(folder: Path) -> float:
    """When a submission was made, by the clock of its file system."""
    return (folder / JOBS_FILE).stat().st_mtime


def _new_folder(parent: Path) -> Path:
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    number = 0
    while True:
        folder = parent / (f"{time}.{number}" if number else time)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder

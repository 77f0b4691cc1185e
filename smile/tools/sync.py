"""``smile-sync``: brings the offline runs of an experiment to wandb; those that were lost are rebuilt from Parquet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from smile.arguments import command_line
from smile.checksum import DamagedError
from smile.extras import need
from smile.runs.compact import read_configs
from smile.tools.arguments import NothingThereError, experiment_parser, folders
from smile.tracking.config_file import CONFIG_FILE, read_config
from smile.tracking.parquet import read_metrics
from smile.tracking.reachable import is_reachable
from smile.tracking.tracker import About
from smile.tracking.wandb import mirror, wandb_id

__all__ = ["main", "rebuild"]

_PUBLIC_SERVER = "https://api.wandb.ai"
_SYNCED = ".synced"  # what wandb puts behind the name of a file that it has sent


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 where wandb did not take all runs, 2 where there is nothing to send."""
    parser = experiment_parser(
        "smile-sync", "Sends an experiment's runs to wandb, under the ids that they always have."
    )
    parser.add_argument(
        "--wandb-dir", type=Path, default=Path(), help="holds wandb/, where runs went (default: .)"
    )
    parser.add_argument("--project", default="smile", help="of the runs that are rebuilt (default: smile)")
    parser.add_argument(
        "--rebuild-only", action="store_true", help="make the offline runs complete, send nothing"
    )
    options = parser.parse_args(arguments)
    try:
        need("wandb", "smile-sync")
        runs = [
            run
            for scale, folder in folders(options).items()
            for run in rebuild(folder, options.experiment, scale, options.wandb_dir, options.project)
        ]
    except (NothingThereError, ValueError, OSError) as error:
        print(f"smile-sync: {error}", file=sys.stderr)
        return 2
    waiting = _waiting(runs)
    print(f"{len(runs)} runs: {len(runs) - len(waiting)} sent before, {len(waiting)} to send")
    if options.rebuild_only or not waiting:
        return 0
    server = os.environ.get("WANDB_BASE_URL", _PUBLIC_SERVER)
    if not is_reachable(server):
        print(
            f"smile-sync: {server} does not answer; the runs stay in {options.wandb_dir / 'wandb'}",
            file=sys.stderr,
        )
        return 1
    command = [sys.executable, "-P", "-m", "wandb", "sync", *map(str, waiting)]
    subprocess.run(command, check=False)  # whose exit status does not tell
    if left := _waiting(waiting):
        print(f"smile-sync: {len(left)} of {len(waiting)} runs were not sent, see above", file=sys.stderr)
    return int(bool(left))


def rebuild(experiment_dir: Path, experiment: str, scale: str, wandb_dir: Path, project: str) -> list[Path]:
    """Makes sure that every finished run has an offline run of wandb.

    Returns:
        Their folders, the newest where a run has several.
    """
    table = read_metrics(experiment_dir)
    merged = read_configs(experiment_dir)
    for name, rows in table.groupby("run_id"):
        identity = wandb_id(experiment, scale, str(name))
        if _offline(wandb_dir, identity):
            continue
        config = _config(experiment_dir / "runs" / str(name), merged)
        about = About(experiment, scale, str(name), _label(rows), config, wandb_dir)
        mirror(about, rows, mode="offline", project=project)
    identities = (wandb_id(experiment, scale, str(name)) for name in table["run_id"].unique())
    return [found[-1] for identity in identities if (found := _offline(wandb_dir, identity))]


def _config(run_dir: Path, merged: Mapping[str, str]) -> dict[str, Any]:
    """Of a run; empty where it has none, as the deep ensemble of a sweep."""
    try:
        text = read_config(run_dir)
    except FileNotFoundError:
        text = merged.get(run_dir.name, "")
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise DamagedError(run_dir / CONFIG_FILE, " ".join(str(error).split())) from None
    if not isinstance(found, dict):
        raise DamagedError(run_dir / CONFIG_FILE, "it is no mapping of options")
    return found


def _waiting(runs: Sequence[Path]) -> list[Path]:
    return [run for run in runs if not list(run.glob(f"*{_SYNCED}"))]


def _offline(wandb_dir: Path, identity: str) -> list[Path]:
    return sorted(wandb_dir.glob(f"wandb/offline-run-*-{identity}"))


def _label(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    parts = (row["target"], row["noise"] if row["data"] == "none" else row["data"], row["sampler"], row["tuner"],
             row["variant"])  # fmt: skip
    return " ".join(part for part in parts if part not in ("", "none"))


if __name__ == "__main__":
    sys.exit(main())

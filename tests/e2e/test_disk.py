"""A full or read-only disk ends a command in one line, at whatever stage, and the same command goes on afterwards."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from smile.run import main
from smile.tracking import read_metrics

ANALYTIC = ["scale=smoke", "sampler=sgld", "num_steps=100", "step_size=0.1", "replications=2", "devices=1"]
NETWORK = ["scale=smoke", "target=bnn", "sampler=sgld", "num_steps=40", "burn_in=20", "thinning=5", "replications=2",
           "warm_start.max_epochs=2", "target.checkpoint_minutes=0", "target.draws=stream", "devices=1"]  # fmt: skip
COMMANDS = {"analytic": ANALYTIC, "network": NETWORK}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def smile(command: list[str], folder: Path) -> int:
    return main([*command, f"results_dir={folder}", "tracker.wandb.mode=disabled"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pd.Series]:
    """The numbers of a command that met no limit."""

    @cache
    def run(kind: str) -> pd.Series:
        folder = tmp_path_factory.mktemp(kind)
        assert smile(COMMANDS[kind], folder) == 0
        return numbers(folder)

    return run


def numbers(folder: Path) -> pd.Series:
    keys = ["run_id", "step_size", "replication", "metric"]
    return read_metrics(folder / "adhoc/smoke").set_index(keys)["value"].sort_index()


def ends_in_lines_and_goes_on(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str], undisturbed: Callable[[str], pd.Series]
) -> None:
    """What a command says that met a limit, and what it does without one."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert smile(COMMANDS[kind], folder) == 0, capsys.readouterr().err
    assert numbers(folder).equals(undisturbed(kind))
    assert not [*folder.rglob(".*.tmp"), *folder.rglob("lock"), *folder.rglob("failure.txt")]


@pytest.mark.parametrize(
    ("kind", "left"), [("analytic", 0), ("analytic", 8), ("network", 12), ("network", 60)]
)
def test_a_full_disk(
    kind: str,
    left: int,
    disk: Path,
    capsys: pytest.CaptureFixture[str],
    undisturbed: Callable[[str], pd.Series],
) -> None:
    """With so many KiB left."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - left * 1024))
    assert smile(COMMANDS[kind], disk) in (1, 2)
    ballast.unlink()
    ends_in_lines_and_goes_on(kind, disk, capsys, undisturbed)


def test_a_read_only_disk(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert smile(ANALYTIC, disk) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("smile: error: results_dir") and "Read-only file system" in line


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "darwin", reason="raises a signal there")
@pytest.mark.parametrize("size", [0, 300, 2000])
def test_a_file_that_cannot_be_written_to_its_end(
    size: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    undisturbed: Callable[[str], pd.Series],
) -> None:
    with files_of_at_most(size):
        assert smile(ANALYTIC, tmp_path / "results") in (1, 2)
    ends_in_lines_and_goes_on("analytic", tmp_path / "results", capsys, undisturbed)

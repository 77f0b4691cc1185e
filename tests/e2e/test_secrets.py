"""What is written names no secret of the environment and no home folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from smile import provenance
from smile.data import DataError, files
from smile.preflight import compose_command, parse_arguments
from smile.run import main
from smile.sweep.frozen import freeze
from smile.tools.report import main as report

TOKEN = "c0ffee" * 6 + "abcd"  # as long as a key of wandb
RUN = ["scale=smoke", "sampler=sgld", "num_steps=100", "step_size=0.1", "replications=2", "devices=1"]


def texts(folder: Path) -> dict[Path, bytes]:
    """What is in all files, Parquet unpacked."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            if file.suffix == ".parquet":
                content += (
                    str(pq.read_table(file).to_pydict()).encode()
                    + str(pq.read_schema(file).metadata).encode()
                )
            found[file] = content
    return found


def test_no_file_holds_a_token_or_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home-of-somebody"
    work = home / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(provenance, "commit", lambda: "abc+changes")  # so that there are changes to write
    assert main([*RUN, "tracker.wandb.mode=offline"]) == 0
    freeze(compose_command(parse_arguments(RUN)).jobs)
    assert report(["adhoc"]) == 0
    (run,) = Path("results/adhoc/smoke/runs").iterdir()
    assert report([str(run)]) == 0
    found = texts(work)
    names = {path.name for path in found}
    assert {
        "config.yaml",
        "metrics.parquet",
        "status.json",
        "jobs.json",
        "changes.diff",
        "commit.txt",
        "report.html",
    } <= names
    assert any(path.suffix == ".wandb" for path in found)
    for path, content in found.items():
        assert TOKEN.encode() not in content, path
        assert b"home-of-somebody" not in content or "wandb" in path.parts, (
            path
        )  # its log names its own folder


def test_a_temporary_file_of_a_download_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    replace = Path.replace

    def seen(self: Path, target: Path) -> Path:
        modes.append(self.stat().st_mode & 0o777)
        return replace(self, target)

    monkeypatch.setattr(files, "fetch", lambda url, name: b"content")
    monkeypatch.setattr(Path, "replace", seen)
    os.umask(os.umask(0o022))
    files.download("https://example.org/a", tmp_path / "a", hashlib.sha256(b"content").hexdigest())
    assert modes == [0o600]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_download_that_cannot_be_kept_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, mode: str) -> None:
        os.close(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(DataError, match=r"cannot keep .*/a \(No space left on device\): XDG_CACHE_HOME may"):
        files.keep(tmp_path / "a", b"content")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot keep .* \(File exists\)"):
        files.keep(tmp_path / "file/a", b"content")


def test_nothing_of_ours_unpickles_or_evaluates_a_file() -> None:
    ways = r"import (cloud)?pickle|import (dill|joblib|marshal|shelve)|allow_pickle=True|read_pickle|\b(eval|exec)\("
    package = Path(provenance.__file__).parent
    assert not [path for path in package.rglob("*.py") if re.search(ways, path.read_text())]


def test_every_address_is_https() -> None:
    package = Path(provenance.__file__).parent
    assert not [path for path in package.rglob("*.py") if '"http://' in path.read_text()]

"""Files are whole or not there, and as private as their owner wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smile.tracking import write_text_atomic


def test_killed_writer_leaves_no_metrics(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from smile.tracking import files\n"
        "files.write_atomic(Path(sys.argv[1]), lambda file: (file.write(b'half'), file.flush(), time.sleep(60)))"
    )
    path = tmp_path / "metrics.parquet"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size for file in tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert list(tmp_path.iterdir()), "the writer never started"
    assert not path.exists()


def test_failing_writer_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_text_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text_atomic(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode

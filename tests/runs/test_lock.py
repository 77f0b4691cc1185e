"""One process per run: whoever comes second is told who was first, and the lock of a dead process is taken over."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from smile import stop
from smile.runs.lock import LOCK_FILE, Lock, claim, holder
from smile.runs.owner import STALE_SECONDS, Owner, file_system_time, is_alive, this_process

ELSEWHERE = Owner("another-machine", "boot", 1, 2)
NEWCOMER = Owner("a-third-machine", "boot", 3, 4)


def leave(directory: Path, owner: Owner, age: float = 0.0) -> Path:
    path = directory / LOCK_FILE
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_lock_is_there_for_the_body_only(tmp_path: Path) -> None:
    with claim(tmp_path) as lock:
        assert isinstance(lock, Lock) and lock.renew()
        with claim(tmp_path) as second:
            assert second == this_process()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("owner", "age"),
    [
        (this_process()._replace(pid=2**22 + 1), 0),  # no such process
        (this_process()._replace(start=1), 0),  # a process of the same number, and another
        (ELSEWHERE, STALE_SECONDS + 1),
        (Owner(), STALE_SECONDS + 1),
    ],
)
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, owner: Owner, age: float) -> None:
    leave(tmp_path, owner, age)
    with claim(tmp_path) as lock:
        assert isinstance(lock, Lock)
        assert json.loads((tmp_path / LOCK_FILE).read_text()) == list(this_process())


@pytest.mark.parametrize(
    "age", [0, STALE_SECONDS - 30, -3600]
)  # the last: the file system's clock was set back
def test_a_heartbeat_on_another_machine_is_believed(tmp_path: Path, age: float) -> None:
    path = leave(tmp_path, ELSEWHERE, age)
    with claim(tmp_path) as holder:
        assert holder == ELSEWHERE
    assert path.exists()


def test_the_clock_of_this_machine_does_not_matter(tmp_path: Path, monkeypatch: Any) -> None:
    leave(tmp_path, ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with claim(tmp_path) as holder:
        assert holder == ELSEWHERE


def test_an_owner_that_lost_its_lock_notices_and_leaves_the_new_one_alone(tmp_path: Path) -> None:
    with claim(tmp_path) as lock:
        assert isinstance(lock, Lock)
        path = leave(tmp_path, ELSEWHERE)
        assert not lock.renew()
    assert json.loads(path.read_text()) == list(ELSEWHERE)


def test_a_lock_whose_owner_cannot_be_read_belongs_to_somebody(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("")
    with claim(tmp_path) as holder:
        assert holder == Owner()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "private"])
def test_what_bears_the_name_of_a_lock_and_is_none_that_can_be_read_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / LOCK_FILE
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "nowhere")
        case "pipe":
            os.mkfifo(path)
        case _:  # a root, as which tests may run, can read everything
            leave(tmp_path, ELSEWHERE).chmod(0)
            monkeypatch.setattr(os, "open", deny(os.open, path))
    for look in (lambda: claim(tmp_path).__enter__(), lambda: holder(tmp_path)):
        start = time.process_time()
        with pytest.raises(OSError, match="Permission denied" if kind == "private" else "remove what lies"):
            look()
        assert time.process_time() - start < 1  # of computing: it does not spin
    assert [file.name for file in tmp_path.iterdir()] == [LOCK_FILE]


def deny(function: Any, path: Path) -> Any:
    def denied(name: Any, *arguments: Any, **options: Any) -> Any:
        if name == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return function(name, *arguments, **options)

    return denied


def test_a_lock_that_nobody_may_move_away_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, ELSEWHERE, STALE_SECONDS + 1)

    def rename(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PermissionError):
        claim(tmp_path).__enter__()


def test_whoever_finds_a_lock_obeys_a_request_to_stop(tmp_path: Path) -> None:
    leave(tmp_path, ELSEWHERE)
    stop.request("SIGTERM")
    try:
        with pytest.raises(stop.Preempted):
            claim(tmp_path).__enter__()
    finally:
        stop.clear()


def test_the_holder_is_told_as_long_as_it_lives(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with claim(tmp_path):
        assert holder(tmp_path) == this_process()
    leave(tmp_path, ELSEWHERE)
    assert holder(tmp_path) == ELSEWHERE
    leave(tmp_path, ELSEWHERE, STALE_SECONDS + 1)
    assert holder(tmp_path) is None


def test_a_moment_of_a_network_file_system_loses_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with claim(tmp_path) as lock:
        assert isinstance(lock, Lock)
        with monkeypatch.context() as patch:
            patch.setattr(os, "utime", fail)
            assert lock.renew()
            later = time.monotonic() + STALE_SECONDS
            patch.setattr(time, "monotonic", lambda: later)
            assert not lock.renew()


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: Any) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    with claim(tmp_path) as lock, claim(tmp_path) as second:
        assert isinstance(lock, Lock) and second == this_process()


@pytest.mark.parametrize("links", [True, False])
def test_a_lock_that_changed_hands_while_it_was_taken_over_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Where flock is a pretence, and perhaps hard links are missing, too."""
    path, rename = leave(tmp_path, ELSEWHERE, STALE_SECONDS + 1), Path.rename

    def too_late(self: Path, target: Path) -> Path:
        if self == path:
            monkeypatch.setattr(Path, "rename", rename)
            leave(tmp_path, NEWCOMER)
        return rename(self, target)

    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "rename", too_late)
    if not links:
        monkeypatch.setattr(os, "link", link)
    with claim(tmp_path) as holder:
        assert holder == NEWCOMER
    assert json.loads(path.read_text()) == list(NEWCOMER)
    assert not list(tmp_path.glob(".*.dead"))


def test_of_many_processes_that_find_a_dead_lock_one_gets_it(tmp_path: Path) -> None:
    leave(tmp_path, this_process()._replace(pid=2**22 + 1))
    script = (
        "import sys, time; from pathlib import Path; from smile.runs.lock import Lock, claim\n"
        "input()\n"
        "with claim(Path(sys.argv[1])) as lock:\n"
        "    print(isinstance(lock, Lock), flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for process in crowd:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.stdout.readline().strip() for process in crowd if process.stdout]
    assert sorted(answers) == ["False"] * 5 + ["True"]
    for process in crowd:
        process.communicate("\n")
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["sleep", "0"])
    owner = this_process()._replace(pid=child.pid, start=1)
    time.sleep(0.2)
    assert not is_alive(owner, time.time(), time.time())
    child.wait()


def test_the_time_of_a_folder_that_cannot_be_written_is_ours(tmp_path: Path) -> None:
    assert file_system_time(tmp_path / "missing") == pytest.approx(time.time(), abs=5)

"""Sealed files: every changed bit shows, wherever it is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from smile import checksum
from smile.checksum import DamagedError, read_json, sealed_json
from smile.tracking.config_file import read_config, write_config


def flipped(content: bytes) -> list[bytes]:
    """The content with every one of its bits changed, one at a time."""
    return [
        content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
        for place in range(len(content))
        for bit in range(8)
    ]


def test_every_changed_bit_and_another_subject_show() -> None:
    content = checksum.sealed(b"something, " + checksum.blank("draws 3") + b"\n")
    assert checksum.is_sound(content, "draws 3") and not checksum.is_sound(content, "draws 4")
    assert not any(checksum.is_sound(changed, "draws 3") for changed in flipped(content))
    assert not any(checksum.is_sound(content[:end], "draws 3") for end in range(len(content)))
    assert not checksum.is_sound(b"")


def test_json_comes_back_or_names_its_file(tmp_path: Path) -> None:
    file, values = tmp_path / "a.json", {"characters": "\n ab'\"é", "n": [1, 2]}
    content = sealed_json(values).encode()
    file.write_bytes(content)
    assert read_json(file) == values
    for damaged in (*flipped(content), content[:-3], b"", b"{}", b"[1]"):
        file.write_bytes(damaged)
        with pytest.raises(DamagedError, match=r"a\.json cannot be read: its bits have changed"):
            read_json(file)


def test_numpy_passes_over_a_seal_behind_an_array_and_in_the_comment_of_an_archive() -> None:
    array = np.arange(6.0).reshape(2, 3)
    plain, archive = io.BytesIO(), io.BytesIO()
    np.save(plain, array)
    np.savez(archive, a=array)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = checksum.blank("archive")
    for content in (plain.getvalue() + checksum.blank("array"), archive.getvalue()):
        found = np.load(io.BytesIO(checksum.sealed(content)), allow_pickle=False)
        np.testing.assert_array_equal(found if isinstance(found, np.ndarray) else found["a"], array)


def test_a_config_that_changed_or_is_another_runs_is_refused_by_name(tmp_path: Path) -> None:
    run, other = tmp_path / "aa", tmp_path / "bb"
    write_config(run, "seed: 0\n")
    content = (run / "config.yaml").read_bytes()
    assert read_config(run).startswith("seed: 0\n# run aa, crc32 of this file")
    other.mkdir()
    (other / "config.yaml").write_bytes(content)
    with pytest.raises(DamagedError, match="that of another run"):
        read_config(other)
    (run / "config.yaml").write_bytes(content.replace(b"seed: 0", b"seed: 1"))
    with pytest.raises(DamagedError, match=r"aa/config\.yaml cannot be read"):
        read_config(run)
    old = "seed: 2\nresults_dir: results\n"  # of a version without seals
    (run / "config.yaml").write_text(old)
    assert read_config(run) == old
    for end in range(len(old)):
        (run / "config.yaml").write_text(old[:end])
        with pytest.raises(DamagedError, match="it is truncated"):
            read_config(run)
    (run / "config.yaml").write_bytes(b"\xff\nresults_dir: a\n")
    with pytest.raises(DamagedError, match="no UTF-8"):
        read_config(run)

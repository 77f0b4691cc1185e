from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smile.tracking.archive import Archive, ArchiveError, read_archive, write_archive

ARRAYS = {"draws": np.arange(20, dtype=np.float32).reshape(2, 5, 2), "scale": np.float64(3.0)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_archive(tmp_path / "it", "posterior", 1, Archive({"classes": ["a", "b"]}, ARRAYS))
    return tmp_path / "it"


def test_what_is_written_is_read(path: Path) -> None:
    facts, arrays = read_archive(path, "posterior", 1)
    assert facts["classes"] == ["a", "b"] and facts["version"] == 1
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert set(arrays) == set(ARRAYS)


def test_no_changed_byte_and_no_end_cut_off_is_read_as_something_else(path: Path) -> None:
    content = path.read_bytes()
    damaged = [content[:end] for end in range(0, len(content), 5)]
    for place in range(0, len(content), 3):
        for bit in (0x01, 0x80):
            damaged.append(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
    refused = 0
    for one in damaged:
        path.write_bytes(one)
        try:
            facts, arrays = read_archive(path, "posterior", 1)
        except ArchiveError:
            refused += 1
        else:  # a byte that nothing depends on, such as a date in the folder of the zip file
            assert facts["classes"] == ["a", "b"] and set(arrays) == set(ARRAYS)
            assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())
    assert refused > len(damaged) / 2


def test_a_pickle_is_never_opened(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, draws=np.array([{"a": 1}], object))
    with pytest.raises(ArchiveError, match="no whole file"):
        read_archive(path, "posterior", 1)

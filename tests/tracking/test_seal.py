"""A bit that changes in a file of metrics is noticed, wherever it is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from smile.tracking import is_finished, read_metrics, read_run, write_metrics
from smile.tracking.parquet import SCHEMA
from smile.tracking.seal import UnreadableError, check, read_sealed

BLANK: dict[str, Any] = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "runs/r1/metrics.parquet"
    write_metrics(
        file, [BLANK | {"run_id": "r1", "replication": number, "value": number / 7} for number in range(50)]
    )
    return file


def test_no_single_bit_changes_a_number(file: Path) -> None:
    """All bits of the seal and of the ends, and 500 others; only a flip in the mark of the seal may go unseen."""
    content = file.read_bytes()
    before = read_sealed(file, schema=SCHEMA).replace_schema_metadata(None)
    ends = [*range(64), *range(len(content) * 8 - 2048, len(content) * 8)]
    others = random.Random(0).sample(range(len(content) * 8), 500)
    unseen = 0
    for bit in dict.fromkeys(ends + others):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            assert read_sealed(file, schema=SCHEMA).replace_schema_metadata(None).equals(before)
            unseen += 1
        except UnreadableError:
            continue
    assert unseen <= 8 * len("crc32 of this file with zeros here: ")


@pytest.mark.parametrize("damage", ["empty", "half", "bit", "foreign", "folder"])
def test_what_cannot_be_read_is_named_and_not_finished(file: Path, damage: str) -> None:
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[100] ^= 4
    texts = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "bit": bytes(flipped),
        "foreign": b"no table",
    }
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(texts[damage])
    assert not is_finished(file.parent)
    for read in (check, lambda file: read_run(file.parent), lambda file: read_metrics(file.parents[2])):
        with pytest.raises(UnreadableError, match=f"{file} cannot be read") as error:
            read(file)
        assert len(str(error.value).splitlines()) == 1


def test_files_from_before_there_were_seals_are_read(file: Path) -> None:
    table = pq.read_table(file).replace_schema_metadata(None)
    pq.write_table(table, file)
    assert is_finished(file.parent) and len(read_run(file.parent)) == 50
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 1 :])
    assert not is_finished(file.parent)

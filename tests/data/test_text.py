"""Texts, their windows, and what can be wrong with a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from smile.data import DataError, encode, load_text, split_text, text

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "text"


def test_characters_are_sorted_and_come_back():
    found = encode("t", "naïve — café\n")
    assert found.vocabulary == "".join(sorted(set("naïve — café\n"))) and found.tokens.dtype == np.uint8
    assert "".join(found.vocabulary[token] for token in found.tokens) == "naïve — café\n"
    wide = encode("t", "".join(map(chr, range(300))))
    assert wide.tokens.dtype == np.uint16 and wide.tokens[-1] == 299


def test_builtin_text_is_enough_for_a_small_model():
    found = load_text("builtin")
    assert 20_000 < len(found.tokens) < 100_000 and 60 < len(found.vocabulary) < 128
    data = split_text(found, context=256)
    assert data.test.x.shape[0] >= 5 and data.num_classes == len(found.vocabulary)


def test_a_file_of_the_user_keeps_its_line_ends(tmp_path: Path):
    (tmp_path / "mine.txt").write_bytes("ä\r\nb".encode())
    found = load_text("text", path=str(tmp_path / "mine.txt"))
    assert found.name == "mine" and found.vocabulary == "\n\rbä" and len(found.tokens) == 4


def test_a_byte_order_mark_is_no_character(tmp_path: Path):
    (tmp_path / "mine.txt").write_bytes("\ufeffab\ufeff".encode())
    found = load_text("text", path=str(tmp_path / "mine.txt"))
    assert found.vocabulary == "ab\ufeff" and list(found.tokens) == [0, 1, 2]  # elsewhere it is one


# ---- windows -------------------------------------------------------------------------------------


def test_windows_follow_each_other_and_targets_are_one_ahead():
    data = split_text(encode("t", "".join(map(chr, range(200)))), context=4)
    np.testing.assert_array_equal(data.train.x, np.arange(179))
    np.testing.assert_array_equal(data.train.y, np.arange(1, 180))
    np.testing.assert_array_equal(data.validation.x, [[180, 181, 182, 183], [184, 185, 186, 187]])
    np.testing.assert_array_equal(data.validation.y, data.validation.x + 1)
    np.testing.assert_array_equal(data.test.x, data.validation.x + 10)
    assert data.task == "language" and data.context == 4 and len(data.vocabulary) == data.num_classes == 200


@pytest.mark.parametrize("context", [1, 3, 9])
def test_only_the_end_is_dropped(context):
    data = split_text(encode("t", "ab" * 100), context=context)
    windows, rest = divmod(9, context)  # ten tokens, of which the last is only a target
    assert data.test.x.shape == data.test.y.shape == (windows, context) and 9 - data.test.x.size == rest


def test_a_text_shorter_than_the_context_says_what_fits():
    short = encode("short", "ab" * 100)
    message = (
        "short: 200 characters make training, validation and test texts of 180, 10, 10, too short for a context of 10: "
        "the largest context that fits is 9"
    )
    with pytest.raises(DataError, match=message):
        split_text(short, context=10)
    with pytest.raises(DataError, match="too short for a context of 1: no context fits"):
        split_text(encode("tiny", "abc"), context=1)
    with pytest.raises(DataError, match="a context of 0 tokens: at least 1"):
        split_text(short, context=0)


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\n\xff bad", r"bad\.txt, line 2: byte 5 is 0xff, which is no UTF-8 text"),
        ("cut off: é".encode()[:-1], r"bad\.txt, line 1: byte 9 is 0xc3, which is no UTF-8 text"),
        ("two bytes each".encode("utf-16-le"), r"bad\.txt, line 1: a zero byte, which is no UTF-8 text"),
        (b"", r"bad\.txt is empty"),
        (b"\xef\xbb\xbf", r"bad\.txt is empty"),
        (None, "bad.txt: No such file"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, content, message):
    if content is not None:
        (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_text("text", path=str(tmp_path / "bad.txt"))


def test_names_and_paths_are_asked_for():
    with pytest.raises(DataError, match="no text 'bible': valid are modern_shakespeare, builtin, text"):
        load_text("bible")
    with pytest.raises(DataError, match=r"data=text needs a UTF-8 file: set data\.path"):
        load_text("text")
    with pytest.raises(DataError, match="is empty"):
        encode("nothing", "")


def test_the_original_is_downloaded_once_and_checked(tmp_path: Path, monkeypatch):
    (tmp_path / "original").write_text("To be, or not to be")
    monkeypatch.setattr(text, "_URL", (tmp_path / "original").as_uri())
    cache = tmp_path / "cache"
    with pytest.raises(
        DataError, match=r"original no longer holds modern_shakespeare\.txt \(sha256 .* expected d83"
    ):
        load_text("modern_shakespeare", cache=cache)
    assert not cache.exists()
    monkeypatch.setattr(text, "_SHA256", hashlib.sha256(b"To be, or not to be").hexdigest())
    assert len(load_text("modern_shakespeare", cache=cache).tokens) == 19
    (tmp_path / "original").unlink()
    assert len(load_text("modern_shakespeare", directory=str(cache)).tokens) == 19
    with pytest.raises(
        DataError, match=r"cannot download file://.*: set data.dir to a folder that holds modern_"
    ):
        load_text("modern_shakespeare", cache=tmp_path / "other")
    with pytest.raises(DataError, match=r"data\.dir is the folder of modern_shakespeare\.txt"):
        load_text("modern_shakespeare", directory=str(tmp_path))
    (cache / "modern_shakespeare.txt").write_text("To be, or what?")
    with pytest.raises(DataError, match=r"modern_shakespeare\.txt has a wrong checksum"):
        load_text("modern_shakespeare", cache=cache)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real text is not at hand")
def test_the_real_text_has_the_published_sizes():
    data = split_text(load_text("modern_shakespeare", directory=str(SHARED)), context=256)
    assert data.num_classes == 65 and len(data.train.x) == 1_027_978 - 1
    assert data.validation.x.shape == data.test.x.shape == (223, 256)

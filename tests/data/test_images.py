"""Image sets in small, in every layout they are published in; the cache; and what can be wrong with each."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from smile.data import DataError, image_cache, image_files, images, load_images
from smile.data.image_files import IDX_FILES, idx_header

ROWS = (30, 10)
PUBLISHED = dict(images.IMAGE_SETS)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
rng = np.random.default_rng(0)


def pixels(rows: int, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, (rows, *shape), np.uint8)


def encode(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(file: Path, x, y, image: str = "img", label: str = "label") -> None:
    rows = pa.array([{"bytes": encode(i) if isinstance(i, np.ndarray) else i, "path": None} for i in x],
                    pa.struct({"bytes": pa.binary(), "path": pa.string()}))  # fmt: skip
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({image: rows, label: pa.array(np.asarray(y, np.int64))}), file)


def write_idx(file: Path, array: np.ndarray) -> None:
    content = idx_header(array.shape) + array.tobytes()
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets under the published names; no cache of the user, no Debian package."""
    for name, published in images.IMAGE_SETS.items():
        monkeypatch.setitem(
            images.IMAGE_SETS, name, published._replace(rows=ROWS, digests={}, label_digests={})
        )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "_DEBIAN", tmp_path / "no-package")


@pytest.fixture
def cifar(tmp_path: Path) -> SimpleNamespace:
    """CIFAR-10's layout: two shards of train, one of test."""
    x, y = pixels(sum(ROWS), 8, 8, 3), np.arange(sum(ROWS)) % 10
    folder = tmp_path / "cifar10"
    write_parquet(folder / "train-00000-of-00002.parquet", x[:20], y[:20])
    write_parquet(folder / "train-00001-of-00002.parquet", x[20:30], y[20:30])
    write_parquet(folder / "test-00000-of-00001.parquet", x[30:], y[30:])
    return SimpleNamespace(folder=folder, x=x, y=y)


def cached_folders(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_dir() and path.name != "smile-bnn"][
        1:
    ]


# ---- layouts -------------------------------------------------------------------------------------


def test_parquet_shards_are_read_in_order_and_mapped(cifar, tmp_path: Path):
    found = load_images("cifar10", directory=str(cifar.folder))
    np.testing.assert_array_equal(found.train.x, cifar.x[:30])
    np.testing.assert_array_equal(found.test.x, cifar.x[30:])
    np.testing.assert_array_equal(np.concatenate([found.train.y, found.test.y]), cifar.y)
    assert found.train.y.dtype == np.int32 and len(found.classes) == 10
    assert isinstance(found.train.x, np.memmap) and not found.train.x.flags.writeable


@pytest.mark.parametrize("prefix", ["val", "validation"])
def test_validation_shards_and_other_column_names_are_the_test_part(tmp_path: Path, prefix):
    x, y = pixels(10, 4, 5, 3), np.arange(10)
    write_parquet(
        tmp_path / "i" / "train-0.parquet", np.tile(x, (3, 1, 1, 1)), np.tile(y, 3), "image", "fine_label"
    )
    write_parquet(tmp_path / "i" / f"{prefix}-0.parquet", x, y, "image", "fine_label")
    np.testing.assert_array_equal(load_images("imagenette", directory=str(tmp_path / "i")).test.x, x)


def test_images_of_different_sizes_are_resized_or_refused(tmp_path: Path):
    x = [*pixels(20, 6, 9, 3), *pixels(10, 9, 6, 3)]
    write_parquet(tmp_path / "i" / "train-0.parquet", x, np.zeros(30))
    write_parquet(tmp_path / "i" / "val-0.parquet", x[:10], np.zeros(10))
    found = load_images("imagenette", directory=str(tmp_path / "i"), size=12)
    assert found.train.x.shape == (30, 12, 12, 3)
    expected = np.asarray(Image.fromarray(x[25]).resize((12, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found.train.x[25], expected)
    with pytest.raises(DataError, match=r"images of 6x9 and 9x6 pixels: set data\.size"):
        load_images("imagenette", directory=str(tmp_path / "i"))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("is_package", [True, False])
def test_idx_files_are_read_from_the_folder_or_the_package(tmp_path: Path, monkeypatch, suffix, is_package):
    x, y = pixels(40, 28, 28), (np.arange(40) % 10).astype(np.uint8)
    folder = tmp_path / "debian" / "fashion-mnist"
    folder.parent.mkdir()
    for (image, label), rows in zip(IDX_FILES.values(), (slice(30), slice(30, 40)), strict=True):
        write_idx(folder / f"{image}{suffix}", x[rows])
        write_idx(folder / f"{label}{suffix}", y[rows])
    digests = {"train": hashlib.sha256(idx_header((30, 28, 28)) + x[:30].tobytes()).hexdigest()}
    published = images.IMAGE_SETS["fashion_mnist"]._replace(digests=digests)
    monkeypatch.setitem(images.IMAGE_SETS, "fashion_mnist", published)
    monkeypatch.setattr(images, "_DEBIAN", folder.parent)
    found = load_images("fashion_mnist", directory=None if is_package else str(folder))
    np.testing.assert_array_equal(found.train.x[..., 0], x[:30])
    np.testing.assert_array_equal(found.test.y, y[30:])

    # Other pixels, and other labels, are refused however well the file is formed.
    write_idx(folder / f"{IDX_FILES['train'][0]}{suffix}", x[:30] + np.uint8(1))
    with pytest.raises(DataError, match=r"does not hold the original images \(sha256 .*: fetch it again"):
        load_images("fashion_mnist", directory=str(folder))
    published = published._replace(digests={}, label_digests={"test": "0" * 64})
    monkeypatch.setitem(images.IMAGE_SETS, "fashion_mnist", published)
    with pytest.raises(DataError, match="does not hold the original labels of fashion_mnist"):
        load_images("fashion_mnist", directory=str(folder), size=14)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_truncated_idx_file_is_named(tmp_path: Path, suffix):
    for name in sum(IDX_FILES.values(), ()):
        write_idx(tmp_path / "f" / f"{name}{suffix}", pixels(10, 4, 4) if "images" in name else pixels(10))
    file = tmp_path / "f" / f"train-images-idx3-ubyte{suffix}"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{file} is no whole .*: fetch it again"):
        load_images("fashion_mnist", directory=str(tmp_path / "f"))


@pytest.fixture
def hub(cifar, tmp_path: Path, monkeypatch) -> SimpleNamespace:
    """The hub's cache, which names a file by the SHA-256 that the commit has of it; ``calls`` are the downloads."""
    import huggingface_hub

    calls = []

    def download(repository, file, repo_type, revision):
        calls.append((repository, file, repo_type, revision))
        part = slice(30) if "train" in file else slice(30, None)
        link = tmp_path / "hub" / revision / Path(file).name
        blob = tmp_path / "hub" / "new.parquet"
        write_parquet(blob, cifar.x[part], cifar.y[part])
        blob = blob.rename(blob.with_name(hashlib.sha256(blob.read_bytes()).hexdigest()))
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
        return str(link)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(image_files, "_reach", lambda address: None)
    for name, published in images.IMAGE_SETS.items():
        monkeypatch.setitem(images.IMAGE_SETS, name, published._replace(sums={}))
    return SimpleNamespace(calls=calls, folder=tmp_path / "hub")


@pytest.mark.parametrize("name", ["cifar10", "imagenette"])
def test_the_hub_is_downloaded_once(cifar, hub, name):
    found = load_images(name)
    np.testing.assert_array_equal(found.train.x, cifar.x[:30])
    np.testing.assert_array_equal(found.test.y, cifar.y[30:])
    load_images(name)
    published = images.IMAGE_SETS[name]
    assert hub.calls == [
        (published.repository, file, "dataset", published.revision) for file in published.files.values()
    ]


def test_a_download_that_is_not_what_its_commit_or_its_digest_says_is_refused(hub, monkeypatch):
    import huggingface_hub

    download = huggingface_hub.hf_hub_download

    def damaged(*arguments, **options):
        file = Path(download(*arguments, **options))
        file.write_bytes(file.read_bytes() + b" ")
        return str(file)

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub, "hf_hub_download", damaged)
        with pytest.raises(DataError, match=r"train-.* has a wrong checksum .*: fetch it again"):
            load_images("imagenette")
    digest = "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883"
    monkeypatch.setitem(
        images.IMAGE_SETS, "cifar10", images.IMAGE_SETS["cifar10"]._replace(sums={"train": digest})
    )
    with pytest.raises(DataError, match=rf"wrong checksum .*, expected {digest[:16]}\): fetch it again"):
        load_images("cifar10")


def test_every_download_is_of_a_commit_or_has_a_digest():
    for published in PUBLISHED.values():
        assert set(published.digests) == {"train", "test"} or re.fullmatch("[0-9a-f]{40}", published.revision)
        assert set(published.files) == {"train", "test"}


def test_without_network_the_option_is_named(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(
        DataError, match=r"cannot download uoft-cs/cifar10 from .*known.*: set data.dir"
    ) as error:
        load_images("cifar10")
    assert "\n" not in str(error.value)


def test_digits_need_no_files():
    found = load_images("digits")
    assert found.train.x.shape == (1437, 8, 8, 1) and found.test.x.shape == (360, 8, 8, 1)
    assert (
        found.train.x.dtype == np.uint8 and found.train.x.max() == 255 and set(found.test.y) == set(range(10))
    )
    assert load_images("digits", size=16).train.x.shape == (1437, 16, 16, 1)


# ---- what can be wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["the footer", "the pages"])
def test_a_truncated_or_damaged_parquet_file_is_named(cifar, tmp_path: Path, cut):
    file = cifar.folder / "train-00001-of-00002.parquet"
    content = file.read_bytes()
    middle = len(content) // 2
    damaged = {"the footer": content[:-100], "the pages": b"PAR1" + bytes(middle) + content[middle + 4 :]}
    file.write_bytes(damaged[cut])
    with pytest.raises(DataError, match=f"{file} is no whole Parquet file .*: fetch it again") as error:
        load_images("cifar10", directory=str(cifar.folder))
    assert "\n" not in str(error.value) and cached_folders(tmp_path) == []


@pytest.mark.parametrize("is_above", [True, False])
def test_a_wrong_checksum_is_refused_also_where_the_file_is_whole(cifar, is_above):
    prefix, folder = ("cifar10/", cifar.folder.parent) if is_above else ("", cifar.folder)
    files = sorted(cifar.folder.glob("*.parquet"))
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    lines = [f"{digest}  {prefix}{file.name}\n" for digest, file in zip(sums, files, strict=True)]
    (folder / "SHA256SUMS").write_text("".join(lines) + f"{'1' * 64}  {prefix}something-else\n")
    load_images("cifar10", directory=str(cifar.folder))
    (folder / "SHA256SUMS").write_text("".join(lines).replace(sums[1], "0" * 64))
    message = rf"{files[1]} has a wrong checksum \(sha256 {sums[1][:16]}, expected 0{{16}}\): fetch it again"
    with pytest.raises(DataError, match=message):
        load_images("cifar10", directory=str(cifar.folder))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(30) % 11, "row 10: label 10, but cifar10 has 10 classes, 0 to 9"),
        (np.arange(30) - 1, "row 0: label -1, but cifar10 has 10 classes"),
        (np.zeros(29), "the train part has 29 rows, but that of cifar10 has 30: is a shard missing"),
    ],
)
def test_labels_are_checked_before_anything_is_decoded(cifar, tmp_path: Path, y, message):
    write_parquet(cifar.folder / "train-00000-of-00002.parquet", [b"no image"] * len(y), y)
    (cifar.folder / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=message):
        load_images("cifar10", directory=str(cifar.folder))
    assert cached_folders(tmp_path) == []


@pytest.mark.parametrize("image", [b"no image", None, encode(pixels(1, 8, 8, 3)[0])[:60]])
def test_an_image_that_cannot_be_decoded_leaves_no_cache(cifar, tmp_path: Path, image):
    write_parquet(cifar.folder / "test-00000-of-00001.parquet", [*cifar.x[31:], image], cifar.y[30:])
    with pytest.raises(
        DataError, match=r"test-00000-of-00001\.parquet: an image (cannot be decoded|has no bytes)"
    ):
        load_images("cifar10", directory=str(cifar.folder))
    assert cached_folders(tmp_path) == []


def test_missing_files_and_columns_are_named(cifar, tmp_path: Path):
    with pytest.raises(
        DataError, match=r"no image set 'cifar': valid are fashion_mnist, cifar10, imagenette, digits"
    ):
        load_images("cifar")
    with pytest.raises(
        DataError, match=r"nowhere is no folder: data\.dir is the folder of the cifar10 files"
    ):
        load_images("cifar10", directory=str(tmp_path / "nowhere"))
    with pytest.raises(
        DataError, match=r"has no train-\*\.parquet and test-\*\.parquet .*, nor train-images-idx3"
    ):
        load_images("fashion_mnist", directory=str(tmp_path))
    write_parquet(cifar.folder / "test-00000-of-00001.parquet", cifar.x[30:], cifar.y[30:], label="y")
    with pytest.raises(DataError, match="has no column 'label' or 'fine_label': its columns are img, y"):
        load_images("cifar10", directory=str(cifar.folder))


# ---- cache ---------------------------------------------------------------------------------------


def test_images_are_decoded_once_by_whoever_comes_first(cifar, monkeypatch):
    fill, calls = image_cache._fill, []
    monkeypatch.setattr(image_cache, "_fill", lambda *arguments: (calls.append(1), fill(*arguments)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: load_images("cifar10", directory=str(cifar.folder)), range(8)))
    assert len(calls) == 1
    for each in found:
        np.testing.assert_array_equal(each.train.x, cifar.x[:30])


def test_another_file_is_decoded_anew(cifar):
    load_images("cifar10", directory=str(cifar.folder))
    write_parquet(cifar.folder / "test-00000-of-00001.parquet", 255 - cifar.x[30:], cifar.y[30:])
    np.testing.assert_array_equal(
        load_images("cifar10", directory=str(cifar.folder)).test.x, 255 - cifar.x[30:]
    )


def test_what_a_killed_process_left_is_no_cache(cifar, tmp_path: Path):
    load_images("cifar10", directory=str(cifar.folder))
    (folder,) = cached_folders(tmp_path)
    half = folder.rename(folder.with_name(f"{folder.name}.part"))
    (half / "train_x.npy").write_bytes(b"half")
    np.testing.assert_array_equal(load_images("cifar10", directory=str(cifar.folder)).train.x, cifar.x[:30])
    assert cached_folders(tmp_path) == [folder]


def _flip(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("name", ["train_x.npy", "train_y.npy", "test_x.npy", "test_y.npy", "sha256.json"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[:-1], _flip, lambda content: b"another", None],
    ids=["empty", "truncated", "one bit flipped", "foreign", "removed"],
)
def test_a_damaged_cache_is_decoded_again(cifar, tmp_path: Path, caplog, name, damage):
    load_images("cifar10", directory=str(cifar.folder))
    (folder,) = cached_folders(tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == sorted([*image_cache._FILES, "sha256.json"])
    if damage is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
    again = load_images("cifar10", directory=str(cifar.folder))
    np.testing.assert_array_equal(again.train.x, cifar.x[:30])
    np.testing.assert_array_equal(again.test.x, cifar.x[30:])
    np.testing.assert_array_equal(np.concatenate([again.train.y, again.test.y]), cifar.y)
    assert f"{folder} is damaged" in caplog.text and cached_folders(tmp_path) == [folder]


def test_a_damaged_cache_stays_where_the_images_cannot_be_decoded_again(cifar, tmp_path: Path, monkeypatch):
    load_images("cifar10", directory=str(cifar.folder))
    (folder,) = cached_folders(tmp_path)
    (folder / "train_x.npy").write_bytes(_flip((folder / "train_x.npy").read_bytes()))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    for _ in range(2):
        with pytest.raises(DataError, match="no space for the image cache"):
            load_images("cifar10", directory=str(cifar.folder))
    assert cached_folders(tmp_path) == [folder]


def test_files_are_verified_once_in_a_process(cifar, monkeypatch):
    load_images("cifar10", directory=str(cifar.folder))
    load_images("cifar10", directory=str(cifar.folder))
    monkeypatch.setattr(image_cache, "_digests", lambda folder: pytest.fail("read again"))
    load_images("cifar10", directory=str(cifar.folder))


def test_two_columns_that_could_be_the_images_are_not_chosen_among(cifar):
    file = cifar.folder / "test-00000-of-00001.parquet"
    table = pq.read_table(file)
    pq.write_table(table.append_column("image", table.column("img")), file)
    with pytest.raises(DataError, match="has columns 'img' and 'image': only one of them can be meant"):
        load_images("cifar10", directory=str(cifar.folder))


def test_pixels_of_16_bits_are_not_cut_off(cifar, tmp_path: Path):
    buffer = io.BytesIO()
    Image.fromarray(pixels(8, 8).astype(np.uint16) * 200).save(buffer, "png")
    write_parquet(
        cifar.folder / "test-00000-of-00001.parquet", [*cifar.x[31:], buffer.getvalue()], cifar.y[30:]
    )
    with pytest.raises(DataError, match="an image has pixels of mode I;16: 8 bits are needed"):
        load_images("cifar10", directory=str(cifar.folder))
    assert cached_folders(tmp_path) == []


def test_a_checksum_in_another_form_is_refused_and_not_left_out(cifar):
    file = cifar.folder / "test-00000-of-00001.parquet"
    (cifar.folder / "SHA256SUMS").write_text(f"# sums\n\nSHA256 ({file.name}) = {'0' * 64}\n")
    with pytest.raises(DataError, match=r"SHA256SUMS, line 3: 'SHA256 \(test-.*' is no line of sha256sum"):
        load_images("cifar10", directory=str(cifar.folder))


@pytest.mark.parametrize("when", ["before", "while it is written"])
def test_a_full_disk_is_named_and_nothing_is_left(cifar, tmp_path: Path, monkeypatch, when):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "before":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=40 * 8 * 8 * 3 - 1))
    else:
        monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"no space for the image cache: .*images needs 1 MiB free") as error:
        load_images("cifar10", directory=str(cifar.folder))
    assert "\n" not in str(error.value) and cached_folders(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One MiB, for real."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("is_foreseen", [True, False])
def test_a_disk_that_is_full_for_real(cifar, small_disk: Path, monkeypatch, is_foreseen):
    if not is_foreseen:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    with pytest.raises(DataError, match=f"no space for the image cache: {small_disk} needs 2 MiB free"):
        load_images("cifar10", directory=str(cifar.folder), size=100, cache=small_disk)
    assert [path.suffix for path in small_disk.iterdir()] == [".lock"]
    assert load_images("cifar10", directory=str(cifar.folder), cache=small_disk).train.x.shape == (
        30,
        8,
        8,
        3,
    )


# ---- the real ones -------------------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "cifar10").is_dir(), reason="CIFAR-10 is not at hand")
def test_the_real_cifar10(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(
        images.IMAGE_SETS, "cifar10", images.IMAGE_SETS["cifar10"]._replace(rows=(50000, 10000))
    )
    found = load_images("cifar10", directory=str(SHARED / "cifar10"))
    assert found.train.x.shape == (50000, 32, 32, 3) and (np.bincount(found.test.y) == 1000).all()
    published = images.IMAGE_SETS["cifar10"]
    np.testing.assert_allclose(found.train.x[::10].mean((0, 1, 2)) / 255, published.mean, atol=0.01)
    np.testing.assert_allclose(found.train.x[::10].std((0, 1, 2)) / 255, published.scale, atol=0.01)


DEBIAN, FASHION_MNIST = images._DEBIAN, images.IMAGE_SETS["fashion_mnist"]


@pytest.mark.skipif(not (DEBIAN / "fashion-mnist").is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(images.IMAGE_SETS, "fashion_mnist", FASHION_MNIST)
    monkeypatch.setattr(images, "_DEBIAN", DEBIAN)
    found = load_images("fashion_mnist")
    assert found.train.x.shape == (60000, 28, 28, 1) and (np.bincount(found.test.y) == 1000).all()

"""Damages every kind of file that is read back, in every way, and shows what becomes of it.

    python scripts/corruption.py              # writes results/reliability/corruption.md
    python scripts/corruption.py --flips 100  # bits flipped in a file of every kind, one at a time

What is read afterwards must be what was written, an older state that is known to be whole, or a line that names the
file. A wrong number and an exception that names no file are faults.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
from corruptible import KINDS, Kind

REPORT = Path(__file__).parents[1] / "results/reliability/corruption.md"
NOBODY = 65534  # as whom a file without permissions is read where the tests run as root


class Damage(NamedTuple):
    """What was done to a file, and what came of it.

    Attributes:
        kind: of the file.
        damage: what was done.
        outcome: ``as written``, ``computed again``, ``an older state``, ``refused``, or a fault.
        said: the line that names the file.
    """

    kind: str
    damage: str
    outcome: str
    said: str = ""

    @property
    def is_fault(self) -> bool:
        return self.outcome in ("WRONG", "NOT NAMED")


def campaign(top: Path, flips: int, kinds: tuple[Kind, ...] = KINDS) -> Iterator[Damage]:
    """All damages to all kinds of files.

    Args:
        top: an empty folder that everybody may enter.
        flips: how many bits of a file are flipped, one at a time.
    """
    for kind in kinds:
        original = top / "original"
        original.mkdir()
        files = kind.make(original)
        copy = top / "copy"
        shutil.copytree(original, copy)  # because to read a lock is to take it over
        expected = kind.read(copy)
        shutil.rmtree(copy)
        for file in files:
            rng = random.Random(f"{kind.name} {file.name}")
            for name, damage in _damages(file.read_bytes(), kind, rng, flips):
                shutil.copytree(original, copy)
                yield _outcome(kind, name, copy / file.relative_to(original), damage, copy, expected)
                shutil.rmtree(copy)
        shutil.rmtree(original)


def _damages(
    content: bytes, kind: Kind, rng: random.Random, flips: int
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    yield "empty", lambda file: file.write_bytes(b"")
    for end in (1, len(content) // 2, max(0, len(content) - 1)):
        yield "truncated", lambda file, end=end: file.write_bytes(content[:end])
    for _ in range(flips):
        bit = rng.randrange(8 * len(content))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield "one bit flipped", lambda file, changed=bytes(changed): file.write_bytes(changed)
    yield "foreign", lambda file: file.write_bytes(rng.randbytes(300))
    yield "foreign", lambda file: file.write_text('{"name": "something else", "values": [1, 2, 3]}\n')
    if kind.newer is not None:
        yield "newer schema", lambda file: file.write_bytes(kind.newer(content))
    yield "no permission", lambda file: file.chmod(0)
    yield "a folder", lambda file: (file.unlink(), file.mkdir())


def _outcome(
    kind: Kind, name: str, file: Path, damage: Callable[[Path], object], copy: Path, expected: Any
) -> Damage:
    times = file.stat()
    damage(file)
    with suppress(OSError):
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # a disk that loses a bit tells nobody
    said: list[str] = []
    with _noted(said), _as_somebody(copy if name == "no permission" else None):
        try:
            found = kind.read(copy)
        except (ValueError, OSError, RuntimeError) as error:
            named = file.name in str(error) or str(file.parent) in str(error)
            return Damage(
                kind.name, name, "refused" if named else "NOT NAMED", f"{error!r}".replace(str(copy), "")
            )
        except Exception as error:
            return Damage(kind.name, name, "NOT NAMED", f"{error!r}".replace(str(copy), ""))
    line = " ".join(said).replace(str(copy), "")
    if kind.is_same(found, expected):
        return Damage(kind.name, name, "computed again" if kind.recomputes and said else "as written", line)
    return Damage(kind.name, name, "an older state" if kind.is_older(found, expected) else "WRONG", line)


@contextmanager
def _noted(lines: list[str]) -> Iterator[None]:
    """Warnings of the package, instead of on the screen."""

    def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            lines.append(record.getMessage())

    with mock.patch.object(logging.Logger, "handle", handle):  # a command sets all handlers anew
        yield


@contextmanager
def _as_somebody(folder: Path | None) -> Iterator[None]:
    """As a user whom permissions bind, who owns all but the file without any."""
    if folder is None or os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() or path.stat().st_mode & 0o777:
            os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def report(found: list[Damage], flips: int) -> str:
    """Markdown of all outcomes."""
    ways = list(dict.fromkeys(one.damage for one in found))
    counts = Counter((one.kind, one.damage, one.outcome) for one in found)
    lines = ["| file | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for kind in dict.fromkeys(one.kind for one in found):
        cells = []
        for way in ways:
            outcomes = {o: n for (k, w, o), n in counts.items() if (k, w) == (kind, way)}
            cells.append(", ".join(f"{o} {n}" for o, n in outcomes.items()) or "-")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    faults = sum(one.is_fault for one in found)
    return "\n".join(
        [
            "# Damaged files",
            "",
            f"Written by `make corruption` (`scripts/corruption.py --flips {flips}`).",
            "",
            f"**{len(found)} damages, {faults} faults**: a fault is a wrong number, or an exception that names no "
            "file. "
            "`as written`: what was read is what was written; `computed again`: the same, after a warning that names "
            "the file; `an older state`: of a checkpoint, the one before or none, from which the run goes on; "
            "`refused`: one line that names the file.",
            "",
            *lines,
            "",
            "`foreign` is 300 random bytes and a JSON file of something else; `newer schema` the file with a field "
            "more; "
            "`no permission` is read by a user whom permissions bind. Not in the table, as nothing reads them back: "
            "`history.parquet`, `draws.npz`, `parameters.parquet`, figures, `commit.txt`, `changes.diff`.",
            "",
            "What is said, an example of each:",
            "",
            *(f"- {kind}: `{said}`" for kind, said in
              {one.kind: one.said for one in reversed(found) if one.said and one.damage == "one bit flipped"}.items()),
            "",
        ]
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=25)
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        found = []
        for one in campaign(Path(top), options.flips):
            found.append(one)
            print("\r", len(found), one.kind, one.damage, end="        ", flush=True)
        print()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report(found, options.flips))
    faults = [one for one in found if one.is_fault]
    for one in faults:
        print(*one, sep=" | ")
    print(f"{len(found)} damages, {len(faults)} faults: {options.output}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

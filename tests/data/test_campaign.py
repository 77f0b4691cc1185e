"""Generated tables: every file gives exactly the numbers that were written into it, or is refused in one line.

``SMILE_CAMPAIGN_CASES=5000 pytest -n0 -s tests/data/test_campaign.py`` runs more of them, other ones every time, and
prints how many of each kind there were.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from generated_tables import FAULTS, Case, Good, Refused, Sheet, cases, good, sheets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smile.data import DataError, Table, load, split_and_standardise

CASES = int(os.environ.get("SMILE_CAMPAIGN_CASES", 0))


def campaign(cases: int) -> settings:
    """The same cases in every run of the suite, other ones in every campaign."""
    return settings(
        max_examples=cases,
        derandomize=not CASES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


FEW, MANY = campaign(CASES // 3 // len(FAULTS) or 12), campaign(CASES // 3 or 150)
FLOAT32_MAX = Fraction(float(np.finfo(np.float32).max))


def read(case: Case, path: Path) -> Table:
    path.write_bytes(case.content)
    return load("csv", path=str(path), target=case.target, task=case.task, delimiter=case.delimiter)


def check_table(table: Table, expected: Good) -> None:
    np.testing.assert_array_equal(table.x, expected.x)
    np.testing.assert_array_equal(table.y, expected.y)
    assert (
        table.x.dtype == np.float64
        and table.classes == expected.classes
        and table.columns == expected.columns
    )
    assert table.task == ("classification" if expected.classes else "regression")


def check_line(message: str, path: Path, expected: Refused) -> None:
    assert len(message.splitlines()) == 1 and str(path) in message and expected.words in message
    if expected.line is not None:
        assert re.search(rf"line {expected.line}\b", message)
    if expected.column is not None:
        name = expected.column
        assert repr(name if len(name) <= 40 else f"{name[:40]}...") in message


def test_every_good_file_gives_the_exact_numbers(tmp_path: Path) -> None:
    path, counts = tmp_path / "größe ~1.csv", Counter[str]()

    @MANY
    @given(cases())
    def run(case: Case) -> None:
        assert isinstance(case.expected, Good)
        check_table(read(case, path), case.expected)
        counts["classification" if case.expected.classes else "regression"] += 1

    run()
    print(f"{counts.total()} good files: {dict(counts)}")
    assert len(counts) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    path, lines = tmp_path / "größe ~1.csv", []

    @FEW
    @given(cases(fault))
    def run(case: Case) -> None:
        assert isinstance(case.expected, Refused)
        with pytest.raises(DataError) as error:
            read(case, path)
        check_line(str(error.value), path, case.expected)
        lines.append(str(error.value))

    run()
    print(f"{len(lines)} files refused: {fault}, for instance: {lines[-1]}")


# ---- what networks see of a good table -----------------------------------------------------------


def standardised(values: np.ndarray, training: np.ndarray) -> list[Fraction]:
    """All values, with rounding in the square root alone; what is constant up to rounding, in units of itself."""
    exact = [Fraction(float(value)) for value in values]
    learnt = [exact[i] for i in training]
    mean, size = sum(learnt) / len(learnt), max(map(abs, learnt))
    if max(learnt) - min(learnt) <= size / 10**12:
        return [(value - mean) / (size or 1) for value in exact]
    scale = square_root(sum((value - mean) ** 2 for value in learnt) / len(learnt))
    return [(value - mean) / scale for value in exact]


def square_root(value: Fraction) -> Fraction:
    """To 60 bits at least."""
    bits = max(0, 128 + value.denominator.bit_length() - value.numerator.bit_length()) // 2
    return Fraction(math.isqrt(value.numerator * 4**bits // value.denominator), 2**bits)


def test_every_good_table_is_standardised_as_exact_arithmetic_says(tmp_path: Path) -> None:
    counts = Counter[str]()

    @MANY
    @given(sheets(), st.integers(0, 5))
    def run(sheet_and_kind: tuple[Sheet, str], seed: int) -> None:
        sheet, kind = sheet_and_kind
        raw = good(sheet, kind)
        rows = len(raw.y)
        order = np.random.default_rng(seed).permutation(rows)
        parts = np.split(order, [int(rows * 0.7), int(rows * (0.7 + 0.1))])
        columns = [*raw.x.T, *([] if raw.classes else [raw.y])]
        expected = [standardised(values, parts[0]) for values in columns]
        task = "classification" if raw.classes else "regression"
        table = Table("my table", raw.x, raw.y, task, raw.classes, raw.columns)
        sizes = zip(raw.columns, (max(map(abs, values)) for values in expected), strict=False)
        wrong = [name for name, size in sizes if size > FLOAT32_MAX]
        if len(set(raw.y[parts[0]])) == 1:
            wrong = [sheet.target]
        if wrong or not all(map(len, parts)):
            with pytest.raises(DataError) as error:
                split_and_standardise(table, seed=seed)
            assert "my table" in str(error.value)
            assert not wrong or any(repr(name) in str(error.value) for name in wrong)
            counts["refused"] += 1
            return
        data = split_and_standardise(table, seed=seed)
        for part, index in zip((data.train, data.validation, data.test), parts, strict=True):
            found = [*part.x.T, *([] if raw.classes else [part.y])]
            for values, column in zip(found, expected, strict=True):
                exact = [float(column[i]) for i in index]
                np.testing.assert_allclose(values, exact, rtol=1e-6, atol=1e-6)
            if raw.classes:
                np.testing.assert_array_equal(part.y, raw.y[index])
        counts["standardised"] += 1

    run()
    print(f"{counts.total()} good tables: {dict(counts)}")
    assert counts["standardised"] > 0.9 * counts.total()


@pytest.mark.parametrize("rows", [10_000, 100_000])
def test_large_tables(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(rows, 20))
    lines = [",".join(map(repr, row)) + "\n" for row in values.tolist()]
    header = ",".join(f"c{i}" for i in range(20)) + "\n"
    path = tmp_path / "large.csv"
    path.write_text(header + "".join(lines))
    table = load("csv", path=str(path), target="c19")
    np.testing.assert_array_equal(table.x, values[:, :19])
    np.testing.assert_array_equal(table.y, values[:, 19])
    path.write_text(header + "\n" + "".join(lines[:-1]) + lines[-1].replace(",", ",x", 1))
    with pytest.raises(DataError, match=f"line {rows + 2}, column 'c1': 'x"):
        load("csv", path=str(path), target="c19")

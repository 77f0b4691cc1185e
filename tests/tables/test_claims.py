"""Claims: their grammar, and what the resamples of two cells say of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_table import SPEC, run_rows, write_spec

from smile.tables import build_table
from smile.tables.claims import Claim, holds, parse_claim
from smile.tables.conditions import covers, parse_where
from smile.tables.reading import read_spec
from smile.tables.verdicts import verdict
from smile.tracking.parquet import write_metrics

NAN = math.nan
NAMES = {"s": ["a", "b", "a c", "baseline"], "x": ["u", "v"]}


def claim(text: str) -> Claim:
    return parse_claim(text, NAMES)


def test_grammar() -> None:
    found = claim("a within factor 3 of b where x in [u, v] and y = w")
    assert (found.key, found.left, found.right, found.sign, found.factor) == ("s", "a", "b", "≈", 3.0)
    assert found.where == {"x": ("u", "v"), "y": ("w",)}
    assert covers(found.where, {"x": "v", "y": "w"})
    assert not covers(found.where, {"x": "z", "y": "w"})
    assert claim("a+c < baseline").left == "a c"
    assert claim("u beats v").key == "x"
    several = claim("a < each of [b, a c]")
    assert (several.right, several.rights) == ("each of [b, a c]", ("b", "a c"))
    assert parse_where("x = a=1+b and y in [c d, e]") == {"x": ("a=1 b",), "y": ("c d", "e")}


@pytest.mark.parametrize("wrong", ["a > b", "a < b where", "a < b where x", "a within 3 of b"])
def test_what_is_no_claim(wrong: str) -> None:
    with pytest.raises(ValueError, match="is neither"):
        claim(wrong)


@pytest.mark.parametrize("wrong", ["a < c", "a < u"])
def test_a_claim_compares_two_values_of_one_key(wrong: str) -> None:
    with pytest.raises(ValueError, match="valid are two of a, a c, b, baseline, or two values of x"):
        claim(wrong)


def test_of_two_numbers() -> None:
    near = claim("a within factor 3 of b")
    assert holds(near, 1.0, 2.9) is True
    assert holds(near, 3.1, 1.0) is False
    assert holds(claim("a < b"), 1.0, 1.0) is False
    assert holds(claim("a < b"), 1.0, NAN) is None
    for highest in (False, True):
        assert holds(claim("a beats b"), 2.0, 1.0, highest) is highest


def mixture(share: float, first: float, second: float) -> np.ndarray:
    """A share of 1000 resamples is ``first``, the rest ``second``."""
    return np.where(np.arange(1000) < share * 1000, first, second)


@pytest.mark.parametrize(
    ("text", "left", "right", "highest", "expected"),
    [
        ("a < b", mixture(0.98, 1.0, 3.0), mixture(1, 2.0, 2.0), False, "holds"),
        ("a < b", mixture(0.96, 1.0, 3.0), mixture(1, 2.0, 2.0), False, "undecided"),
        ("a < b", mixture(0.02, 1.0, 3.0), mixture(1, 2.0, 2.0), False, "does not hold"),
        ("a < b", mixture(1, 2.0, 2.0), mixture(1, 2.0, 2.0), False, "undecided"),
        ("a < b", mixture(1, 2.0, 2.0), mixture(0.98, math.inf, 1.0), False, "holds"),
        ("a < b", mixture(1, math.inf, 1.0), mixture(1, math.inf, 1.0), False, "undecided"),
        ("a < b", mixture(1, math.inf, 1.0), mixture(1, 2.0, 1.0), False, "does not hold"),
        ("a < b", None, mixture(1, 2.0, 1.0), False, None),
        ("a beats b", mixture(0.98, 3.0, 1.0), mixture(1, 2.0, 2.0), True, "holds"),
        ("a beats b", mixture(0.98, 3.0, 1.0), mixture(1, 2.0, 2.0), False, "does not hold"),
        ("a beats b", mixture(1, -math.inf, 1.0), mixture(1, 2.0, 2.0), True, "does not hold"),
        ("a within factor 3 of b", mixture(0.5, 0.7, 5.9), mixture(1, 2.0, 2.0), False, "holds"),
        ("a within factor 3 of b", mixture(0.5, 0.6, 5.9), mixture(1, 2.0, 2.0), False, "undecided"),
        ("a within factor 3 of b", mixture(0.5, 6.1, 9.0), mixture(1, 2.0, 2.0), False, "does not hold"),
        ("a within factor 3 of b", mixture(0.5, 0.1, 0.6), mixture(1, 2.0, 2.0), False, "does not hold"),
        ("a within factor 3 of b", mixture(1, 2.0, 2.0), mixture(1, math.inf, 2.0), False, "does not hold"),
    ],
)
def test_of_resamples(
    text: str, left: np.ndarray | None, right: np.ndarray | None, highest: bool, expected: str | None
) -> None:
    assert verdict(claim(text), left, right, highest) == expected


def test_the_same_mean_is_decided_in_one_of_twenty() -> None:
    """Two cells of 14 normal replications each with the same mean: at most 5 %, plus what the percentile lacks."""
    rng, repeats = np.random.default_rng(0), 400
    decided = 0
    for _ in range(repeats):
        sides = rng.standard_normal((2, 14))
        weights = rng.multinomial(13, np.full(14, 1 / 14), size=(2, 500)) / 13
        left, right = (weight @ side for weight, side in zip(weights, sides, strict=True))
        decided += verdict(claim("a < b"), left, right) != "undecided"
    assert abs(decided / repeats - 0.06) < 4 * math.sqrt(0.06 * 0.94 / repeats)


def table(tmp_path: Path, text: str, values: dict[str, dict[str, list[float]]]) -> str:
    """The Markdown of a table with runs of {noise: {sampler: replications}}."""
    spec = read_spec(write_spec(tmp_path, text))
    for noise, samplers in values.items():
        for sampler, row in samplers.items():
            run_id = f"{noise}-{sampler}"
            rows = run_rows({0.1: row, 0.2: [9.0] * len(row)}, run_id=run_id, noise=noise, sampler=sampler)
            write_metrics(tmp_path / f"results/runs/{run_id}/metrics.parquet", rows)
    build_table(spec, tmp_path / "results", "paper")
    return (tmp_path / "results/table.md").read_text()


CLEAR = {"smile": [3.0, 3.1, 3.2, 3.3], "psmile": [1.0, 1.1, 1.2, 1.3]}
CLOSE = {"smile": [1.0, 2.0, 3.0, 4.0], "psmile": [1.5, 1.9, 2.6, 3.9]}


def test_verdicts_in_the_report(tmp_path: Path) -> None:
    text = table(
        tmp_path,
        SPEC.replace(" where noise in [isotropic]", ""),
        {"isotropic": CLEAR, "spatially_varied": CLOSE},
    )
    once = "holds in 1, does not hold in 0, undecided in 1 of 2"
    assert f"| `psmile < smile` | bias | {once} | means: holds in 2 of 2 | holds in 0 of 1 |" in text
    assert f"| `psmile < smile` | Wasserstein | {once} | " in text
    assert "| `smile within factor 3 of baseline` | bias | no pair of runs | no pair of runs | — |" in text
    assert (
        "| psmile < smile | ICG, isotropic | 1.150 ± 0.065 | 3.150 ± 0.065 | holds | holds | does not hold |"
        in text
    )
    assert "| ICG, spatially varied | 2.475 ± 0.527 | 2.500 ± 0.645 | undecided (means: holds) | " in text


@pytest.mark.parametrize(
    ("third", "expected"),
    [
        ([2.0, 2.1, 2.2, 2.3], "1.150 ± 0.065 | 2.150 ± 0.065 | holds"),  # beside the better of the two
        ([1.0, 1.2, 1.1, 1.4], "1.150 ± 0.065 | 1.175 ± 0.085 | undecided (means: holds)"),
        ([0.1, 0.2, 0.1, 0.2], "1.150 ± 0.065 | 0.150 ± 0.029 | does not hold"),
    ],
)
def test_a_claim_about_the_best_of_several_is_one_about_each(
    tmp_path: Path, third: list[float], expected: str
) -> None:
    spec = SPEC.replace("psmile: pSMILE-naive", "psmile: pSMILE-naive, sgld: SGLD").replace(
        "psmile < smile where noise in [isotropic]", "psmile < each of [smile, sgld]"
    )
    text = table(tmp_path, spec, {"isotropic": {**CLEAR, "sgld": third}, "spatially_varied": CLEAR})
    assert f"| ICG, isotropic | {expected}" in text
    assert "ICG, spatially varied |" not in text.partition("By cell")[2]  # sgld has no run there


def test_a_claim_about_two_rows(tmp_path: Path) -> None:
    spec = SPEC.replace(
        "psmile < smile where noise in [isotropic]", "spatially_varied < isotropic where sampler = smile"
    )
    text = table(tmp_path, spec, {"isotropic": CLEAR, "spatially_varied": CLOSE})
    counts = "holds in 0, does not hold in 0, undecided in 1 of 1"
    assert f"| `spatially_varied < isotropic where sampler = smile` | bias | {counts} | " in text
    assert (
        "| spatially_varied < isotropic | ICG, SMILE-naive | 2.500 ± 0.645 | 3.150 ± 0.065 | undecided (means: holds)"
        in text
    )


def test_networks_are_compared_seed_by_seed(tmp_path: Path) -> None:
    """Seeds differ by far more than the methods do: paired the difference shows, unpaired it could not."""
    text = SPEC.replace("metrics: [bias: bias, wasserstein: Wasserstein]", "metrics: [lppd]")
    text = text[: text.index("published:")] + 'claims: ["psmile beats smile"]'
    by_seed = {1: (1.0, 1.11), 2: (3.0, 3.10), 3: (-2.0, -1.91)}
    rows = []
    for seed, values in by_seed.items():
        for sampler, found in zip(("smile", "psmile"), values, strict=True):
            rows += run_rows(
                {1e-2: [found]}, first=seed, metrics=("lppd", "validation_lppd"),
                run_id=f"{sampler}{seed}", sampler=sampler, seed=seed,
            )  # fmt: skip
    for row in rows:
        row["replication"] = row["seed"]
    assert "+0.100 ± 0.006 [+0.075, +0.125] | holds |" in _report(tmp_path, text, rows)

    few = tmp_path / "few"
    few.mkdir()
    assert "means: holds" in _report(few, text, [row for row in rows if row["seed"] < 3])


def _report(folder: Path, text: str, rows: list[dict]) -> str:
    spec = read_spec(write_spec(folder, text))
    for run_id in {row["run_id"] for row in rows}:
        file = folder / f"results/runs/{run_id}/metrics.parquet"
        write_metrics(file, [row for row in rows if row["run_id"] == run_id])
    build_table(spec, folder / "results", "paper")
    return (folder / "results/table.md").read_text()

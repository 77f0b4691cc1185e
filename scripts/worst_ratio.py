"""How far +method=recommended is from the best of the grids of all samplers, cell by cell, and where it is worst.

python scripts/worst_ratio.py      # reads the Parquet of results/, writes results/recommended/quick/worst.{md,csv}

Posteriors: the sliced Wasserstein distance over that of the best sampler of the cell at its best step size, chosen on
the very replications that are reported, which flatters the grids. Networks: test LPPD minus that of the best cell of
all methods and step sizes by the test rows themselves, which flatters the grids more, and minus that of the best method
at the step sizes that validation rows chose; seed by seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from smile import quantities
from smile.paths import experiment_dir
from smile.tables.bootstrap import interval
from smile.tables.build import Assembled, assemble
from smile.tables.cells import Cell, Grids, select
from smile.tables.grid import Grid
from smile.tables.markdown import markdown_row
from smile.tables.reading import load_spec
from smile.tables.verdicts import paired
from smile.tracking.parquet import write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
SCALE = "quick"
FIXED = 3e-2  # the other candidate is 0.3 B/N
METRIC = "sliced_wasserstein"
LATER = ("diabetes_network",)  # posteriors that came after the choice, and have no say in it
NETWORKS = ("uci", "small_tables")


def main() -> None:
    """Writes both files."""
    grids, candidates = table("posteriors"), table("recommended")
    chosen_on = {key: grid for key, grid in candidates.grids.items() if key[0][0] not in LATER}
    takes_fixed, means = decide(chosen_on)
    posteriors = pd.DataFrame(rows_of_posteriors(grids, candidates, takes_fixed))
    networks = pd.DataFrame(rows_of_networks())
    folder = experiment_dir(RESULTS, "recommended", SCALE)
    gain = against_fixed(chosen_on)
    text = markdown(posteriors, networks, takes_fixed, means, gain, len(chosen_on))
    write_text_atomic(folder / "worst.md", text)
    kept = posteriors.drop(columns="draws")
    write_text_atomic(folder / "worst.csv", pd.concat([kept, networks]).to_csv(index=False))
    print(text)


def table(name: str) -> Assembled:
    """The cells of an experiment, from its Parquet."""
    return assemble(load_spec(name), experiment_dir(RESULTS, name, SCALE), SCALE)


# ---- which candidate -----------------------------------------------------------------------------


def decide(grids: Grids) -> tuple[bool, list[tuple[float, float]]]:
    """Whether 3e-2 is taken for all, and the geometric means, by the half that decides and by that which reports."""
    means = []
    for half in (0, 1):
        logs = []
        for grid in grids.values():
            values = [
                replicated(at_step_size(grid, fixed=fixed), half).values[METRIC].mean()
                for fixed in (True, False)
            ]
            logs.append([math.log(value) if math.isfinite(value) else math.inf for value in values])
        means.append(tuple(np.exp(np.mean(logs, axis=0))))
    return bool(means[0][0] <= means[0][1]), means


def at_step_size(grid: Grid, *, fixed: bool) -> Grid:
    """The grid at one of its two step sizes."""
    is_fixed = np.isclose(grid.step_size, FIXED)
    assert is_fixed.sum() == 1 and len(grid.step_size) == 2
    return part(grid, steps=is_fixed if fixed else ~is_fixed)


def replicated(grid: Grid, half: int) -> Grid:
    """The first half of the replications, 0, or the other, 1."""
    middle = len(grid.replication) // 2
    return part(grid, replications=slice(None, middle) if half == 0 else slice(middle, None))


def part(grid: Grid, steps: object = slice(None), replications: object = slice(None)) -> Grid:
    """Some step sizes and replications of a grid."""

    def cut(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: array[steps][:, replications] for name, array in arrays.items()}

    return dataclasses.replace(
        grid,
        step_size=grid.step_size[steps],
        replication=grid.replication[replications],
        values=cut(grid.values),
        measured=cut(grid.measured),
    )


def against_fixed(grids: Grids) -> tuple[float, float, float]:
    """The geometric mean of 0.3 B/N over 3e-2 by the half that reports, and its bootstrap 95 % interval."""
    logs, drawn = [], []
    for grid in grids.values():
        cells = [
            select(replicated(at_step_size(grid, fixed=fixed), 1), "all", quantities.metric(METRIC))
            for fixed in (False, True)
        ]
        rule, fixed = (cell for cell in cells if cell is not None and cell.draws is not None)
        logs.append(math.log(rule.mean / fixed.mean))
        drawn.append(np.log(rule.draws / fixed.draws))
    low, high = interval(np.mean(drawn, axis=0))
    return math.exp(np.mean(logs)), math.exp(low), math.exp(high)


# ---- posteriors ----------------------------------------------------------------------------------


def rows_of_posteriors(
    grids: Assembled, candidates: Assembled, takes_fixed: bool
) -> Iterable[dict[str, object]]:
    """One for each cell."""
    spec = grids.spec
    metric = spec.metrics[METRIC]
    for row in spec.row_values():
        cells = {
            column: cell
            for column in spec.labels["sampler"]
            if (cell := grids.tables[METRIC, "all"].get((row, column))) and math.isfinite(cell.mean)
        }
        best = min(cells, key=lambda column: cells[column].mean)
        ours = cells.get("mclmc")  # on all rows, where it needs no grid either
        if (found := candidates.grids.get((row, "psmile"))) is not None:
            ours = select(replicated(at_step_size(found, fixed=takes_fixed), 1), "all", metric)
        assert ours is not None and ours.draws is not None
        nearest = np.min([cell.draws for cell in cells.values()], axis=0)
        draws = ours.draws / nearest
        low, high = interval(draws)
        yield {
            "problem": spec.labels["target"][row[0]],
            "variant": spec.labels["variant"][row[1]],
            "step_size": ours.step_size,
            "recommended": ours.mean,
            "best": cells[best].mean,
            "by": spec.labels["sampler"][best],
            "ratio": ours.mean / cells[best].mean,
            "low": low,
            "high": high,
            "draws": draws,
        }


# ---- networks ------------------------------------------------------------------------------------


def rows_of_networks() -> Iterable[dict[str, object]]:
    """One for each table."""
    for name in NETWORKS:
        found = table(name)
        names = found.spec.labels["method"]
        for data in found.spec.labels["data"]:
            there = {key: grid for key, grid in found.grids.items() if key[0][-1] == data and key[1] in names}
            default = next(grid for key, grid in there.items() if key[1] == "psmile none")
            is_ours = np.isclose(default.step_size, FIXED)
            ours = one_step_size(part(default, steps=is_ours))
            every = [
                (names[key[1]], one_step_size(cut))
                for key, grid in there.items()
                for cut in ([grid] if grid.adapted is not None else each_step_size(grid))
            ]
            by, best = max(every, key=lambda one: one[1].mean if math.isfinite(one[1].mean) else -math.inf)
            validated = {
                key: cell
                for key in there
                if (cell := found.tables["lppd", "validation"].get(key)) is not None
            }
            method = max(validated, key=lambda key: validated[key].mean)
            loss, beside = paired(ours, best), paired(ours, validated[method])
            yield {
                "problem": data,
                "recommended": ours.mean,
                "best": best.mean,
                "by": f"{by} @ {best.step_size:.2g}",
                "difference": ours.mean - best.mean,
                "low": loss.interval[0] if loss else math.nan,
                "high": loss.interval[1] if loss else math.nan,
                "validated": names[method[1]],
                "to_validated": ours.mean - validated[method].mean,
                "validated_low": beside.interval[0] if beside else math.nan,
                "validated_high": beside.interval[1] if beside else math.nan,
            }


def each_step_size(grid: Grid) -> list[Grid]:
    """One grid for each step size."""
    return [part(grid, steps=slice(place, place + 1)) for place in range(len(grid.step_size))]


def one_step_size(grid: Grid) -> Cell:
    """The cell of a grid that has nothing to choose from."""
    cell = select(grid, "validation", dataclasses.replace(quantities.metric("lppd"), chosen_by="lppd"))
    assert cell is not None
    return cell


# ---- text ----------------------------------------------------------------------------------------


def markdown(
    posteriors: pd.DataFrame,
    networks: pd.DataFrame,
    takes_fixed: bool,
    means: list[tuple[float, float]],
    gain: tuple[float, float, float],
    num_cells: int,
) -> str:
    """Both tables, and the worst of each."""
    taken = "3e-2" if takes_fixed else "0.3 B/N"
    worst = posteriors.loc[posteriors["ratio"].idxmax()]
    low, high = interval(np.max(np.stack(posteriors["draws"].tolist()), axis=0))
    middle = np.exp(np.log(posteriors["ratio"]).mean())
    lost = networks.loc[networks["difference"].idxmin()]
    lines = [
        "# How far what is recommended is from the best of all grids",
        "",
        f"- Candidates, geometric mean of the distance over {num_cells} cells: "
        f"3e-2 {means[0][0]:.3f}, 0.3 B/N {means[0][1]:.3f} by the replications that decide; "
        f"{means[1][0]:.3f} and {means[1][1]:.3f} by those that report, of which the ratio is "
        f"{1 / gain[0]:.2f} [{1 / gain[2]:.2f}, {1 / gain[1]:.2f}]. Taken: {taken}.",
        f"- Posteriors: the worst ratio is {worst['ratio']:.2f} ({worst['problem']}, {worst['variant']}; best "
        f"{worst['by']}), 95 % interval of the worst of all cells [{low:.2f}, {high:.2f}]; the geometric mean "
        f"{middle:.2f}.",
        f"- Networks: the worst loss is {-lost['difference']:.3f} nats ({lost['problem']}; best {lost['by']}), 95 % "
        f"interval of the difference [{lost['low']:+.3f}, {lost['high']:+.3f}].",
        "",
        "## Posteriors, normalised sliced Wasserstein distance",
        "",
        markdown_row(["posterior", "batches", "step size", "recommended", "best of all grids", "", "ratio"]),
        markdown_row(["---"] * 7),
    ]
    for _, one in posteriors.iterrows():
        ratio = f"{one['ratio']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
        numbers = [f"{one['step_size']:.2g}", f"{one['recommended']:.3f}", f"{one['best']:.3f}"]
        lines.append(markdown_row([one["problem"], one["variant"], *numbers, one["by"], ratio]))
    headings = [
        "table",
        "recommended",
        "best cell of all grids",
        "",
        "difference",
        "best method, validated",
        "difference",
    ]
    lines += ["", "## Networks, test LPPD", "", markdown_row(headings), markdown_row(["---"] * 7)]
    for _, one in networks.iterrows():
        to_best = f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
        to_method = f"{one['to_validated']:+.3f} [{one['validated_low']:+.3f}, {one['validated_high']:+.3f}]"
        numbers = [f"{one['recommended']:.3f}", f"{one['best']:.3f}", one["by"], to_best]
        lines.append(markdown_row([one["problem"], *numbers, one["validated"], to_method]))
    lines += [
        "",
        "Ratios: the best sampler and its step size are chosen on the replications that are reported, which flatters "
        "the grids; intervals are the bootstrap over replications with that choice repeated. Differences: Student's "
        "95 % intervals of three seeds.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

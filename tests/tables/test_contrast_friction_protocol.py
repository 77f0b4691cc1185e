"""What is registered of contrast friction on Table 1 is what Table 1 has measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from smile.preflight import compose_jobs, parse_arguments
from smile.tables import load_spec
from smile.tables.cells import collect, tabulate

ROOT = Path(__file__).parents[2]


def test_step_sizes_are_the_best_of_table1_and_seeds_others() -> None:
    spec = load_spec("table1")
    paths = sorted((ROOT / "results/table1/full/runs").glob("*/metrics.parquet"))
    metrics = ("bias", "wasserstein")
    rows = pd.concat(pd.read_parquet(path, filters=[("metric", "in", metrics)]) for path in paths)
    grids = collect(rows, spec)
    best = [tabulate(grids, spec, metric, "all") for metric in metrics]
    jobs = compose_jobs(parse_arguments(["+experiment=table1_contrast_friction_baselines", "scale=paper"]))
    assert len(jobs) == 48
    for job in jobs:
        assert job.seed != 0 and job.replications == 96
        for cells in best:
            chosen = cells[(job.target.name, job.noise.name), job.sampler.name].step_size
            assert np.isclose(chosen, job.step_size, rtol=0.01).any()

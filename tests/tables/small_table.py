"""A small table and the rows of runs that fill it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["SPEC", "run_rows", "write_spec"]

SPEC = """
title: A table
commands: ["smile +experiment=small scale={scale}"]
rows: [target, noise]
columns: sampler
labels:
  target: {icg: ICG}
  noise: {isotropic: isotropic, spatially_varied: spatially varied}
  sampler: {smile: SMILE-naive, psmile: pSMILE-naive}
metrics: [bias: bias, wasserstein: Wasserstein]
published: {file: published.csv, keys: [target, noise, sampler], metric: bias, error: error}
baselines: {baseline: {label: full batch, where: {sampler: mclmc}, keys: [target], published: baseline.csv}}
claims: ["psmile < smile where noise in [isotropic]", "smile within factor 3 of baseline"]
"""
_PUBLISHED = "target,noise,sampler,bias,error\nicg,isotropic,smile,0.5,0.1\nicg,isotropic,psmile,3.0,0.2\n"


def write_spec(tmp_path: Path, text: str = SPEC) -> Path:
    """Writes a specification and the published values beside it."""
    folder = tmp_path / "small"
    folder.mkdir(exist_ok=True)
    (folder / "table.yaml").write_text(text)
    (folder / "published.csv").write_text(_PUBLISHED)
    (folder / "baseline.csv").write_text("target,bias\nicg,0.4\n")
    return folder / "table.yaml"


def run_rows(
    values: dict[float, list[float]],
    *,
    first: int = 0,
    metrics: Iterable[str] = ("bias", "wasserstein"),
    **facts: Any,
) -> list[dict[str, Any]]:
    """Rows of one run from {step size: value of each replication}, counted from ``first``, with columns ``facts``."""
    constant = {
        "run_id": "r", "experiment": "small", "scale": "smoke", "variant": "", "target": "icg", "noise": "isotropic",
        "data": "none", "model": "none", "noise_source": "injected", "noise_distribution": "gaussian",
        "sampler": "smile", "tuner": "none", "seed": 0, "num_steps": 10, "gradient_evaluations": 20,
        "wall_seconds": 1.5, "smile_version": "0", "jax_version": "0", "git_commit": "abc", "created": "2025-01-01",
    }  # fmt: skip
    assert facts.keys() <= constant.keys()
    return [
        {
            **constant,
            **facts,
            "step_size": step_size,
            "replication": replication,
            "metric": metric,
            "value": value,
        }
        for step_size, row in values.items()
        for replication, value in enumerate(row, start=first)
        for metric in metrics
    ]

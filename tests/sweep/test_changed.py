"""A run whose code or data have changed is another one, and the command says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from smile.config.identity import run_id, to_dict
from smile.preflight import compose
from smile.sweep.attempt import run_dir
from smile.sweep.changed import changed_since

CUSTOM = ["target=custom", "target.factory=my_target.make", "scale=smoke"]
CSV = ["target=bnn", "data=csv", "data.path=wine.csv", "data.target=y", "scale=smoke"]


def test_a_run_whose_code_or_data_changed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module, table = tmp_path / "my_target.py", tmp_path / "wine.csv"
    module.write_text("sd = 1.0\n")
    table.write_text("a,y\n1,2\n")
    before = [compose(CUSTOM), compose(CSV), compose(["scale=smoke"])]
    for config in before:
        run_dir(config).mkdir(parents=True)
        (run_dir(config) / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(to_dict(config))))
    (run_dir(before[0]).parent / "torn").mkdir()
    (run_dir(before[0]).parent / "torn/config.yaml").write_text("code: [")
    assert changed_since(before) == []
    module.write_text("sd = 0.2\n")
    table.write_text("a,y\n1,3\n")
    after = [compose(CUSTOM), compose(CSV), compose(["scale=smoke"]), compose([*CUSTOM, "seed=1"])]
    assert sorted(changed_since(after)) == [
        f"bnn csv psmile: the data changed since run {run_id(before[1])}, which stays; this is run {run_id(after[1])}",
        f"custom none psmile: the code changed since run {run_id(before[0])}, which stays; this is run {run_id(after[0])}",
    ]

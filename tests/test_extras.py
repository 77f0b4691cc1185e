"""What is not installed: one line that names the extra, or a note about what runs go on without."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from smile.extras import EXTRAS, MissingExtraError
from smile.preflight import compose
from smile.run import main
from smile.sweep.early import absent

ROOT = Path(__file__).parents[1]


def test_every_extra_is_one_of_the_package_and_all_has_them() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for extra in EXTRAS.values():
        assert any(
            line.partition(">")[0] == extra.package.lower() for line in map(str.lower, extras[extra.name])
        )
    names = ",".join(sorted({extra.name for extra in EXTRAS.values()}))
    assert extras["all"] == [f"smile-bnn[{names}]"]
    assert "smile-bnn[all]" in extras["dev"]


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("sklearn", "target=bnn", "data"),
        ("sklearn", "target=breast_cancer noise=none", "data"),
        ("sklearn", "target=nanogpt scale=smoke", "data"),
        ("submitit", "hydra/launcher=slurm_cpu", "slurm"),
        ("optuna", "hydra/sweeper=optuna sampler.L=interval(1,2)", "optuna"),
        ("wandb", "tracker=wandb", "wandb"),
        ("mlflow", "tracker=mlflow", "mlflow"),
        ("tensorboardX", "tracker=[wandb,tensorboard]", "tensorboard"),
    ],
)
def test_what_is_missing_and_wanted_is_one_line(
    module: str,
    arguments: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from smile.data import load_dataset
    from smile.execute.problem import exact_target
    from smile.targets.posteriors.options import row_model
    from smile.targets.posteriors.regressions import table

    for cached in (load_dataset, exact_target, row_model, table):
        cached.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    monkeypatch.setitem(sys.modules, module, None)
    code = main(arguments.split(" "))
    out, err = capsys.readouterr()
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert f"which is not installed: pip install 'smile-bnn[{extra}]'" in err
    assert list(tmp_path.iterdir()) == []


def test_what_runs_go_on_without_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(["target=bnn", f"results_dir={tmp_path}"])
    assert absent([config]) == []
    for module in ("wandb", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    first, second = absent([config, config])
    assert first.startswith("no tracker, as it needs wandb") and first.endswith("tracker=none asks for none")
    assert second.startswith("no figures") and "'smile-bnn[plots]'" in second
    assert absent([compose([f"results_dir={tmp_path}", "tracker=none"])]) == []
    with pytest.raises(MissingExtraError, match=r"tracker=wandb needs wandb"):
        absent([compose([f"results_dir={tmp_path}", "tracker=wandb"])])


def test_reading_draws_imports_no_orbax(tmp_path: Path) -> None:
    """Nor anything that only some installations have."""
    np.save(tmp_path / "000000.npy", np.zeros((3, 2, 1)))
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("orbax", *EXTRAS))
    code = f"import sys; {blocked}from smile.sampling import load_draws; print(load_draws({str(tmp_path)!r}).shape)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "(2, 3, 1)\n"

"""What another package registers as entry points runs from the command line, and cannot go wrong silently."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smile import choices
from smile.tables import load_spec
from smile.tables.leaderboard import leaderboard
from smile.tracking import read_metrics

PACKAGES = Path(__file__).parent.parent / "packages"
ENTRY_POINTS = {
    "smile.samplers": {"walk": "more_choices.walk:Walk"},
    "smile.tuners": {"robbins_monro": "more_choices.robbins_monro:RobbinsMonro"},
    "smile.targets": {"student_t": "more_choices.student_t:StudentT"},
    "smile.noise": {"impulses": "more_choices.impulses:Impulses"},
    "smile.data": {"waves": "more_choices.waves:Waves"},
    "smile.models": {"sines": "more_choices.sines:SinesOptions"},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves it: code, YAML and what the package registers."""
    folder = tmp_path / "site"
    shutil.copytree(PACKAGES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    register(folder, "more_choices", ENTRY_POINTS)
    return folder


def register(site: Path, package: str, entry_points: dict[str, dict[str, str]]) -> None:
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, names in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in names.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def smile(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "smile", *arguments, "scale=smoke", "tracker.wandb.mode=disabled"]
    return subprocess.run(
        command,
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_choices_of_another_package_run_and_join_the_results(site: Path) -> None:
    for arguments in (
        "-m target=student_t noise=isotropic sampler=walk,smile",
        "target=student_t noise=impulses sampler=smile tuner=robbins_monro",
        "target=bnn data=waves model=sines sampler=walk target.batch_size=32 num_steps=20 burn_in=0",
        "+experiment=posteriors target=diabetes_mixture target.batch_size=256 sampler=walk,sgld",
    ):
        done = smile(site, *arguments.split())
        assert done.returncode == 0, done.stderr
    rows = read_metrics(site.parent / "results" / "adhoc" / "smoke")
    groups = ["target", "noise", "data", "model", "sampler", "tuner"]
    assert set(rows[groups].itertuples(index=False, name=None)) == {
        ("student_t", "isotropic", "none", "none", "walk", "none"),
        ("student_t", "isotropic", "none", "none", "smile", "none"),
        ("student_t", "impulses", "none", "none", "smile", "robbins_monro"),
        ("bnn", "none", "waves", "sines", "walk", "none"),
        ("bnn", "none", "waves", "sines", "deep_ensemble", "none"),
    }
    assert set(ENTRY_POINTS) == set(choices.ENTRY_POINTS.values())
    folder = site.parent / "results" / "posteriors" / "smoke"
    (sheet,) = leaderboard(load_spec("posteriors"), folder, "smoke").sheets
    places = {line[2]: line[1] for line in sheet.rows}
    assert {places["walk"], places["SGLD"]} == {"1", "2"}, "the newcomer beside the table's own"


# entry point's group, its name, code of the class ``It``, what the line must say
WRONG = {
    "no build": (
        "smile.samplers",
        "wrong",
        "from smile.kernels import Sampler\n@dataclass(frozen=True)\nclass It(Sampler): pass",
        "a class that defines build",
    ),
    "no sampler": ("smile.samplers", "wrong", "It = 3", "a subclass of smile.kernels.sampler.Sampler"),
    "no option": (
        "smile.tuners",
        "wrong",
        "from smile.tuners.options import NoTuner\n@dataclass(frozen=True)\nclass It(NoTuner): speed: float = 1.0",
        "'speed' is declared with",
    ),
    "does not import": ("smile.samplers", "wrong", "import no_such_library", "ModuleNotFoundError"),
    "taken": ("smile.samplers", "smile", "It = 3", "a name that is free; smile itself has this one"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_stops_before_any_run_in_one_line(case: str, tmp_path: Path) -> None:
    group, name, code, valid = WRONG[case]
    folder = tmp_path / "site"
    choice = {"smile.samplers": "sampler", "smile.tuners": "tuner"}[group]
    (folder / "wrong" / "conf" / choice).mkdir(parents=True)
    (folder / "wrong" / "__init__.py").write_text(f"from dataclasses import dataclass\n{code}\n")
    (folder / "wrong" / "conf" / choice / "wrong.yaml").write_text("name: wrong\n")
    register(folder, "wrong", {group: {name: "wrong:It"}})
    done = smile(folder, f"{choice}={name}")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert f"smile: error: {choice}={name}: got 'wrong:It of wrong'" in done.stderr and valid in done.stderr
    assert not (tmp_path / "results").exists()


def test_two_packages_with_one_name_are_named(site: Path) -> None:
    register(site, "other_choices", {"smile.samplers": {"walk": "more_choices.walk:Walk"}})
    done = smile(site, "sampler=walk")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert (
        "more_choices" in done.stderr
        and "other_choices" in done.stderr
        and "a name that is free" in done.stderr
    )

"""A wrong name, type, range or combination stops before any computation with one line that says what is valid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from smile.run import main

# command line, the option that the line must name, what it must offer
BAD_INPUTS = [
    ("target=bnn data=airfol", "data", "did you mean 'airfoil'?"),
    ("target=bnn data=none", "data", "airfoil, energy, bikesharing, diabetes, wine, csv, "),
    ("target=icg data=digits", "data", "none with target=icg"),
    ("target=bnn data.dir=here", "data.dir", "train, validation"),
    ("target=bnn data=energy data.dir=no_such_folder", "data.dir", "the folder of energy.data"),
    ("target=bnn data=csv", "data.path: not given", "a path"),
    ("target=bnn data=csv data.train=2", "data.train: got 2", "> 0 and < 1"),
    ("target=bnn data=csv data.task=regresion", "data.task: got 'regresion'", "did you mean 'regression'?"),
    ("target=bnn data=csv data.path=größe.csv data.target=2", "data.path: got 'größe.csv'", "No such file"),
    (
        "target=bnn data=csv data.path=~/no.csv data.target=2",
        "data.path: got '~/no.csv'",
        "no.csv: No such file",
    ),
    ("target=bnn data=csv data.path=no.csv data.target=y dry_run=true", "data.path", "No such file"),
    ("target=bnn data=energy data.dir=nowhere dry_run=true", "data.dir", "a folder that exists"),
    ("target=bnn data=csv data.path=no.csv data.target=y", "data.path", "No such file"),
    ("target=bnn data.validation=0.4", "data.validation", "a number < 1 - data.train=0.3"),
    ("target=bnn noise=diagonal", "noise", "none with target=bnn"),
    ("target=bnn target.batch_size=4000", "target.batch_size", "a whole number <= 309"),
    (
        "target=bnn target.likelihood=categorical",
        "target.likelihood",
        "homoscedastic, heteroscedastic for regression",
    ),
    (
        "target=bnn data=digits target.likelihood=homoscedastic",
        "target.likelihood",
        "categorical for classification",
    ),
    ("target=bnn model.widths=16", "model.widths", "a list of whole numbers"),
    (
        "target=bnn model=custom model.factory=no_such_package.f",
        "model.factory",
        "cannot import 'no_such_package'",
    ),
    ("target=bnn sampler=sgld tuner=energy_variance", "tuner", "no energy to watch"),
    ("target=bnn tuner=mclmc", "tuner", "it adapts sampler=mclmc"),
    ("target=bnn sampler=mclmc tuner=none", "tuner", "mclmc with sampler=mclmc"),
    ("target=bnn sampler=mclmc step_size=0.1", "step_size", "null with tuner=mclmc"),
    ("target=bnn sampler=mclmc target.batch_size=64", "target.batch_size", "null with sampler=mclmc"),
    ("target=bnn target.batch_size=null", "target.batch_size", "needs the noise of batches"),
    ("target=bnn target.batch_size=309", "target.batch_size", "below 309, all rows"),
    ("sampler.preconditioner=posterior_scale", "sampler.preconditioner", "says no smile.base.Subsampling"),
    (
        "target=bnn sampler.reference=network",
        "sampler.preconditioner",
        "noise_scale with sampler.reference=network",
    ),
    ("target=bnn tuner.reset_quantile=0.9", "no such option of tuner=none", "none"),
    ("target=bnn tuner=energy_variance tuner.smoothing=2", "tuner.smoothing", "> 0 and < 1"),
    ("target=bnn warm_start.patience=0", "warm_start.patience", "a whole number >= 1"),
    ("target=bnn burn_in=15", "burn_in", "a multiple of thinning=10"),
    ("target=igc", "target", "did you mean 'icg'?"),
    ("noise=diagnal", "noise", "did you mean 'diagonal'?"),
    ("+experiment=tabel1", "experiment", "did you mean 'table1'?"),
    ("experiment=table1", "experiment", "+experiment=table1, +exp"),
    ("taget=icg", "taget", "did you mean 'target'?"),
    ("scael=quick", "scael", "did you mean 'scale'?"),
    ("sampler.l=10", "sampler.l", "L, ema_rate"),
    ("+sampler.ema_rat=0.1", "sampler.ema_rat", "did you mean 'ema_rate'?"),
    ("+grid.nmu=3", "grid.nmu", "did you mean 'num'?"),
    ("target=funnel target.rotation=3", "target.rotation", "dim, moments"),
    ("replications=many", "replications", "a whole number >= 1"),
    ("num_steps=1.5", "num_steps", "a whole number >= 1"),
    ("seed=-1", "seed", "a whole number >= 0"),
    ("force=perhaps", "force", "true, false"),
    ("precision=float16", "precision", "float32, float64"),
    ("sampler.ema_rate=1.5", "sampler.ema_rate", "a finite number > 0 and < 1"),
    ("sampler=smile sampler.L=-3", "sampler.L", "null or inf or a finite number > 0"),
    ("step_size=0", "step_size", "a number > 0"),
    ("step_size=[1e-3,-1]", "step_size", "a number > 0"),
    ("step_size=logspace(1e-1,1e-5,15)", "step_size", "0 < low < high"),
    ("step_size=logspace(1e-5,1e-1", "step_size", "logspace(low, high, num)"),
    ("step_size=linspace(1,2,3)", "step_size", "linspace"),
    ("step_size=1e-3,1e-2", "step_size", "-m for a sweep"),
    ("sampler=smile,psmile", "sampler", "-m for a sweep"),
    ("burn_in=300000", "burn_in", "below num_steps=300000"),
    ("thinning=7", "thinning", "a divisor of num_steps=300000"),
    ("target.condition_number=0.5", "target.condition_number", "a finite number >= 1"),
    ("target=rosenbrock target.dim=7", "target.dim", "an even number"),
    ("target=rosenbrock target.dim=2 noise=spatially_varied", "target.dim", "at least 3"),
    ("target.moments=reference target.dim=5", "target.moments", "exact"),
    ("target=custom", "target.factory", "a dotted path"),
    ("target=custom target.factory=a.b noise=diagonal", "noise", "none, isotropic"),
    (
        "target=custom target.factory=no_such_package.f noise=none",
        "target.factory",
        "cannot import 'no_such_package'",
    ),
    (
        "noise.source=minibatch noise.batch_size=512 noise.num_rows=256",
        "noise.batch_size",
        "noise.num_rows=256",
    ),
    ("noise.distribution=student_t", "noise.parameter", "degrees of freedom > 2"),
    ("noise.distribution=lognormal noise.parameter=-1", "noise.parameter", "sigma > 0"),
    ("noise.parameter=3", "noise.parameter", "null with noise.distribution=gaussian"),
    ("noise.rotation=sideways", "noise.rotation", "aligned or independent or a whole number"),
    ("sampler=mclmc", "noise", "full-batch baseline"),
    ("sampler=mclmc noise=none step_size=0.1", "step_size", "adapts one step size itself"),
    ("grid=published noise=none", "grid", "grid=common"),
    ("sampler=smile noise=none sampler.L=null", "sampler.L", "a number > 0 with noise=none"),
    ("target=bnn sampler=smile target.batch_size=null", "sampler.L", "a number > 0 on the full batch"),
    ("target=bnn short_steps=100", "short_steps", "null with target=bnn"),
    ("target=funnel target.start=zero", "target.start", "mode, exact"),
    ("sampler=sghmc sampler.momentum=kept", "sampler.momentum", "carried, redrawn"),
    ("sampler=sgnht sampler.diffusion=-1", "sampler.diffusion", "a finite number >= 0"),
    ("target=nanogpt model.heads=7", "model.heads", "a divisor of model.width"),
    ("target=nanogpt data=digits", "data", "modern_shakespeare, text with target=nanogpt"),
    ("target=bnn data=text", "data", "with target=bnn"),
    ("target=nanogpt scale=paper model=lenet", "model", "gpt, custom with target=nanogpt"),
    ("target=bnn data=digits model=gpt", "model", "target=nanogpt"),
    ("target=nanogpt target.batch_size=null", "target.batch_size", "a whole number with target=nanogpt"),
    ("target=nanogpt data=text data.path=no_such_book.txt", "data.path", "no_such_book.txt"),
    ("target=nanogpt data.context=100000", "data", "the largest context that fits"),
    ("target=bnn data=digits model=lenet", "model", "at least 12x12 pixels"),
    ("target=bnn data=digits model=vit model.patch=3", "model", "patches of 3x3 pixels do not tile"),
    (
        "target=bnn data=digits target.microbatches=7",
        "target.microbatches",
        "a divisor of target.batch_size=",
    ),
    ("target=bnn data=cifar10 data.dir=nowhere model=resnet7", "data.dir", "nowhere"),
    ("target=bnn data=cifar11", "data", "did you mean 'cifar10'?"),
    ("target=bnn data=digits data.limit=0", "data.limit", "null or a whole number >= 1"),
    ("target=bnn model=resnet7 data=digits model.dtype=float16", "model.dtype", "float32, bfloat16"),
    ("tracker.wandb.mode=on", "tracker.wandb.mode", "auto, offline, online, disabled"),
    ("devices=0", "devices", "auto or a whole number >= 1"),
    ("-m sampler=smile,pmsile", "sampler", "did you mean 'psmile'?"),
    ("-m num_steps=1000,none", "num_steps", "a whole number >= 1"),
    ("+seed=3", "seed", "without a plus"),
    ("target", "target", "option=value"),
    ("--frobnicate", "--frobnicate", "smile --hydra-help"),
]


@pytest.mark.parametrize(
    ("arguments", "option", "valid"), BAD_INPUTS, ids=[arguments for arguments, *_ in BAD_INPUTS]
)
def test_one_line_names_option_and_valid_values(
    arguments: str,
    option: str,
    valid: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    code = main(arguments.split(" "))
    out, err = capsys.readouterr()
    print(err, end="")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("smile: error: ") and "Traceback" not in err
    assert option in err.partition("; valid: ")[0]
    assert valid in err.partition("; valid: ")[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", ["sampler=psmlie", "burn_in=-1"])
def test_the_command_exits_with_two(arguments: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "smile", arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)
    assert arguments.partition("=")[0] in run.stderr and "Traceback" not in run.stderr

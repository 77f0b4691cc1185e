"""What a user's module says is part of a run's id, and what it raises is one line with the place in their file."""

from __future__ import annotations

import sys
from pathlib import Path

import flax.linen as nn
import pytest
from omegaconf import OmegaConf

from smile.code import code_digest, explained, place_of
from smile.config.identity import identify, run_id, to_dict
from smile.config.parse import from_dict
from smile.execute.problem import make_network
from smile.execute.warm_start import _warm_start_digest
from smile.options import ConfigError
from smile.preflight import compose
from smile.run import main
from smile.sweep.attempt import run_dir
from smile.sweep.changed import changed_since
from smile.tracking import write_text_atomic

TARGET = """
import jax.numpy as jnp
from smile.targets import from_logdensity
{imports}

def make():
    return from_logdensity(lambda x: -0.5 * jnp.sum((x / {sd}) ** 2), jnp.zeros(2))
"""
CHOSEN = ["target=custom", "target.factory=my_target.make", "scale=smoke", "tracker.wandb.mode=disabled"]
NETWORK = [
    "target=bnn",
    "model=custom",
    "model.factory=my_net.make",
    "scale=smoke",
    "tracker.wandb.mode=disabled",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user's own, and no module of it imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smile"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def target(folder: Path, sd: float, imports: str = "") -> None:
    (folder / "my_target.py").write_text(TARGET.format(sd=sd, imports=imports))


# ---- ids -----------------------------------------------------------------------------------------


def test_an_edited_module_is_another_run(here: Path) -> None:
    target(here, 1.0)
    first = compose(CHOSEN)
    assert run_id(compose(CHOSEN)) == run_id(first) and first.target.code
    target(here, 0.2)  # of the same size, within the same second
    assert run_id(compose(CHOSEN)) != run_id(first)
    target(here, 1.0)
    assert run_id(compose(CHOSEN)) == run_id(first)


@pytest.mark.parametrize(
    ("imports", "file"),
    [
        ("import beside", "beside.py"),
        ("from parts import scales", "parts/scales.py"),
        ("import parts.scales", "parts/__init__.py"),
        ("from parts.scales import sd", "parts/deep.py"),  # which that one imports
        ("def late(): import beside", "beside.py"),
        ("from names.inner import it", "names/inner/it.py"),  # a package without __init__
    ],
)
def test_modules_beside_it_that_it_imports_count_and_others_do_not(
    here: Path, imports: str, file: str
) -> None:
    for name in ("parts", "names/inner"):
        (here / name).mkdir(parents=True)
    for name in ("beside.py", "parts/__init__.py", "parts/deep.py", "names/inner/it.py", "unused.py"):
        (here / name).write_text("sd = 1\n")
    (here / "parts/scales.py").write_text("from . import deep\nfrom .deep import sd\n")
    target(here, 1.0, imports)
    first = code_digest("my_target")
    (here / "unused.py").write_text("sd = 2\n")
    assert code_digest("my_target") == first
    (here / file).write_text("sd = 2\n")
    assert code_digest("my_target") != first
    assert "my_target" not in sys.modules and "parts" not in sys.modules  # nothing was executed


def test_neither_python_nor_what_is_installed_nor_smile_counts(here: Path) -> None:
    target(here, 1.0)
    with_imports = code_digest("my_target")
    (here / ".venv/lib/site-packages/jax").mkdir(parents=True)
    (here / ".venv/lib/site-packages/jax/__init__.py").write_text("")
    assert code_digest("my_target") == with_imports
    assert code_digest("smile.targets.icg") == code_digest("no_such_module") == code_digest("sys") == ""
    assert code_digest("flax") != ""  # of the package that the module itself belongs to


def test_choices_of_smile_have_no_digest_and_its_configs_say_none(here: Path) -> None:
    for config in (compose([]), compose(["target=bnn"])):
        assert "code" not in str(to_dict(config)) and "code" not in str(identify(config))
    target(here, 1.0)
    config = compose(CHOSEN)
    assert to_dict(config)["target"]["code"] == config.target.code
    assert from_dict(to_dict(config)) == config


def test_a_module_that_changes_after_the_run_was_named_is_not_run(here: Path) -> None:
    target(here, 1.0)
    config = compose(CHOSEN)
    target(here, 0.2)
    with pytest.raises(
        ValueError, match=r"'my_target', or a module .* is not what it was when the run was named"
    ):
        config.target.build()
    edited = compose(CHOSEN)
    assert edited.target.build().dim == 2
    edited.target.build()
    target(here, 0.3)
    edited.target.build()  # what is in memory is what the run was named by
    with pytest.raises(ValueError, match="is not what it was"):
        compose(CHOSEN).target.build()


def test_a_run_whose_code_or_data_changed_says_so(here: Path) -> None:
    target(here, 1.0)
    (here / "wine.csv").write_text("a,y\n" + "".join(f"{i},{i / 7}\n" for i in range(30)))
    csv = ["target=bnn", "data=csv", "data.path=wine.csv", "data.target=y", "scale=smoke"]
    before = [compose(CHOSEN), compose(csv), compose(["scale=smoke"])]
    for config in before:
        run_dir(config).mkdir(parents=True)
        write_text_atomic(
            run_dir(config) / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(to_dict(config)))
        )
    assert changed_since(before) == []
    target(here, 0.2)
    (here / "wine.csv").write_text("a,y\n" + "".join(f"{i},{i / 8}\n" for i in range(30)))
    after = [compose(CHOSEN), compose(csv), compose(["scale=smoke"]), compose([*CHOSEN, "seed=1"])]
    assert [line.partition(";")[0] for line in changed_since(after)] == [
        f"custom none psmile: code changed since run {run_id(before[0])}",
        f"bnn csv psmile: data changed since run {run_id(before[1])}",
    ]
    target(here, 1.0)
    assert changed_since([compose(CHOSEN)]) == []  # it is what it was


NET = """
import flax.linen as nn

class Net(nn.Module):
    outputs: int

    @nn.compact
    def __call__(self, x):
        {first}
        return {last}

make = Net
"""
DENSE = "nn.Dense(self.outputs)(x)"


def network(folder: Path, first: str = "pass", last: str = DENSE) -> None:
    (folder / "my_net.py").write_text(NET.format(first=first, last=last))


def test_another_network_is_another_run_and_another_warm_start(here: Path) -> None:
    digests, ids = set(), set()
    for first in ("x = nn.Dense(4)(x)", "x = nn.Dense(5)(x)", "x = nn.tanh(x)"):
        network(here, first)
        sys.modules.pop("my_net", None)
        config = compose(NETWORK)
        digests.add(_warm_start_digest(config, make_network(config.network, 0)))
        ids.add(run_id(config))
    assert len(digests) == len(ids) == 3


def test_a_network_that_depends_on_more_than_its_code_is_another_warm_start(here: Path) -> None:
    (here / "my_net.py").write_text(
        "import os\nimport flax.linen as nn\n\n"
        "def make(outputs):\n    return nn.Sequential([nn.Dense(int(os.environ['WIDTH'])), nn.Dense(outputs)])\n"
    )
    digests = set()
    for width in ("3", "4"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WIDTH", width)
            config = compose(NETWORK)
            digests.add(_warm_start_digest(config, make_network(config.network, 0)))
    assert len(digests) == 2


# ---- what it raises ------------------------------------------------------------------------------

HEAD = (
    "import jax.numpy as jnp\nfrom smile.base import Target\nfrom smile.targets import from_logdensity\n\n"
    "def make():\n"
)
SQUARE = "lambda x: -jnp.sum(x**2)"
WRONG_TARGETS = {
    "import sys\nsys.exit(0)\n": ("SystemExit: 0 (wrong_target.py, line 2)", "what ends a program"),
    "import argparse\n\nargparse.ArgumentParser(prog='mine').parse_args()\n": (
        "SystemExit: 2 (wrong_target.py, line 3) after 'mine: error: unrecognized arguments",
    ),
    "def make(:\n": ("SyntaxError: ", "(wrong_target.py, line 1)"),
    "def make():\n    raise SystemExit\n": (
        "wrong_target.make() raised SystemExit",
        "(wrong_target.py, line 2)",
    ),
    "def make():\n    return {}['a']\n": ("KeyError: 'a' (wrong_target.py, line 2)",),
    f"{HEAD}    return from_logdensity({SQUARE}, jnp.zeros(2) + 1j)\n": (
        "complex64 numbers: give its real and imaginary part",
    ),
    f"{HEAD}    return from_logdensity(lambda x: -jnp.sum(x['n']**2), {{'n': jnp.arange(3)}})\n": (
        "int32 numbers in 'n': give floats",
    ),
    f"{HEAD}    return from_logdensity({SQUARE}, True)\n": ("bool numbers",),
    f"{HEAD}    return Target('t', 2, lambda key: jnp.zeros(2) + 1j, lambda x, b: -jnp.sum(jnp.abs(x)))\n": (
        "starts at complex64 numbers: chains move in real numbers alone",
    ),
    f"{HEAD}    return Target('t', 3, lambda key: jnp.zeros(2), lambda x, b: -jnp.sum(x**2))\n": (
        "has dim=3, but starts at 2 numbers",
    ),
    f"{HEAD}    return from_logdensity({SQUARE}, jnp.zeros(2), sample=lambda key, n: jnp.zeros((2, n + 1)))\n": (
        "sample of wrong_target.make makes draws of shape (2, 3), not (2, 2)",
    ),
    f"{HEAD}    return from_logdensity({SQUARE}, jnp.zeros(2), sample=lambda key, n: 1 / 0)\n": (
        "sample of wrong_target.make raised ZeroDivisionError: division by zero (wrong_target.py, line 6)",
    ),
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("smile: error: ") and out == ""
    return line


@pytest.mark.parametrize("code", WRONG_TARGETS)
def test_a_wrong_target_is_one_line_with_its_place(
    here: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    (here / "wrong_target.py").write_text(code)
    sys.argv[1:] = ["target=custom"]
    line = refused(["target=custom", "target.factory=wrong_target.make", "scale=smoke"], capsys)
    assert "target.factory: got 'wrong_target.make'" in line
    assert all(words in line for words in WRONG_TARGETS[code]), line
    assert not (here / "results").exists()


WRONG_NETWORKS = {
    ("x = nn.Dropout(0.5, deterministic=False)(x)", DENSE): ("draws random numbers", "(my_net.py, line 9)"),
    ("pass", f"{DENSE}, x"): ("Net returns a tuple, not one array",),
    ("pass", "x[:, : self.outputs]"): ("has no parameters to sample",),
    ("k = self.param('k', lambda key: 1j * x[0])", DENSE): ("parameters 'k' of the network are complex64",),
    ("k = self.param('k', lambda key: x[0].astype(int))", DENSE): (
        "parameters 'k' of the network are int32",
    ),
    ("raise SystemExit(0)", DENSE): ("SystemExit: 0 (my_net.py, line 9)",),
    ("x = {}['a']", DENSE): ("KeyError: 'a' (my_net.py, line 9)",),
}


@pytest.mark.parametrize("body", WRONG_NETWORKS)
def test_a_wrong_network_is_one_line_with_its_place(
    here: Path, capsys: pytest.CaptureFixture[str], body: tuple[str, str]
) -> None:
    network(here, *body)
    line = refused(NETWORK, capsys)
    assert line.startswith("smile: error: model") and "my_net.make" in line
    assert all(words in line for words in WRONG_NETWORKS[body]), line


def test_what_user_code_raises_while_a_run_computes_fails_it_with_the_place(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that ends itself in the middle of a run has not succeeded."""
    target(here, 1.0)
    (here / "my_target.py").write_text(
        (here / "my_target.py").read_text().replace("jnp.zeros(2))", "start)")
        + "\ncalls = []\n\ndef start(key):\n    calls.append(key)\n    if len(calls) > 2:\n"
        "        raise SystemExit(0)\n    return jnp.zeros(2)\n"
    )
    assert main([*CHOSEN, "sampler=sgld", "step_size=0.1"]) == 1
    assert "SystemExit: 0 (my_target.py, line 14)" in capsys.readouterr().err


def test_the_place_is_the_last_line_of_other_peoples_code() -> None:
    def fails() -> None:
        nn.Dense(1).apply({}, None)  # raises in flax

    with pytest.raises(Exception) as caught:  # noqa: PT011
        fails()
    line = fails.__code__.co_firstlineno + 1
    assert place_of(caught.value).endswith(f"test_code.py, line {line}")
    assert explained(ConfigError("a", 1, "b")) == "ConfigError: a: got 1; valid: b"

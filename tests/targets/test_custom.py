"""A user's own target: the short way to make one, and what is said about a wrong one."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.base import Moments
from smile.targets import custom, from_logdensity

MODULE = """
import jax.numpy as jnp
import numpy as np
from smile.targets import from_logdensity

def logdensity(position):
    return -0.5 * jnp.sum(position["x"] ** 2) - 0.5 * (position["scale"] - 1) ** 2

def my_target():
    return from_logdensity(logdensity, {"x": jnp.zeros(3), "scale": 1})

def on_vector(function):
    return lambda: from_logdensity(function, jnp.zeros(2))

number = 3
fails = lambda: 1 / 0
wrong_type = lambda: {"a": 1}
vector = on_vector(lambda x: -x**2)
infinite = on_vector(lambda x: jnp.log(x[0]))
untraceable = on_vector(lambda x: -float(x[0]) ** 2)
no_gradient = on_vector(lambda x: -jnp.sqrt(x[0]) - x[1])
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory, which is not on the path."""
    (tmp_path / "users_targets.py").write_text(MODULE)
    (tmp_path / "users_broken.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "users_targets", raising=False)
    return "users_targets"


def test_a_pytree_target_from_the_working_directory(module):
    target = custom(f"{module}.my_target")
    position = target.init(jax.random.key(0))
    assert (target.name, target.dim, dict(target.moments), target.sample) == ("custom", 4, {}, None)
    assert position["scale"].dtype == jnp.float32
    assert target.logdensity(position, ()) == 0


def test_what_is_known_is_passed_on():
    moments = Moments(np.ones(2), np.full(2, 2.0))
    target = from_logdensity(
        lambda x: -0.5 * jnp.sum(x**2),
        jnp.zeros(2),
        name="normal",
        moments=moments,
        sample=lambda key, n: jax.random.normal(key, (n, 2)),
    )
    assert target.name == "normal" and target.moments["exact"] is moments
    assert target.sample(jax.random.key(0), 5).shape == (5, 2)


def test_wrong_parts():
    with pytest.raises(ValueError, match="initial_position has no numbers"):
        from_logdensity(lambda x: 0.0, {})
    with pytest.raises(ValueError, match=r"moments must have shape \(2,\).*got \(3,\)"):
        from_logdensity(jnp.sum, jnp.zeros(2), moments=Moments(np.ones(3), np.ones(3)))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("my_target", "'my_target' is no dotted path"),
        ("no_such_module.target", "cannot import 'no_such_module': ModuleNotFoundError: No module named"),
        ("users_broken.target", "cannot import 'users_broken': .*no_such_library"),
        ("users_targets.my_targt", "has no function 'my_targt'; did you mean 'my_target'?"),
        ("users_targets.number", "is a int, not a function"),
        ("users_targets.fails", r"fails\(\) raised ZeroDivisionError: division by zero"),
        ("users_targets.wrong_type", r"returned dict, not a Target"),
        ("users_targets.vector", r"has shape \(2,\), not that of a scalar"),
        ("users_targets.infinite", "at its start is -inf, not finite"),
        ("users_targets.untraceable", "raised ConcretizationTypeError"),
        ("users_targets.no_gradient", "gradient of the log density .* is not finite"),
    ],
)
def test_a_wrong_target_is_explained_in_one_line(module, path, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as error:
        custom(path)
    assert "\n" not in str(error.value)

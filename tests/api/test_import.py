from __future__ import annotations

import subprocess
import sys

import pytest

import smile


def test_importing_smile_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys; import smile; "
        "print(sorted({'jax', 'numpy', 'pandas', 'flax', 'hydra'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"


def test_every_public_name_is_there() -> None:
    for name in smile.__all__:
        assert getattr(smile, name) is not None, name
    assert set(smile.__all__) <= set(dir(smile))
    assert set(smile.__all__) == {*smile._PLACES, "__version__"}
    with pytest.raises(AttributeError, match="nothing"):
        _ = smile.nothing

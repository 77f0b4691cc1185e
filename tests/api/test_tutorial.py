"""The blocks of docs/tutorial.md run in their order and do what the text between them says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"


def test_every_block_of_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    session: dict[str, Any] = {"__name__": "tutorial"}
    for block in blocks:
        exec(compile(block, str(TUTORIAL), "exec"), session)
    shown = capsys.readouterr().out
    assert "X has 1 missing cells in 1 columns: 'area' (1, first in row 3)" in shown
    assert "deep ensemble" in shown and "rhat" in shown
    assert session["mean"].shape == session["sd"].shape == (42,)
    assert (session["lower"] < session["upper"]).all()
    np.testing.assert_allclose(session["probabilities"].sum(axis=1), 1, rtol=1e-5)
    assert session["probabilities"].argmax(axis=1).shape == (1297,)
    assert session["history"].shape == (1000, 2)

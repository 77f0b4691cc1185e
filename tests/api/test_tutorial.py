"""The blocks of the tutorials run in their order and do what the text between them says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"


def session_of(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is there after all blocks of a page; scripts/documentation.py runs them in the same way."""
    monkeypatch.chdir(folder)
    text = (DOCS / page).read_text()
    assert text.startswith("---\nrun: true\n---\n"), "the page is not run when the documentation is built"
    session: dict[str, Any] = {"__name__": "page", "ROOT": DOCS.parent}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), session)
    return session


def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("tutorial.md", tmp_path, monkeypatch)
    shown = capsys.readouterr().out
    assert "X has 1 missing cells in 1 columns: 'area' (1, first in row 3)" in shown
    assert "deep ensemble" in shown and "R-hat" in shown
    assert session["mean"].shape == session["sd"].shape == (42,)
    assert (session["lower"] < session["upper"]).all()


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_of("images.md", tmp_path, monkeypatch)
    np.testing.assert_allclose(session["probabilities"].sum(axis=1), 1, rtol=1e-5)
    assert session["probabilities"].argmax(axis=1).shape == (1297,)


def test_posterior(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_of("posterior.md", tmp_path, monkeypatch)
    assert "rhat" in capsys.readouterr().out and session["history"].shape == (1000, 2)


def test_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb", reason="needs the extra docs")
    session_of("results.md", tmp_path, monkeypatch)
    assert "psmile" in capsys.readouterr().out

"""The report of a device, on the smallest network that there is."""

from __future__ import annotations

import importlib
from pathlib import Path

import jax
import pandas as pd
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_however_short_the_time_the_report_has_a_row_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    accelerator, before = importlib.import_module("accelerator"), jax.config.jax_compilation_cache_dir
    accelerator.main(["--size", "tiny", "--networks", "fcn,gpt", "--minutes", "0", "--output", str(tmp_path)])
    (row,) = pd.read_csv(tmp_path / "accelerator.csv").to_dict("records")
    assert (row["network"], row["precision"], row["chains"], row["parameters"]) == ("fcn", "default", 1, 754)
    assert row["steps_per_second"] > 0 and row["ratio"] > 0 and row["megabytes"] > 0
    assert row["teraflops"] > 0 and row["compile_seconds"] > 0 and row["cached_compile_seconds"] > 0
    text = (tmp_path / "accelerator.md").read_text()
    assert text.startswith("# Accelerator") and "scale=smoke" in text
    assert "Not measured, for want of time: gpt, default, 1 chains; fcn, default, 4 chains; " in text
    assert jax.config.jax_compilation_cache_dir == before
    # What is there is not measured again; of another size it is.
    (kept,) = accelerator.measured(tmp_path / "accelerator.csv", "tiny")
    assert kept == row and not accelerator.measured(tmp_path / "accelerator.csv", "full")


def test_a_network_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    with pytest.raises(SystemExit):
        importlib.import_module("accelerator").main(["--networks", "resnet7,alexnet"])
    assert "--networks: got alexnet; valid: fcn, lenet" in capsys.readouterr().err

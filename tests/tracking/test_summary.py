"""The console's table of a run: the metrics that have a heading, in the order in which they are declared."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from smile.tracking.console import summary_table


def test_columns_and_what_few_draws_leave_undefined(capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "rhat_max": (1.01, math.nan),
        "ess_min": (250.0, math.nan),
        "bias": (0.5, math.nan),
        "bias_max": (7.0, 7.0),
    }
    rows = [
        {"metric": name, "step_size": step_size, "replication": 0, "value": value}
        for name, pair in values.items()
        for step_size, value in zip((0.1, 0.2), pair, strict=True)
    ]
    summary_table(pd.DataFrame(rows))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["step", "size", "bias", "max", "R-hat", "min", "ESS"]
    assert lines[2] == ["1.00e-01", "0.5", "1.01", "250", "←", "best"]
    assert lines[3] == ["2.00e-01", "diverged", "in", "1", "of", "1", "—", "—"]

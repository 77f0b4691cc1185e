"""What a command prints changes neither its work nor, but for a reader that has gone, its exit code."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from smile.arguments import command_line
from smile.tracking.console import summary_table

ROW = {"metric": "bias", "step_size": 0.1, "wall_seconds": 1.0}
ROWS = pd.DataFrame([ROW | {"replication": i, "value": 0.5 + i} for i in range(3)])


@command_line
def table(arguments: list[str] | None = None) -> int:
    summary_table(pd.concat([ROWS, ROWS.assign(metric="rhat_max", value=3.0)]))
    return 0


def test_a_terminal_without_our_characters_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert table() == 0
    printed = stream.buffer.getvalue().decode("ascii")
    assert "1.5 ? 0.58" in printed and "not mixed" in printed


def test_an_interrupt_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    @command_line
    def interrupted(arguments: list[str] | None = None) -> int:
        raise KeyboardInterrupt

    assert interrupted() == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


@pytest.mark.parametrize("how", ["a table", "a line"])
def test_a_reader_that_has_gone_is_no_traceback(how: str, tmp_path: Path) -> None:
    code = (
        f"import sys, tests_of_pipes\nsys.exit(tests_of_pipes.{'table' if how == 'a table' else 'line'}())\n"
    )
    (tmp_path / "tests_of_pipes.py").write_text(
        "import pandas as pd\nfrom smile.arguments import command_line\n"
        "from smile.tracking.console import summary_table\n"
        f"rows = pd.DataFrame({ROWS.to_dict('list')!r})\n\n"
        "@command_line\ndef table(arguments=None):\n    summary_table(rows)\n    return 0\n\n"
        "@command_line\ndef line(arguments=None):\n    print('x' * 100_000)\n    return 0\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}, text=True,
    )  # fmt: skip
    assert command.stdout and command.stderr
    command.stdout.close()
    assert command.wait(60) == 141
    assert command.stderr.read() == ""

"""The import contracts notice what they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLANTED = {
    "base.py": "import smile.tracking",
    "models/lenet.py": "import smile.tables",
    "targets/icg.py": "import smile.noise",
    "noise/structure.py": "import smile.sampling",
    "options.py": "import jax",
    "tracking/parquet.py": "import smile.config.parse",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "pyproject.toml", folder)
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_wrong_import_and_a_module_without_a_room_are_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "smile", tmp_path / "smile", ignore=shutil.ignore_patterns("__pycache__"))
    assert lint(tmp_path).returncode == 0
    first = "from __future__ import annotations\n"
    for name, line in PLANTED.items():
        path = tmp_path / "smile" / name
        path.write_text(path.read_text().replace(first, f"{first}{line}\n", 1))
    (tmp_path / "smile" / "homeless.py").write_text("")
    found = lint(tmp_path)
    text = " ".join(found.stdout.split())
    assert found.returncode == 1
    for name, line in PLANTED.items():
        module = f"smile.{name.removesuffix('.py').replace('/', '.')}"
        assert f"{module} -> {line.removeprefix('import ')}" in text, (name, found.stdout)
    assert "homeless" in text

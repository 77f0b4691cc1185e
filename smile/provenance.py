"""Which code computes: the commit of the checkout that holds the package, and what differs from it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

__all__ = ["changes", "commit"]

_PACKAGE = Path(__file__).parent


@cache
def commit() -> str:
    """Short hash, with ``+changes`` where code or configuration differs; empty where the code lies in no checkout."""
    try:
        # an installed copy may lie in someone else's repository
        _git("ls-files", "--error-unmatch", "__init__.py")
        found = _git("rev-parse", "--short=12", "HEAD").strip()
        return f"{found}+changes" if _git("status", "--porcelain", ".", ":/conf").strip() else found
    except (OSError, subprocess.CalledProcessError):
        return ""


def changes() -> str:
    """What is not committed in that checkout: a patch, after the names of files that git does not know."""
    if not commit():
        return ""
    try:
        unknown = _git("ls-files", "--others", "--exclude-standard", ":/")
        return "".join(f"# not in git: {name}\n" for name in unknown.splitlines()) + _git("diff", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, errors="replace").stdout

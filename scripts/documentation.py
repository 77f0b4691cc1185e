"""What the documentation needs of mkdocs: other files of the repository as pages, tutorials that run, formulas.

A link to a file of the repository that is no page stays as its text; one to nothing is a warning, which
``--strict`` makes an error.
"""

from __future__ import annotations

import contextlib
import html
import io
import logging
import os
import posixpath
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
_PATTERNS = ("results/**/table.md", "results/**/leaderboard.md", "results/**/worst.md", "results/**/figure.png",
             "results/bench/*.md", "results/reliability/*.md")  # fmt: skip
_FENCE = re.compile(r"^```.*?^```$\n?", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^()\s#]+)(#[^()\s]*)?\)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)

log = logging.getLogger("mkdocs.smile")


def _map() -> dict[str, str]:
    """Path in the repository -> path in the documentation."""
    found = dict(_PAGES)
    found |= {path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
              for path in (ROOT / "docs").rglob("*.md")}  # fmt: skip
    found |= {f"experiments/{path.parent.name}/README.md": f"experiments/{path.parent.name}.md"
              for path in (ROOT / "experiments").glob("*/README.md")}  # fmt: skip
    for pattern in _PATTERNS:
        for path in ROOT.glob(pattern):
            place = path.relative_to(ROOT).as_posix()
            if "/runs/" not in place:
                found[place] = place
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside ``docs``."""
    for place, page in _map().items():
        if place != "README.md" and not place.startswith("docs/"):
            files.append(File.generated(config, page, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Runs a page that says ``run: true``, and lets links lead to pages."""
    if page.meta.get("run"):
        markdown = executed(markdown, page.file.src_uri)
    pages = _map()
    source = {uri: place for place, uri in pages.items() if place != "README.md"}[page.file.src_uri]
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_linked(markdown[end : fence.start()], source, page.file.src_uri, pages), fence.group()]
        end = fence.end()
    return "".join([*parts, _linked(markdown[end:], source, page.file.src_uri, pages)])


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw by themselves."""
    return _FORMULA.sub(_formula, content)


def executed(markdown: str, name: str) -> str:
    """The page with what its blocks of Python, and of commands, print below them.

    Args:
        markdown: whose blocks run in their order, in one session and an empty folder.
        name: of the page, for tracebacks.
    """
    session: dict[str, Any] = {"__name__": "page", "ROOT": ROOT}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return _BLOCK.sub(
                lambda block: (
                    _commands(block.group(2))
                    if block.group(1) == "console"
                    else block.group() + _run(block.group(2), name, session)
                ),
                markdown,
            )
        finally:
            os.chdir(before)


def _run(block: str, name: str, session: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, name, "exec"), session)
    return f"\n```text\n{printed.getvalue().rstrip()}\n```\n" if printed.getvalue().strip() else ""


def _commands(block: str) -> str:
    """Lines that begin with ``$ ``, each with what it says below it; one that fails ends the build."""
    shown = []
    for line in block.splitlines():
        done = subprocess.run(
            shlex.split(line.removeprefix("$ ")),
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{line}: exit code {done.returncode}: {done.stderr.strip()}")
        shown += [line, done.stdout.rstrip(), ""]
    return "```console\n" + "\n".join(shown).rstrip() + "\n```\n"


def _linked(text: str, source: str, uri: str, pages: dict[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        image, words, target, anchor = match.groups()
        words = _LINK.sub(replaced, words)
        if "://" in target or target.startswith("mailto:"):
            return f"{image}[{words}]({target}{anchor or ''})"
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if place not in pages and f"{place}/README.md" in pages:
            place = f"{place}/README.md"
        if place in pages:
            link = posixpath.relpath(pages[place], posixpath.dirname(uri) or ".")
            return f"{image}[{words}]({link}{anchor or ''})"
        if not (ROOT / place).exists():
            log.warning("%s links to %s, which does not exist", source, place)
        return words

    return _LINK.sub(replaced, text)


def _formula(match: re.Match[str]) -> str:
    tag, content = match.groups()
    text = html.unescape(content).strip().removeprefix("\\(").removesuffix("\\)")
    text = text.removeprefix("\\[").removesuffix("\\]").strip()
    return latex2mathml.converter.convert(text, display="block" if tag == "div" else "inline")

"""``smile-report``: one page that shows what was measured, loads nothing and names nobody."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from smile.runs import status
from smile.runs.compact import compact
from smile.runs.status import Status
from smile.tools.report import main
from smile.tracking import write_metrics
from smile.tracking.config_file import write_config
from smile.tracking.parquet import SCHEMA

RESULTS = Path(__file__).parents[2] / "results"
BLANK: dict[str, Any] = {field.name: "" if str(field.type) == "string" else 0 for field in SCHEMA}
HOSTILE = """"><script src="https://evil.example/x.js"></script><img src=x onerror='alert(1)'>\x00&amp;"""
TOKEN = "c0ffee" * 6 + "abcd"


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open, "elements that are never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str, kind: str = "") -> int:
        return sum(tag == name and kind in (found.get("class") or "") for name, found in self.tags)


def read(path: Path) -> Page:
    """The page, which may load nothing."""
    text = path.read_text()
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form", "a", "svg"}
        assert not {"href", "srcset", "action", "background"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
    policies = [found.get("content") for tag, found in page.tags if "http-equiv" in found]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "url(" not in text and "@import" not in text
    return page


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose label and options are hostile, one that has mixed nowhere, and one that failed."""
    home = tmp_path / "home-of-somebody"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_API_KEY", TOKEN)
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "results/e/smoke/runs"
    facts = BLANK | {
        "target": "icg", "noise": "isotropic", "data": "none", "model": "none", "sampler": "sgld", "tuner": "none",
        "seed": 41, "num_steps": 1234, "smile_version": "0.7", "jax_version": "0.8", "git_commit": "abc123+changes",
        "created": "2025-01-02", "scale": "smoke", "wall_seconds": 3.0,
    }  # fmt: skip
    for name, variant, rhat in (("a", HOSTILE, 1.0), ("b", "", 2.0)):
        values = {"bias": (0.3, 0.1, 0.2), "rhat_max": (9.0, rhat, 9.0), "num_divergent": (0.0, 0.0, 5.0)}
        rows = [
            facts
            | {"run_id": name, "variant": variant, "metric": metric, "step_size": step_size, "value": value}
            | {"replication": replication}
            for metric, found in values.items()
            for step_size, value in zip((0.01, 0.02, 0.04), found, strict=True)
            for replication in (0, 1)
        ]
        write_metrics(runs / name / "metrics.parquet", rows)
        write_config(
            runs / name, f"seed: 41\nvariant: {json.dumps(variant)}\ndata:\n  path: {home}/secret.csv\n"
        )
        status.write(runs / name, Status("done", "label"))
    (runs / "c").mkdir()
    reason = f"OSError: no {home}/x and /Users/else/y {HOSTILE[:-7]}"
    status.write(runs / "c", Status("failed", "icg diagonal", reason=reason))
    return runs


def test_a_run_whose_label_is_hostile(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(runs / "a")]) == 0
    assert capsys.readouterr().out.split() == [str(runs / "a/report.html")]
    page = read(runs / "a/report.html")
    assert HOSTILE.replace("\x00", "�") in page.text
    assert "bias 0.1 ± 0 at step size 2.0e-02, 3 s" in page.text and page.count("tr", "best") == 1
    assert "Nothing suspicious" in page.text and "† not mixed" in page.text
    assert page.count("img") == 1
    for fact in ("0.7", "0.8", "abc123+changes", "41", "1234", "2025-01-02"):
        assert fact in page.text
    assert "path: ~/secret.csv" in page.text
    assert TOKEN not in page.text and "home-of-somebody" not in page.text


def test_warnings_say_what_to_do_also_of_a_run_that_was_merged(runs: Path) -> None:
    compact(runs.parent)
    assert not (runs / "b").exists()
    assert main([str(runs / "b"), "-o", "here.html"]) == 0
    page = read(Path("here.html"))
    assert page.count("div", "warnings") == 1 and "raise num_steps" in page.text
    assert "seed: 41" in page.text


def test_an_experiment_without_a_table(runs: Path) -> None:
    assert main(["e"]) == 0
    page = read(runs.parent / "report.html")
    assert "Runs of e" in page.text and "2 finished runs" in page.text
    assert "icg diagonal (c) is failed: OSError: no ~/x and ~/y" in page.text
    assert "1 of 2 runs: not mixed" in page.text
    assert "home-of-somebody" not in page.text and TOKEN not in page.text


def test_an_experiment_with_a_table_and_a_network_run_of_it(tmp_path: Path) -> None:
    assert main(["figure2", "--results", str(RESULTS), "-o", str(tmp_path / "e.html")]) == 0
    page = read(tmp_path / "e.html")
    assert "nanoGPT" in page.text and page.count("img") == 1 and page.count("strong") >= 1
    run, *_ = (file.parent for file in RESULTS.glob("figure2/quick/runs/*/history.parquet"))
    assert main([str(run), "-o", str(tmp_path / "r.html")]) == 0
    page = read(tmp_path / "r.html")
    assert page.count("img") == 2 and "LPPD" in page.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no runs of nothing in results; there are: e"),
        (["results/e/smoke/runs/c"], "no finished run in results/e/smoke/runs/c"),
        (["e", "-o", "results"], "directory"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    runs: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 1
    assert not list(Path().rglob("*.html"))

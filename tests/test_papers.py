"""What the papers say is so."""

from __future__ import annotations

import json
import re

import pytest

from tests.helpers import ROOT

PAPERS = ("README.md", "README_zh.md", "CONTRIBUTING.md")


def test_the_figures_in_the_readme_are_those_that_were_measured() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = sorted((ROOT / "bench" / "results").glob("*.json"))
    assert len(results) >= 2
    for path in results:
        for line in json.loads(path.read_text(encoding="utf-8"))["lines"]:
            assert f"- {line}\n" in readme


@pytest.mark.parametrize("paper", PAPERS)
def test_every_link_to_a_file_leads_somewhere(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target


def test_the_house_in_contributing_names_every_module() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    modules = [p for p in (ROOT / "tuner").rglob("*.py") if p.name != "__init__.py"]
    assert len(modules) > 40
    for path in modules:
        assert path.name in text, path


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w-]+", line) for line in lines if line and not line.startswith("#")]
    for name in names:
        assert name
        assert re.search(rf"^\|[^|]*\b{name[0]}\b", text, re.MULTILINE), name[0]

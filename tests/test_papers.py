"""The papers' documents speak of code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("paper", ["ganmut", "ganmut-gaussian", "stargan"])
def test_the_papers_document_names_only_tests_and_settings_that_exist(paper: str) -> None:
    text = (ROOT / "docs" / "papers" / f"{paper}.md").read_text(encoding="utf-8")
    tests = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = re.findall(r"`(test_\w+)`", text)
    assert named
    assert [name for name in named if name not in tests] == []
    code = "".join(file.read_text() for file in (ROOT / "mien").rglob("*.py"))
    for name in re.findall(r"`([a-z]\w*)(?:=[^`]*)?`", text):
        if not name.startswith("test_"):
            assert re.search(rf"\b{name}\b", code), name

"""README's numbers are those that `scripts/write_results.py` writes from the reports of the shipped weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_results", ROOT / "scripts" / "write_results.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_has_what_the_script_writes(script: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.split(script.START)[1].split(script.END)[0].strip("\n") == script.results().strip("\n")


def line(expression: str, value: float | None) -> SimpleNamespace:
    measured = SimpleNamespace(measure="f1", expression=expression, value=value)
    return SimpleNamespace(line=SimpleNamespace(contestant="x", judge="j", measurement=measured))


def test_a_number_that_is_undefined_is_a_dash_and_no_zero(script: ModuleType) -> None:
    results = [line("happy", 0.9879), line("fear", None)]
    assert [script.value(results, "x", "j", "f1", name) for name in ("happy", "fear")] == ["0.99", "—"]
    assert script.defined(script.number(results, "x", "j", "f1", "happy")) == 0.9879  # rounded at the end alone
    with pytest.raises(SystemExit, match="undefined"):
        script.defined(script.number(results, "x", "j", "f1", "fear"))
    with pytest.raises(SystemExit, match="no f1 of y by j"):
        script.number(results, "y", "j", "f1", "happy")

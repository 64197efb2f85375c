"""The layers of pyproject.toml hold, name every module, and importing `mien` stays light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mien.methods import METHODS

ROOT = Path(__file__).parent.parent
#: Each of these takes longer to import than a command may take to answer `--help`.
HEAVY = {"lightning", "lightning_fabric", "numpy", "PIL", "pyarrow", "ray", "safetensors", "torch"}


def contract(kind: str) -> dict:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return next(contract for contract in settings["contracts"] if contract["type"] == kind)


def test_no_module_breaks_a_contract() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    done = subprocess.run([*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_a_layer() -> None:
    # A module that no layer names is not checked at all, and nothing else would say so.
    named = {name.strip() for layer in contract("layers")["layers"] for name in layer.split("|")}
    modules = {path.stem for path in (ROOT / "mien").glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in (ROOT / "mien").glob("*/__init__.py")}
    assert named == {f"mien.{module}" for module in modules}


def test_every_method_is_a_stranger_to_the_others() -> None:
    strangers = set(contract("independence")["modules"])
    assert strangers == {method.__module__ for method in METHODS.values()}
    files = {f"mien.methods.{path.stem}" for path in (ROOT / "mien" / "methods").glob("*.py")}
    shared, of_ganmut = {"__init__", "base", "generator"}, {"aims", "disc_codes"}
    assert files - strangers == {f"mien.methods.{name}" for name in shared | of_ganmut}


@pytest.mark.parametrize("module", ["mien", "mien.apps.cli"])
def test_importing_it_imports_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_unknown_names_of_the_package_are_attribute_errors() -> None:
    import mien

    assert all(hasattr(mien, name) for name in mien.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        mien.no_such_name  # noqa: B018

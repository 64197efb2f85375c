"""`mien export`, `push` and `pull` do what they say, and refuse what they cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from portable_models import ganmut_onnx

from mien import exporting
from mien.images import read_image


def test_a_model_is_exported_pushed_pulled_and_edits(mien: Callable[..., Any], model: Path, photo: Path) -> None:
    folder = photo.parent
    assert mien("push", model, folder / "published").out.strip() == str(folder / "published")
    assert mien("pull", folder / "published", "-o", folder / "mine").out.strip() == str(folder / "mine")
    assert json.loads((folder / "mine" / "config.json").read_text())["name"] == "tiny"
    (folder / "tiny.onnx").write_bytes(ganmut_onnx())
    for name in ("mine", "tiny.onnx"):
        edited = mien("edit", photo, "--model", folder / name, "-e", "surprise", "-i", 1, "-o", folder / f"{name}.png")
        assert edited.code == 0, edited.err
    one, other = (read_image(folder / f"{name}.png").astype(int) for name in ("mine", "tiny.onnx"))
    assert np.abs(one - read_image(photo)).max() > 20 and np.abs(one - other).max() <= 1


def test_the_kind_of_export_follows_the_name_of_the_file(
    mien: Callable[..., Any], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(exporting, "export_onnx", lambda *given: asked.append(given) or given[1])
    run = model.parent / "run"
    assert mien("export", run, "-o", tmp_path / "a.onnx").out.strip() == str(tmp_path / "a.onnx")
    assert mien("export", run, "--to", "onnx", "--opset", 22, "-o", tmp_path / "b.onnx").code == 0
    assert asked == [(str(run), tmp_path / "a.onnx", exporting.OPSET), (str(run), tmp_path / "b.onnx", 22)]
    assert mien("export", run, "--to", "safetensors", "-o", tmp_path / "c.safetensors").code == 0
    assert (tmp_path / "c.json").is_file()


def test_what_cannot_be_exported_is_refused(refused: Callable[..., None], model: Path, tmp_path: Path) -> None:
    run = model.parent / "run"
    refused("export", run, "-o", tmp_path / "x.pt", error="cannot export to `pt`", hint=".onnx")
    refused("export", run, "--to", "onnx", "-o", tmp_path / "x.safetensors", error="does not end in .onnx")
    refused("export", run, "--opset", 20, "-o", tmp_path / "x.safetensors", error="`--opset` is for ONNX")
    refused("export", run, "--opset", 3, "-o", tmp_path / "x.onnx", error="opset 3 is out of range", hint="18 to 23")
    refused("export", tmp_path / "none", "-o", tmp_path / "x.onnx", error="no model", hint="run folder")


def test_what_cannot_travel_is_refused(refused: Callable[..., None], model: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    refused("push", model, tmp_path / "full", error="exists and is not empty", hint="new or empty")
    refused("push", tmp_path / "none", tmp_path / "new", error="no model")
    refused("pull", tmp_path / "full", "-o", tmp_path / "new", error="holds no model", hint="mien push")
    refused("pull", "hf://ada", "-o", tmp_path / "new", error="names no repository", hint="hf://user/name")

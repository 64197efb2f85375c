"""`mien export`, `push` and `pull` do what they say, and refuse what they cannot do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from portable_models import ganmut_onnx

from mien import exporting
from mien.apps.commands import models
from mien.errors import RunError
from mien.images import read_image
from mien.prepared import PreparedSet
from mien.pretrained import load_model
from mien.shipped import DEFAULT, WEIGHTS
from mien.stepping import TooLittleMemoryError


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


@pytest.mark.parametrize("named", [True, False])
def test_a_model_that_ships_and_a_file_are_copied_with_their_description(
    mien: Callable[..., Any], model: Path, tmp_path: Path, named: bool
) -> None:
    source = DEFAULT if named else model
    weights = WEIGHTS / f"{DEFAULT}.safetensors" if named else model
    said = mien("export", source, "-o", tmp_path / "new" / "mine.safetensors")
    assert (said.code, said.out) == (0, f"{tmp_path / 'new' / 'mine.safetensors'}\n"), said.err
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mine.json", "mine.safetensors"]
    for suffix in (".safetensors", ".json"):
        copy = (tmp_path / "new" / "mine").with_suffix(suffix)
        assert copy.read_bytes() == weights.with_suffix(suffix).read_bytes()
    assert load_model(tmp_path / "new" / "mine.safetensors").sha256 == load_model(source).sha256


def test_the_folder_of_a_model_is_copied_too(mien: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    assert mien("push", model, tmp_path / "published").code == 0
    assert mien("export", tmp_path / "published", "-o", tmp_path / "mine.safetensors").code == 0
    assert load_model(tmp_path / "mine.safetensors").sha256 == load_model(model).sha256


def test_a_model_is_copied_whole_or_not_at_all(refused: Callable[..., None], model: Path, tmp_path: Path) -> None:
    refused("export", DEFAULT, "--to", "safetensors", "-o", tmp_path / "x.pt", error="does not end in .safetensors")
    refused("export", tmp_path / "none", "-o", tmp_path / "x.safetensors", error="no model", hint="run folder")
    refused("export", tmp_path, "-o", tmp_path / "x.safetensors", error="is no run folder")
    for file in (model, model.with_suffix(".json")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for taken in ("x.json", "x.safetensors"):
        (tmp_path / taken).mkdir()
        refused("export", model, "-o", tmp_path / "x.safetensors", error=f"cannot read or write `{tmp_path / taken}`")
        (tmp_path / taken).rmdir()
    altered = tmp_path / model.name
    altered.write_bytes(altered.read_bytes()[:-1] + b"\1")
    refused("export", altered, "-o", tmp_path / "x.safetensors", error="does not match its hash")


@pytest.mark.parametrize("judge", [False, True])
def test_too_little_memory_is_said_in_two_lines(
    mien: Callable[..., Any], prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: bool
) -> None:
    monkeypatch.setattr("mien.batches.resample", lambda *_: torch.empty(1 << 60))
    small = ("width=4", "image_size=32") if judge else ("image_size=16", "critic_layers=2")
    sets = [word for setting in (*small, "batch_size=8") for word in ("--set", setting)]
    command = ("train-judge", "resnet18-small") if judge else ("train", "smoke")
    said = mien(*command, "--data", prepared.path, "--out", tmp_path / "run", *sets)
    assert said.code == 2 and said.out == ""
    error, hint = [line for line in said.err.splitlines() if line.startswith(("error:", "hint:"))]
    assert error == "error: the training needs more memory than there is"
    assert hint.startswith("hint: lower batch_size") and "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "talks"), [(TooLittleMemoryError("too little", "less"), True), (RunError("x"), False)]
)
def test_of_several_processes_one_that_does_not_lead_talks_of_its_memory_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: RunError, talks: bool
) -> None:
    """What else goes wrong goes wrong in all of them, and the one that leads says it."""
    monkeypatch.setattr("mien.processes.leads", lambda devices: False)
    with pytest.raises(typer.Exit) as stopped, models._training_report(2, 10):
        raise error
    assert stopped.value.exit_code == 2
    assert capsys.readouterr().err == ("error: too little\nhint: less\n" if talks else "")


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


def test_a_model_says_what_it_is(
    mien: Callable[..., Any], model: Path, refused: Callable[..., None], tmp_path: Path
) -> None:
    said = mien("info")
    assert said.code == 0 and said.out.startswith(f"name:           {DEFAULT}\n")
    happy = json.loads((WEIGHTS / f"{DEFAULT}.json").read_text("utf-8"))["space"]["angles_radians"][0]
    assert f"angles_degrees: happy {math.degrees(happy):.0f}, " in said.out and "image_size:     128\n" in said.out
    facts = json.loads(mien("info", model, "--json").out)
    stored = json.loads(model.with_suffix(".json").read_text("utf-8"))
    assert facts["sha256"] == stored["sha256"] and facts["expressions"] == stored["space"]["expressions"]
    assert facts["description"]["method_config"] == stored["method_config"]
    other = json.loads(mien("info", "stargan-fer2013", "--json").out)
    assert other["expressions"] == ["neutral", "anger", "happy", "sad", "surprise"] and "angles_degrees" not in other
    assert other["steps"] == sum(part["steps"] for part in other["description"]["parts"])
    refused("info", tmp_path / "none", error="none", hint="ganmut-fer2013")


def test_curves_of_a_run_as_a_table(mien: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    said = mien("curves", model.parent / "run", "--over", "minutes", "-o", tmp_path / "curves.csv")
    assert (said.code, said.out.strip(), said.err) == (0, str(tmp_path / "curves.csv"), "")
    assert (tmp_path / "curves.csv").read_text().startswith("run,step,images,minutes,curve,value\nrun,")

"""`mien train-judge` trains, resumes, measures and refuses; `mien export` writes the judge as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.classifiers import load_classifier
from mien.classifiers.settings import PRESETS
from mien.datasets import drawn
from mien.prepared import PreparedSet, prepare
from mien.runs import Run

TINY = [
    f"--set={setting}"
    for setting in ("width=4", "image_size=32", "batch_size=8", "epochs=1", "checkpoint_every=3", "log_every=2")
]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Return 84 drawn faces of 16 pixels; one person of twelve is for validation."""
    folder = tmp_path_factory.mktemp("faces") / "set"
    return prepare(drawn.read(count=84, size=16), folder, dataset="drawn", size=16, channels=1)


@pytest.fixture(scope="module")
def unmeasurable(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Return 35 drawn faces of five persons, none for validation."""
    folder = tmp_path_factory.mktemp("faces") / "set"
    return prepare(drawn.read(count=35, size=16), folder, dataset="drawn", size=16, channels=1)


def test_a_judge_is_trained_measured_and_exported(
    mien: Callable[..., Any], faces: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "judge"
    command = ("train-judge", "resnet18-small", "--data", faces.path, "--out", run, *TINY)
    said = mien(*command)
    assert (said.code, said.out) == (0, f"{run}\n"), said.err
    lines = said.err.splitlines()
    assert lines[0].startswith("training 2/9 ") and " images/s, " in lines[0] and " left  loss " in lines[0]
    assert any(line.startswith("training 9/9 ") and " left" not in line for line in lines)
    assert lines[-1].startswith("validation: accuracy 0.") and lines[-1].endswith(", n 7")
    facts = json.loads((run / "report.json").read_text())
    assert facts["sha256"] == load_classifier(run).sha256 and facts["data_hash"] == faces.hash
    assert (run / "confusion.png").is_file() and (run / "calibration.png").is_file()

    # The same command again takes no step, and measures the same.
    (run / "report.json").unlink()
    monkeypatch.setattr(Run, "save_checkpoint", lambda *given: pytest.fail("a step"))
    again = mien(*command)
    assert (again.code, again.out) == (0, f"{run}\n") and "training" not in again.err
    assert again.err.splitlines()[-1] == lines[-1]
    assert json.loads((run / "report.json").read_text()) == facts

    out = tmp_path / "judge.safetensors"
    assert mien("export", run, "-o", out).out == f"{out}\n"
    images = np.zeros((1, 1, 32, 32), np.float32)
    found = [load_classifier(source).judge(images).probabilities for source in (run, out)]
    assert np.abs(found[0] - found[1]).max() < 1e-2


def test_a_stopped_training_goes_on(
    mien: Callable[..., Any], faces: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train-judge", "vgg16_bn-small", "--data", faces.path, *TINY)
    save = Run.save_checkpoint

    def stopped(run: Run, step: int, *given: Any) -> Path:
        if step == 6:
            raise KeyboardInterrupt
        return save(run, step, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save_checkpoint", stopped)
        said = mien(*command, "--out", tmp_path / "broken")
    assert said.code == 130 and said.out == ""
    assert said.err.splitlines()[-1] == "stopped; the same command goes on from there"
    assert mien(*command, "--out", tmp_path / "broken").code == 0
    assert mien(*command, "--out", tmp_path / "whole").code == 0
    assert load_classifier(tmp_path / "broken").sha256 == load_classifier(tmp_path / "whole").sha256


def test_without_validation_images_a_line_says_that_nothing_was_measured(
    mien: Callable[..., Any], unmeasurable: PreparedSet, tmp_path: Path
) -> None:
    run = tmp_path / "judge"
    said = mien("train-judge", "resnet18-small", "--data", unmeasurable.path, "--out", run, *TINY)
    assert (said.code, said.out) == (0, f"{run}\n")
    assert "has no validation images of these expressions: the judge was not measured" in said.err.splitlines()[-1]
    assert not (run / "report.json").exists()


def test_a_dry_run_prints_both_configurations_and_does_nothing(mien: Callable[..., Any], tmp_path: Path) -> None:
    said = mien("train-judge", "resnet50", "--data", "d", "--out", tmp_path / "r", "--set", "hidden=", "--dry-run")
    whole = json.loads(said.out)
    assert whole["network"]["architecture"] == "resnet50" and whole["network"]["hidden"] == []
    assert whole["recipe"]["soft_labels"] is True and not (tmp_path / "r").exists()


def test_every_preset_is_in_the_help_and_among_the_presets(mien: Callable[..., Any]) -> None:
    unwrapped = "".join(mien("train-judge", "--help").out.split())
    listed = mien("presets").out
    assert ",".join(list(PRESETS)[:-1]) + f"or{list(PRESETS)[-1]}." in unwrapped
    for name, preset in PRESETS.items():
        assert f"{name}\n    judge: {preset.summary}\n    promise: {preset.promise}\n" in listed


def test_what_cannot_be_trained_is_refused(refused: Callable[..., None], faces: PreparedSet, tmp_path: Path) -> None:
    def train(preset: str, *given: str, error: str, hint: str = "", data: Path = faces.path) -> None:
        refused("train-judge", preset, "--data", data, "--out", tmp_path / "run", *given, error=error, hint=hint)

    train("resnet", error="unknown judge `resnet`", hint="did you mean `resnet50`?")
    train("resnet18", "--set", "epoch=2", error="unknown setting `epoch`", hint="did you mean `epochs`?")
    train("resnet18", "--set", "epochs", error="is not key=value")
    train("resnet18", "--set", "epochs=0", error="epochs is 0", hint="1 or more")
    train("resnet18", error="no prepared set", data=tmp_path / "none")
    train("resnet18-small", "--set=batch_size=500", error="a batch needs 500", hint="lower batch_size")
    train("resnet18-small", "--init", str(tmp_path / "none.pth"), error="no file", hint="torchvision")
    train("resnet18-small", *TINY, "--set=unfreeze_after=1", error="the body has learned nothing", hint="--init")
    train("resnet18-small", *TINY, "--set=expressions=happy,contempt", error="no training images of contempt")


def test_a_missing_extra_is_named_before_the_training(
    mien: Callable[..., Any], faces: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = mien("train-judge", "resnet18-small", "--data", faces.path, "--out", tmp_path / "run", *TINY)
    assert said.code == 2 and "mien[bench]" in said.err and not (tmp_path / "run").exists()


def test_a_judge_is_no_generator(
    refused: Callable[..., None], mien: Callable[..., Any], model: Path, faces: PreparedSet, tmp_path: Path
) -> None:
    run = tmp_path / "judge"
    assert mien("train-judge", "resnet18-small", "--data", faces.path, "--out", run, *TINY).code == 0
    refused("export", run, "-o", tmp_path / "x.onnx", error="judges are not exported to ONNX", hint=".safetensors")
    refused("export", run, "--to", "onnx", "-o", tmp_path / "x", error="judges are not exported to ONNX")
    refused("export", run, "--opset", 20, "-o", tmp_path / "x.safetensors", error="judges are not exported to ONNX")
    portrait = Path(__file__).parent.parent.parent / "assets" / "astronaut.png"
    refused(
        "edit", portrait, "-m", run, "-e", "happy", "-o", tmp_path / "x.png", error="is a judge, which edits nothing"
    )
    generator = model.parent / "run"
    refused(
        "train-judge", "resnet18-small", "--data", faces.path, "--out", generator, *TINY,
        error="was written by another configuration",
    )  # fmt: skip

"""The script that trains what ships: its rehearsal goes through the whole chain, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_datasets import write_class_folders, write_fer2013

from mien.classifiers import load_classifier
from mien.prepared import PreparedSet
from mien.pretrained import load_model
from mien.runs import Run

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent.parent / "scripts" / "train_released.sh"


def run(out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    arguments = [str(SCRIPT), "--rehearse", "--out", str(out), *map(str, more)]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=600)


def test_the_rehearsal_trains_everything_in_pieces_and_then_once_more_nothing(tmp_path: Path) -> None:
    calls = 0
    while (done := run(tmp_path, *(["--minutes", 0] if calls < 3 else []))).returncode == 75:
        assert "the same command goes on" in done.stderr
        calls += 1
    assert done.returncode == 0, done.stderr
    assert calls == 3
    early = run(tmp_path / "early", "--only", "ganmut-fer2013")
    assert (early.returncode, early.stderr.count("ganmut-fer2013-first")) == (2, 1)
    names = [line.split()[0] for line in done.stdout.splitlines()[1:-1]]
    ganmuts = ["ganmut-fer2013-first", "ganmut-fer2013", "guide", "ganmut-mixed-128"]
    assert names == ["stargan-fer2013", *ganmuts, "judge-resnet18", "judge-vgg16"]
    assert done.stdout.splitlines()[-1].endswith("minutes of training in all")
    for name in names:
        weights = tmp_path / "weights" / f"{name}.safetensors"
        classifies = name == "guide" or name.startswith("judge")
        loaded = load_classifier(weights) if classifies else load_model(weights)
        assert "neutral" in loaded.expressions if classifies else loaded.method is not None
        facts = json.loads((tmp_path / "done" / f"{name}.json").read_text())
        assert facts["steps"] > 0
    for name, before_it in (("ganmut-fer2013", "ganmut-fer2013"), ("ganmut-mixed-128", "ganmut-fer2013-finish")):
        started = json.loads((tmp_path / "runs" / name / "config.json").read_text())["init"]
        assert started["preset"] == before_it
    assert load_model(tmp_path / "weights" / "ganmut-mixed-128.safetensors").image_size == 128
    (guide,) = Run.read(tmp_path / "runs" / "ganmut-mixed-128").configuration["guides"]
    assert guide["name"] == "guide"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = run(tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_one_script_prepares_what_is_trained_on_and_goes_on(tmp_path: Path) -> None:
    fer2013, faces = write_fer2013(tmp_path / "fer2013"), write_class_folders(tmp_path / "faces")
    arguments = [str(SCRIPT.with_name("prepare_released.sh")), fer2013, faces, tmp_path / "data"]
    environment = {**os.environ, "PYTHON": sys.executable}

    def prepare(*more: object) -> subprocess.CompletedProcess[str]:
        given = [*map(str, arguments), "--detector", "none", "--workers", "1", *map(str, more)]
        return subprocess.run(given, capture_output=True, text=True, env=environment, timeout=300)

    (whole := tmp_path / "faces" / "train").rename(hidden := tmp_path / "hidden")
    (tmp_path / "faces" / "validation").rename(tmp_path / "hidden too")
    assert (stopped := prepare()).returncode != 0 and "faces" in stopped.stderr
    hidden.rename(whole)
    (tmp_path / "hidden too").rename(tmp_path / "faces" / "validation")
    assert (done := prepare()).returncode == 0, done.stderr
    counts = {}
    for name, size in (("fer2013-48", 48), ("fer2013-64", 64), ("mixed-128", 128)):
        prepared = PreparedSet.open(tmp_path / "data" / name)
        assert prepared.size == size
        counts[name] = len(prepared.select("train"))
    assert counts["mixed-128"] > counts["fer2013-48"] >= counts["fer2013-64"] > 0  # some are left out by their number
    usage = subprocess.run([arguments[0]], capture_output=True, text=True)
    assert (usage.returncode, usage.stderr.strip()) == (
        2, "usage: scripts/prepare_released.sh FER2013 FACES_WILD DATA [OPTIONS]",
    )  # fmt: skip

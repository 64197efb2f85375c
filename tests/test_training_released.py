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
from mien.runs import Run, describe_machine

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
    assert names == [*ganmuts, "judge-resnet18", "judge-vgg16", "stargan-fer2013"]
    assert done.stdout.splitlines()[-1].endswith("minutes of training in all")
    for name in names:
        weights = tmp_path / "weights" / f"{name}.safetensors"
        classifies = name == "guide" or name.startswith("judge")
        loaded = load_classifier(weights) if classifies else load_model(weights)
        assert "neutral" in loaded.expressions if classifies else loaded.method is not None
        facts = json.loads((tmp_path / "done" / f"{name}.json").read_text())
        assert facts["steps"] > 0
        assert facts["machine"]["gpu"] == describe_machine()["gpu"]
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
    fer2013, faces, data = write_fer2013(tmp_path / "fer 2013"), tmp_path / "faces", tmp_path / "my data"
    script = str(SCRIPT.with_name("prepare_released.sh"))

    def prepare() -> subprocess.CompletedProcess[str]:
        given = [script, str(fer2013), str(faces), str(data), "--detector", "none", "--workers", "1"]
        return subprocess.run(
            given, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}, timeout=300
        )

    stopped = prepare()  # there are no faces in the wild yet
    assert stopped.returncode != 0 and stopped.stderr.count("error:") == 1 and not (data / "mixed-128").exists()
    write_class_folders(faces)
    done = prepare()
    assert done.returncode == 0, done.stderr
    assert "fer2013-48" not in done.stdout  # that was done before
    recipes = {}
    for name, size, of_the_whole in (("fer2013-48", 48, True), ("fer2013-64", 64, False), ("mixed-128", 128, False)):
        prepared = PreparedSet.open(data / name)
        recipes[name] = prepared.manifest["recipe"]["options"]
        assert prepared.size == size and recipes[name]["without_leaks"]
        assert bool(recipes[name].get("leave_out")) is not of_the_whole
    for name, labels in (("fer2013-48", None), ("fer2013-64", "both"), ("fer2013-128", "both")):
        source = PreparedSet.open(data / "sources" / name).manifest["recipe"]["options"]
        assert source.get("labels") == labels
    assert [parent["dataset"] for parent in recipes["mixed-128"]["parents"]] == ["fer2013", "folder"]
    assert prepare().stdout == ""
    usage = subprocess.run([script], capture_output=True, text=True)
    line = "usage: scripts/prepare_released.sh FER2013 FACES_WILD DATA [OPTIONS]"
    assert (usage.returncode, usage.stderr.strip()) == (2, line)


def test_faces_are_looked_for_where_nobody_says_otherwise() -> None:
    text = SCRIPT.with_name("prepare_released.sh").read_text("utf-8")
    calls = [line for line in text.splitlines() if line.strip().startswith("mien prepare")]
    assert len(calls) == 4 and all("--detector mtcnn" in line and line.endswith('"$@"') for line in calls)

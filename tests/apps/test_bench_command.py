"""`mien bench` as it is typed: a report from models and judges, resumed, refused, and asked of other programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from untrained import write_run

from mien.classifiers.settings import ClassifierConfig, Recipe
from mien.datasets import drawn
from mien.prepared import PreparedSet, prepare
from mien.runs import Run

SMALL = ("--set", "faces=6", "--set", "sweep_faces=2", "--set", "sweep_steps=4", "--set", "gamut_faces=1",
         "--set", "gamut_angles=4", "--set", "gamut_radii=1")  # fmt: skip

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Return drawn faces; about a tenth of the persons are for validation."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    return prepare(drawn.read(count=1400, size=32), folder, dataset="drawn", size=32, channels=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("models") / "mine").path


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a judge with random weights: what it sees is nonsense, but it sees."""
    config = ClassifierConfig("resnet18", image_size=32, image_channels=1, width=4, stem_stride=2)
    torch.manual_seed(0)
    made = Run.open(
        tmp_path_factory.mktemp("judges") / "judge",
        {
            "format": 1, "preset": "resnet18-small", "classifier": dataclasses.asdict(config),
            "recipe": dataclasses.asdict(Recipe()), "data": {"hash": "0" * 64, "dataset": "none"},
        },
    )  # fmt: skip
    made.save_checkpoint(1, {f"network.{name}": tensor for name, tensor in config.build().state_dict().items()})
    return made.path


def test_a_report_is_written_and_the_same_command_goes_on(
    mien: Call, run: Path, judge: Path, faces: PreparedSet, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    command = ("bench", run, "--data", faces.path, "--judge", judge, "--baselines", "--out", out, *SMALL)
    first = mien(*command)

    assert first.code == 0, first.err
    assert first.out.strip() == str(out / "report.html")
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {line["contestant"] for line in lines} == {"mine", "untrained", "identity", "oracle", "real"}
    f1 = next(line for line in lines if line["contestant"] == "mine" and line["measure"] == "expression-f1")
    assert f1["n"] == 6 * 7 and f1["data_hash"] == faces.hash and 0 <= f1["value"] <= 1
    assert f"mine: expression F1 {f1['value']:.3f} ({f1['judge']})" in first.err.splitlines()
    shown = set(faces.expressions)
    assert "left out" not in first.err and shown >= {"fear"}  # drawn faces show all that the judge knows
    kept = {path: path.stat().st_mtime_ns for path in (out / "work").iterdir()}

    again = mien(*command)

    assert again.code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "work").iterdir()} == kept
    same = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["value"] for line in same] == [line["value"] for line in lines]


def test_a_program_of_another_kind_is_asked_and_takes_part(
    mien: Call, judge: Path, faces: PreparedSet, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    asked = mien("bench", "--data", faces.path, "--write-requests", theirs, *SMALL)
    assert asked.code == 0, asked.err
    assert asked.out.strip() == str(theirs / "requests.csv")
    for line in (theirs / "requests.csv").read_text().splitlines()[1:]:  # it gives everything back as it came
        face, _, _, image = line.split(",")
        (theirs / image).write_bytes((theirs / face).read_bytes())

    out = tmp_path / "report"
    said = mien("bench", f"folder:{theirs}", "identity", "--data", faces.path, "--judge", judge, "--out", out, *SMALL)

    assert said.code == 0, said.err
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    f1 = {
        line["contestant"]: line["value"]
        for line in lines
        if line["measure"] == "expression-f1" and not line["expression"]
    }
    assert f1["theirs"] == f1["identity"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"models": []}, "needs a model"),
        ({"models": ["nobody"]}, "no model `nobody`"),
        ({"models": ["MINE", "MINE"]}, "given twice"),
        ({"judges": ["nobody"]}, "no judge `nobody`"),
        ({"judges": ["MINE"]}, "the run of a generator"),
        ({"judges": ["JUDGE", "JUDGE"]}, "same judge"),
        ({"data": "missing"}, "no prepared set"),
        ({"more": ["--set", "split=test"]}, "no test images"),
        ({"more": ["--set", "intensity=2"]}, "intensity"),
        ({"more": ["--set", "face=2"]}, "unknown setting `face`"),
        ({"more": ["--show", "README.md"]}, "README.md"),
        ({"more": ["--device", "cudo"]}, "no device `cudo`"),
        ({"out": False}, "--out"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_leaves_nothing(
    mien: Call, run: Path, judge: Path, faces: PreparedSet, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    def named(names: list[str]) -> list[Any]:
        return [{"MINE": run, "JUDGE": judge}.get(name, name) for name in names]

    arguments = named(changed.get("models", ["MINE"]))
    for each in named(changed.get("judges", ["JUDGE"])):
        arguments += ["--judge", each]
    data = faces.path if "data" not in changed else tmp_path / changed["data"]
    out = ["--out", tmp_path / "report"] if changed.get("out", True) else []

    said = mien("bench", *arguments, "--data", data, *out, *SMALL, *changed.get("more", []))

    assert said.code == 2
    assert words in said.err and "hint: " in said.err and said.err.count("error: ") == 1
    assert not (tmp_path / "report").exists()

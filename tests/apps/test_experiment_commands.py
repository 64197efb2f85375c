"""`mien experiment` as people type it: the plan, bad input, and a whole tiny study of drawn faces."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from drawn_datasets import write_class_folders, write_fer2013

from mien.apps.commands import experiments
from mien.errors import WeightsError
from mien.experiments import SCALES, timing

ASTRONAUT = Path(__file__).parent.parent.parent / "assets" / "astronaut.png"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return write_fer2013(folder / "fer2013"), write_class_folders(folder / "faces")


@pytest.fixture
def without_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take faces as they are cut: drawn ones need no detector."""
    monkeypatch.setattr(experiments, "_detectors", lambda fetch: ("none",))


@pytest.mark.usefixtures("without_detectors")
def test_the_dry_run_prints_commands_times_and_what_is_done(
    mien: Callable[..., Any], sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "estimate", lambda plan: [0.0, 30.0, None, 90.0, 90.0, 600.0, 600.0, 600.0, 7200.0])
    monkeypatch.setattr(timing, "describe_device", lambda: "this CPU with 2 threads")
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5))
    fer, faces = sources
    out = tmp_path / "study"
    prepare = ("prepare", "fer2013", fer, "--out", out / "sets" / "fer2013-none", "--size", 52, "--detector", "none")
    assert mien(*prepare, "--option", "labels=ferplus", "--share", 0.25).code == 0
    before = tree(tmp_path)
    monkeypatch.setattr(experiments, "_judges_of", lambda judge: judge or ())
    said = mien("experiment", "open", "--fer2013", fer, "--faces-wild", faces, "--out", out, "--dry-run")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[:6] == [
        f"open, small: 9 steps in {out}",
        "",
        " 1. prepare FER2013: done",
        f"    mien prepare fer2013 {fer} --out {out}/sets/fer2013-none --size 52 --detector none "
        "--option labels=ferplus --share 0.25",
        " 2. prepare Faces-Wild: about 30 s",
        f"    mien prepare folder {faces} --out {out}/sets/faces-wild-none --size 52 --detector none "
        "--option name=faces-wild",
    ]
    assert lines[6] == " 3. combine fer2013-none and faces-wild-none: not known"
    assert lines[12] == " 6. train FER2013 / none / 52: about 10 min"
    assert lines[-3:] == [
        "",
        "1 of 9 steps are done; the others take about 2.6 h and what is not known on this CPU with 2 threads.",
        "An estimate: from counts of images and steps, and from the speed of networks and detectors, measured just now.",
    ]
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["seed2"], "unknown experiment `seed2`", "seed1, open"),
        (["seed1", "--affwild2", "."], "needs `--affectnet DIR`", "docs/datasets.md"),
        (["open", "--fer2013", ".", "--faces-wild", ".", "--affectnet", "."], "for `mien experiment seed1`", "leave"),
        (["seed1", "--affwild2", ".", "--affectnet", ".", "--scale", "full"], "for `mien experiment open`", "leave"),
        (["open", "--fer2013", ".", "--faces-wild", ".", "--scale", "huge"], "unknown scale `huge`", "small, full"),
        (["seed1", "--affwild2", ".", "--affectnet", ".", "--sizes", "big"], "no whole numbers", "--sizes 64,128"),
        (["open", "--fer2013", "none", "--faces-wild", "none"], "no FER2013 at `none`", "parquet"),
        (["seed1", "--affwild2", "none", "--affectnet", "none"], "no expression annotations", "EXPR_"),
        (["open", "--fer2013", ".", "--faces-wild", ".", "--set", "steps"], "is not key=value", "KEY=VALUE"),
    ],
)
@pytest.mark.usefixtures("without_detectors")
def test_bad_input_is_one_line_before_anything_starts(
    refused: Callable[..., None], tmp_path: Path, arguments: list[str], error: str, hint: str
) -> None:
    refused("experiment", *arguments, "--out", tmp_path / "study", error=error, hint=hint)


def test_without_retinafaces_weights_the_study_goes_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> None:
        raise WeightsError("RetinaFace's weights cannot be fetched: no network", hint="connect")

    monkeypatch.setattr("mien.faces.retinaface_weights.published_tensors", none)
    assert list(experiments._detectors(fetch=True)) == ["mtcnn"]
    assert "goes without RetinaFace" in capsys.readouterr().err
    monkeypatch.setattr("mien.faces.retinaface_weights.published_tensors", dict)
    assert list(experiments._detectors(fetch=True)) == ["mtcnn", "retinaface"]


@pytest.mark.usefixtures("without_detectors")
@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_what_the_report_at_the_end_needs_is_missed_at_the_start(
    mien: Callable[..., Any], sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    out, (fer, faces) = tmp_path / "study", sources
    said = mien("experiment", "open", "--fer2013", fer, "--faces-wild", faces, "--out", out)
    assert said.code == 2 and "mien[bench]" in said.err and not out.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("without_detectors")
def test_a_whole_study_of_drawn_faces_and_again(
    mien: Callable[..., Any], sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = dataclasses.replace(
        SCALES["small"],
        share=1.0, size=32,
        settings=(
            "steps=2", "batch_size=10", "generator_channels=8", "generator_blocks=1", "critic_channels=8",
            "critic_layers=3",
        ),
        judge_settings=("epochs=1", "batch_size=28"),
        bench=("faces=4", "sweep_faces=2", "gamut_faces=1", "gamut_angles=4", "gamut_radii=1", "examples=1"),
    )  # fmt: skip
    monkeypatch.setitem(SCALES, "small", tiny)
    monkeypatch.setattr(experiments, "_judges_of", lambda judge: judge or ())
    fer, faces = sources
    out = tmp_path / "study"
    study = ("experiment", "open", "--fer2013", fer, "--faces-wild", faces, "--out", out, "--show", ASTRONAUT)
    said = mien(*study)
    assert (said.code, said.out) == (0, f"{out / 'report' / 'report.html'}\n"), said.err
    lines = [json.loads(line) for line in (out / "report" / "results.jsonl").read_text("utf-8").splitlines()]
    titles = {line["contestant"] for line in lines if line["kind"] == "model"}
    assert titles == {"FER2013 / none / 32", "Faces-Wild / none / 32", "Combined / none / 32"}
    assert {line["judge"] for line in lines} == {"resnet18", "vgg16_bn", None}
    # The report shows the photo given, no face of the data: neither examples nor the runs' samples.
    assert not list((out / "report" / "figures").glob("samples*"))
    again = mien(*study)
    assert again.code == 0 and again.err.count("done already") == 9 and "took" not in again.err

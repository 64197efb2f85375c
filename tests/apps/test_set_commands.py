"""The commands on prepared sets as people type them: combine, inspect, unpack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from photographs import photograph, sample, write_set
from PIL import Image

from mien.prepared import PreparedSet


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    rows = [sample(f"t{i}", photograph(i), "train", ("happy", "sad")[i % 2], source="leaky") for i in range(5)]
    rows += [sample("v0", photograph(0), "validation", "sad", source="leaky")]
    rows += [sample("v1", photograph(9), "validation", "sad", source="leaky", subject="ann")]
    write_set(tmp_path / "leaky", rows)
    return tmp_path / "leaky"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    rows = [sample(f"t{i}", photograph(20 + i), "train", "fear", source="other", subject="ann") for i in range(3)]
    write_set(tmp_path / "other", rows)
    return tmp_path / "other"


def test_drawn_faces_from_the_program_to_files_and_back(mien: Callable[..., Any], tmp_path: Path) -> None:
    assert mien("prepare", "drawn", "--option", "count=70", "--size", 32, "--out", tmp_path / "set").code == 0
    said = mien("unpack", tmp_path / "set", "--out", tmp_path / "files", "--format", "ganmut")
    assert (said.code, said.out) == (0, f"{tmp_path / 'files'}\n")
    assert mien("prepare", "folder", tmp_path / "files", "--size", 32, "--out", tmp_path / "again").code == 0
    before, after = (PreparedSet.open(tmp_path / name) for name in ("set", "again"))
    assert before.manifest["counts"] == after.manifest["counts"]
    assert sorted(image.tobytes() for image in before.images(range(70))) == sorted(
        image.tobytes() for image in after.images(range(70))
    )


def test_expressions_that_training_lacks_are_named(mien: Callable[..., Any], tmp_path: Path) -> None:
    for index, place in enumerate(("train/happy", "train/neutral", "validation/happy", "validation/sad")):
        (tmp_path / "faces" / place).mkdir(parents=True)
        Image.new("L", (16, 16), 20 * index).save(tmp_path / "faces" / place / "a.png")
    command = ("prepare", "folder", tmp_path / "faces", "--size", 16)
    said = mien(*command, "--out", tmp_path / "set")
    assert said.code == 0 and said.err.splitlines()[-1] == "note: no training face shows sad"
    few = mien(*command, "--share", 0.99, "--out", tmp_path / "few")
    assert few.err.splitlines()[-1].endswith("shows sad; a larger --share may hold some")
    (tmp_path / "faces" / "train" / "sad").mkdir()
    Image.new("L", (16, 16), 200).save(tmp_path / "faces" / "train" / "sad" / "a.png")
    assert "note" not in mien(*command, "--out", tmp_path / "all").err


def test_inspect_prints_a_table_and_warns(mien: Callable[..., Any], leaky: Path, tmp_path: Path) -> None:
    said = mien("inspect", leaky)
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["train", "validation", "all"], ["happy", "3", "0", "3"], ["sad", "2", "2", "4"], ["all", "5", "2", "7"],
    ]  # fmt: skip
    assert "images: 48 x 48 pixels, grey" in lines
    assert "duplicates between splits: 1 same, 0 near, 0 mirrored; 1 with different labels" in lines
    assert "WARNING: 1 picture of validation or test is in an earlier split too, 1 with another label:" in said.err
    assert "v0 = t0 (same, 1.00)" in said.err and "--without-leaks" in said.err


def test_inspect_as_a_step_of_a_pipeline(mien: Callable[..., Any], leaky: Path, tmp_path: Path) -> None:
    said = mien("inspect", leaky, "--strict", "--json", "--out", tmp_path / "report")
    assert said.code == 1 and "WARNING" in said.err
    assert json.loads(said.out) == json.loads((tmp_path / "report" / "report.json").read_text())
    clean = tmp_path / "clean"
    said = mien("combine", leaky, "--without-leaks", "--out", clean)
    assert (said.code, said.out) == (0, f"{clean}\n") and "left out: 1" in said.err
    said = mien("inspect", clean, "--strict")
    assert said.code == 0 and "WARNING" not in said.err


def test_combine_says_what_it_moved_and_left_out(
    mien: Callable[..., Any], leaky: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    said = mien("combine", leaky, other, "--balance", "expressions", "--out", out)
    assert (said.code, said.out) == (0, f"{out}\n"), said
    assert "1 subject was in several splits" in said.err and "ann" in said.err
    assert "validation: sad 2, fear 3" in said.err and "train: happy 2, sad 2" in said.err
    assert mien("combine", leaky, other, "--balance", "expressions", "--out", out).code == 0  # finished already


def test_combine_leaves_out_what_is_on_a_list(
    mien: Callable[..., Any], refused: Callable[..., None], leaky: Path, tmp_path: Path
) -> None:
    key = PreparedSet.open(leaky).keys[0]
    (tmp_path / "list.txt").write_text(f"{key}\n")
    said = mien("combine", leaky, "--leave-out", tmp_path / "list.txt", "--out", tmp_path / "bare")
    assert said.code == 0 and "left out: 1" in said.err
    assert key not in PreparedSet.open(tmp_path / "bare").keys
    for given, error, hint in (
        ("fer2013-covered", "none of the sets' images", "FER2013's numbers"),
        ("", "cannot be read", "a list that ships"),
    ):
        refused("combine", leaky, "--leave-out", given, "--out", tmp_path / "none", error=error, hint=hint)


def test_a_subject_on_both_sides_is_a_leak(mien: Callable[..., Any], tmp_path: Path) -> None:
    rows = [sample(split, photograph(i), split, subject="ann") for i, split in enumerate(("train", "test"))]
    write_set(tmp_path / "set", rows)
    said = mien("inspect", tmp_path / "set", "--strict")
    assert said.code == 1 and "WARNING: 1 subject is in several splits: ann" in said.err


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("combine {leaky} {leaky} --out {out}", "hold the same data", "once"),
        ("combine {leaky} {other} --balance luck --out {out}", "unknown balance `luck`", "sources, expressions"),
        ("combine {leaky} {other} --balance sources --ratio 0 --out {out}", "--ratio", "--help"),
        ("combine {leaky} {other} --out {leaky}", "lies in the set", "another folder"),
        ("combine --out {out}", "DIR", "--help"),
        ("combine {leaky} nowhere --out {out}", "no prepared set at `nowhere`", "mien prepare"),
        ("inspect nowhere", "no prepared set at `nowhere`", "mien prepare"),
        ("inspect {leaky} --out {leaky}/report", "lies in the prepared set", "another folder"),
        ("inspect {leaky} --out {other}", "holds no report", "empty folder"),
        ("unpack {leaky} --out {other}", "not empty", "empty folder"),
        ("unpack {leaky} --format lmdb --out {out}", "unknown format `lmdb`", "folders, ganmut"),
        ("unpack {leaky}", "--out", "--help"),
    ],
)
def test_refused(
    refused: Callable[..., None], leaky: Path, other: Path, tmp_path: Path, line: str, error: str, hint: str
) -> None:
    words = line.format(leaky=leaky, other=other, out=tmp_path / "out").split()
    refused(*words, error=error, hint=hint)


def test_a_set_of_another_version_is_refused(refused: Callable[..., None], leaky: Path, tmp_path: Path) -> None:
    manifest = json.loads((leaky / "manifest.json").read_text())
    (leaky / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    for command in ("combine", "inspect", "unpack"):
        out = ("--out", tmp_path / "out")
        refused(command, leaky, *out, error="version 99", hint="mien prepare")

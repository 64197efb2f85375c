"""`mien detect-study` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def test_a_folder_is_studied(mien: Callable[..., Any], portrait: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    portrait.save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (80, 80), (90, 90, 90)).save(tmp_path / "photos" / "b.png")
    (tmp_path / "photos" / "c.jpg").write_bytes(b"\xff\xd8 broken")
    out = tmp_path / "study"
    said = mien(
        "detect-study", tmp_path / "photos", "--detector", "mtcnn", "--threshold", "0.9,0.4", "--padding", "0,0.25",
        "--out", out,
    )  # fmt: skip
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[:6]] == ["detector", "-" * 10, *["mtcnn"] * 4]
    assert [line.split("|")[2:4] for line in lines[2:6]] == [
        [f" {t:<9} ", f" {p:<7} "] for p in ("0", "0.25") for t in ("0.9", "0.4")
    ]
    assert all("50.0%" in line for line in lines[2:6])
    assert lines[6:] == [str(out / f"study.{kind}") for kind in ("json", "md", "png")]
    assert "1 of 3 images could not be read" in said.err
    content = json.loads((out / "study.json").read_text())
    assert (content["unreadable"], content["face"]) == (1, "cut")
    assert len(content["findings"]) == 4


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nowhere",), "no labelled images at `nowhere`"),
        (("drawn", "--threshold", "strict"), "`--threshold strict` is no list of numbers"),
        (("drawn", "--threshold", "1.5"), "`--threshold 1.5` is no list of numbers"),
        (("drawn", "--face", "both"), "face `both` is unknown"),
        (("drawn", "--padding", "0.1"), "only images that are cut round a face are padded"),
        (("drawn", "--detector", "viola"), "unknown detector `viola`"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], error: str, refused: Callable[..., None]) -> None:
    refused("detect-study", *arguments, error=error)


def test_missing_weights_are_told_with_the_way_out(
    refused: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.faces import retinaface_weights

    monkeypatch.delenv("MIEN_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(retinaface_weights, "URL", "file:///nowhere/weights.pth")
    monkeypatch.setattr(retinaface_weights, "print", lambda *_, **__: None, raising=False)
    refused("detect-study", "drawn", "--detector", "retinaface", error="cannot be fetched", hint="MIEN_WEIGHTS")

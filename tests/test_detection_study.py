"""The study of detectors, by hand with detectors that find what they are told to, and on drawn scenes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import drawn
from mien.detection_study import (
    Finding,
    StudyImage,
    drawn_scene,
    figure,
    overlap,
    study,
    study_images,
    table,
    write_study,
)  # fmt: skip
from mien.errors import ConfigError, DataError, ImageError
from mien.faces import FACE_TEMPLATE, Detection, aligner


def test_overlap_by_hand() -> None:
    first = np.array([0.0, 0.0, 10.0, 10.0])
    assert overlap(first, first) == 1.0
    assert overlap(first, np.array([5.0, 0.0, 15.0, 10.0])) == pytest.approx(50 / 150)
    assert overlap(first, np.array([10.0, 0.0, 20.0, 10.0])) == 0.0
    assert overlap(first, np.array([20.0, 20.0, 30.0, 30.0])) == 0.0  # two negative sides are no area


def face_in(box: tuple[float, float, float, float], shift: float = 0.0) -> Detection:
    points = FACE_TEMPLATE * (box[2] - box[0]) + [box[0], box[1]]
    return Detection(box, 0.9, points + np.array([shift, 0]))


class Scripted:
    """Finds a face in the first image; from a low threshold on a false one as well, and one in the second image."""

    def __init__(self, name: str, device: str, threshold: float) -> None:
        self.threshold, self.settings = threshold, {}

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        right, wrong = face_in((20, 20, 60, 60), shift=1.32), face_in((70, 70, 90, 90))
        answers = {1: [right], 2: []} if self.threshold > 0.5 else {1: [right, wrong], 2: [right]}
        return [answers[image[0, 0, 0]] for image in images]


def test_what_is_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner, "load_detector", Scripted)

    def broken() -> np.ndarray:
        raise ImageError("broken")

    def image(mark: int, truth: bool) -> StudyImage:
        box = np.array([20.0, 20.0, 60.0, 60.0])
        known = {"box": box, "landmarks": FACE_TEMPLATE * 40 + 20} if truth else {}
        return StudyImage(lambda: np.full((100, 100, 3), mark, np.uint8), **known)

    images = [image(1, True), image(2, True), StudyImage(broken), image(2, True), image(2, True)]
    told: list[tuple[int, int]] = []
    findings, unreadable = study(
        images, ["scripted"], [0.9, 0.1], face="largest", report=lambda *state: told.append(state)
    )
    assert unreadable == 1
    assert told[-1] == (5, 5)
    strict, loose = findings
    assert (strict.threshold, strict.images, strict.padding) == (0.9, 4, None)
    assert (strict.with_face, strict.usable, strict.faces_per_image) == (0.25, 0.25, 0.25)
    assert (strict.hits, strict.false_positives) == (0.25, 0.0)
    # The landmarks are 1.32 pixels off, the eyes 0.33 * 40 = 13.2 apart.
    assert strict.landmark_error == pytest.approx(0.1)
    assert (loose.with_face, loose.faces_per_image, loose.hits, loose.false_positives) == (1.0, 1.25, 1.0, 0.25)
    # Where the truth is not known nothing is said about it.
    (unknown,), _ = study([image(1, False)], ["scripted"], [0.9], face="largest")
    assert (unknown.hits, unknown.false_positives, unknown.landmark_error) == (None, None, None)
    assert "hits" in table(findings)
    assert "hits" not in table([unknown])


def test_a_looser_threshold_finds_no_fewer_faces() -> None:
    images = study_images("drawn", 14)
    findings, unreadable = study(images, ["mtcnn"], [0.99, 0.4], face="largest")
    assert unreadable == 0
    assert 0.3 < findings[0].with_face <= findings[1].with_face
    assert findings[1].landmark_error is not None
    assert findings[1].landmark_error < 0.2


def test_the_truth_of_a_drawn_scene_is_where_the_face_is() -> None:
    (_, _, _, face), *_ = drawn.faces(1)
    scene = next(s for s in (drawn_scene(index, face) for index in range(40)) if s.box is not None and s.box[0] > 60)
    assert scene.box is not None and scene.landmarks is not None
    pixels = scene.read()
    assert np.array_equal(pixels, scene.read())
    assert (pixels.shape, pixels.dtype) == ((320, 320, 3), np.uint8)
    # The same portrait drawn alone, at the place and of the size that the truth says, looks the same up to light.
    eyes = np.linalg.norm(scene.landmarks[1] - scene.landmarks[0])
    alone = drawn.landmarks(face, 100)
    side = round(100 * eyes / np.linalg.norm(alone[1] - alone[0]))
    left, top = np.rint(scene.landmarks[2] - drawn.landmarks(face, side)[2]).astype(int)
    cut = pixels[top : top + side, left : left + side].astype(float).ravel()
    assert np.corrcoef(cut, drawn.draw(face, side).astype(float).ravel())[0, 1] > 0.6


def test_images_come_from_folders_of_any_structure(tmp_path: Path) -> None:
    for index, name in enumerate(("b/x.png", "a.jpg", "b/deep/y.png", "c.png")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10 + index)).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    heights = [image.read().shape[0] for image in study_images(str(tmp_path))]
    assert heights == [11, 12, 10, 13]  # sorted by path
    assert [image.read().shape[0] for image in study_images(str(tmp_path), 2)] == [11, 13]
    with pytest.raises(ConfigError, match="limit 0"):
        study_images(str(tmp_path), 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        study_images(str(tmp_path / "empty"))
    with pytest.raises(DataError):
        study_images(str(tmp_path / "nowhere"))


def test_what_cannot_be_studied_is_refused(tmp_path: Path) -> None:
    images = study_images("drawn", 1)
    with pytest.raises(ConfigError, match="padded"):
        study(images, ["mtcnn"], [0.5], paddings=[0.1], face="largest")
    with pytest.raises(ConfigError, match="unknown detector"):
        study(images, ["mtcn"], [0.5])
    with pytest.raises(ConfigError, match="threshold"):
        study(images, ["mtcnn"], [1.0])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="not one"):
        study(study_images(str(tmp_path)), ["mtcnn"], [0.5])


def made_up(detector: str, threshold: float, share: float, false: float | None = None) -> Finding:
    return Finding(detector, threshold, None, 200, share, share, share, 50.0, share, false, None)


def test_the_picture_shows_each_share_at_its_height() -> None:
    findings = [made_up("mtcnn", t, share) for t, share in ((0.1, 1.0), (0.9, 0.0))]
    page = figure(findings).astype(int)
    blue = (np.abs(page - [0, 114, 178]).sum(axis=-1) < 60) & (np.arange(page.shape[1]) < 660)
    rows, columns = np.nonzero(blue)
    top, bottom = columns[rows == rows.min()].mean(), columns[rows == rows.max()].mean()
    assert top < 120 and bottom > 600  # 100 % at 0.1, on the left; nothing at 0.9, on the right
    assert rows.max() - rows.min() == pytest.approx(560 - 84 - 84, abs=14)
    assert figure([made_up("mtcnn", 0.5, 0.5, 0.1)]).shape == page.shape  # a single threshold is no line


def test_the_files_are_written_whole(tmp_path: Path) -> None:
    findings = [made_up("mtcnn", 0.5, 0.5, 0.125)]
    paths = write_study(tmp_path / "new" / "study", findings, {"data": "faces"})
    assert sorted(path.name for path in (tmp_path / "new" / "study").iterdir()) == sorted(p.name for p in paths)
    content = json.loads(paths[0].read_text())
    assert content["data"] == "faces"
    assert content["findings"][0]["false_positives"] == 0.125
    assert "| mtcnn " in paths[1].read_text()
    assert Image.open(paths[2]).size == (900, 560)
    assert write_study(tmp_path / "new" / "study", findings, {"data": "others"}) == paths
    assert json.loads(paths[0].read_text())["data"] == "others"


@pytest.mark.parametrize(("name", "text"), [("study.md", "years of work"), ("study.json", "[1]")])
def test_a_study_goes_over_no_other_things(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="no earlier study"):
        write_study(tmp_path, [made_up("mtcnn", 0.5, 0.5)], {})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == text

"""Which face of an image is meant, and what becomes of it: by hand with a made-up detector, and on real faces."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from portrait import ASTRONAUT

from mien.datasets.sample import FACES
from mien.faces import FACE_TEMPLATE, Detection, FaceAligner, aligner, crop_face, estimate_alignment
from mien.faces.aligner import choose_face
from mien.faces.mtcnn import MTCNN
from mien.faces.retinaface import RetinaFace
from mien.images import read_image, resize


def face_at(x: float, side: float, confidence: float = 0.9) -> Detection:
    """A face whose box has its centre at x, upright and framed as the template is."""
    box = (x - side / 2, 20.0, x + side / 2, 20.0 + side)
    return Detection(box, confidence, FACE_TEMPLATE * side + [box[0], box[1]])


class Scripted:
    """A detector that finds what it is told to, and remembers what it was asked."""

    settings = {"scripted": True}  # noqa: RUF012

    def __init__(self, found: Sequence[Detection]) -> None:
        self.found, self.asked = list(found), []

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        self.asked += [(image.shape[:2], minimum_size) for image in images]
        return [self.found for _ in images]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes an aligner whose detector is scripted, and the detector."""

    def make(*found: Detection, **options: Any) -> tuple[FaceAligner, Scripted]:
        detector = Scripted(found)
        monkeypatch.setattr(aligner, "load_detector", lambda *_, **__: detector)
        return FaceAligner("scripted", 32, **options), detector

    return make


# ---------------------------------------------------------------------------------------------------- which face


def test_each_word_chooses_its_face() -> None:
    large, small, sure = face_at(150, 90, 0.8), face_at(40, 60, 0.7), face_at(260, 50, 0.99)
    found = [large, small, sure]  # largest first; the third is in nobody's way
    chosen = {word: choose_face(found, word, 300) for word in FACES}
    assert chosen == {"cut": large, "largest": large, "confident": sure, "left": small, "right": large}
    assert all(choose_face([], word, 300) == "no face found" for word in FACES)


@pytest.mark.parametrize(("x", "left", "right"), [(99.0, True, False), (201.0, False, True), (150.0, False, True)])
def test_a_face_found_alone_counts_in_its_own_half_only(x: float, left: bool, right: bool) -> None:
    for word, counts in (("left", left), ("right", right)):
        chosen = choose_face([face_at(x, 50)], word, 300)
        assert (not isinstance(chosen, str)) == counts
        assert counts or chosen == "only the other person's face was found"


def test_a_word_that_means_nothing_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="both"):
        choose_face([face_at(10, 5)], "both", 300)


# ---------------------------------------------------------------------------------------------------- how it is sought


def test_cut_images_are_continued_and_scenes_are_not(scripted) -> None:
    align, detector = scripted(padding=0.25, upscale_to=96)
    images = [np.zeros((48, 60, 3), np.uint8), np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300, 3), np.uint8)]
    assert align(images, ["cut", "largest", "cut"]) == ["no face found"] * 3
    # 48 x 60 enlarged to 96 x 120 and a quarter of 96 on each side; faces as wide as 0.4 of it.
    assert detector.asked == [
        ((144, 168), pytest.approx(0.4 * 96)),
        ((300, 400), pytest.approx(80)),
        ((200, 300), None),
    ]


def test_detections_come_back_in_pixels_of_the_image(scripted) -> None:
    truth = face_at(30, 30)
    as_seen = Detection(tuple(2 * v + 24 for v in truth.box), 0.9, 2 * truth.landmarks + 24)
    align, _ = scripted(as_seen, padding=0.25, upscale_to=96)
    image = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)
    ((found,),) = align.find([image], ["cut"])
    assert found.box == pytest.approx(truth.box)
    assert np.allclose(found.landmarks, truth.landmarks)
    (crop,) = align([image], ["cut"])
    alignment = estimate_alignment(truth.landmarks)
    assert np.array_equal(crop.pixels, crop_face(image, alignment, 32))
    assert crop.frame == pytest.approx(alignment.frame(60, 48))  # the image is 60 wide, 48 high


def test_a_crop_that_is_mostly_outside_is_refused(scripted) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    align, _ = scripted(face_at(0, 40))
    (crop,) = align([image], ["largest"])  # half of it is outside
    assert not isinstance(crop, str)
    align, _ = scripted(face_at(-10, 40))
    assert align([image], ["largest"]) == ["75% of the face's crop is outside the picture"]
    align, _ = scripted(Detection((0, 0, 9, 9), 0.9, np.full((5, 2), 4.0)))
    assert align([image], ["largest"]) == ["the landmarks of the face fall into one point"]


# ---------------------------------------------------------------------------------------------------- for real


def test_it_travels_as_settings_and_loads_the_detector_anew() -> None:
    align = FaceAligner("mtcnn", 64, threshold=0.5, options=(("minimum_size", 30.0),), padding=0.1)
    settings = align.settings
    assert settings["name"] == "mtcnn"
    assert settings["thresholds"] == [0.5, 0.5, 0.5]
    assert (settings["minimum_size"], settings["padding"], settings["upscale_to"]) == (30.0, 0.1, 96)
    copy = pickle.loads(pickle.dumps(align))
    assert copy == align
    assert copy.settings == settings
    assert len(pickle.dumps(align)) < 1000  # no network in it


def test_faces_are_brought_to_the_template(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    tight = astronaut[55:180, 165:285]
    images = [tight, resize(tight, (60, 58)), np.full((64, 64, 3), 127, np.uint8), astronaut]
    aligned = FaceAligner("mtcnn", 112)(images, ["cut", "cut", "cut", "largest"])
    assert aligned[2] == "no face found"
    whole = crop_face(astronaut, estimate_alignment(ASTRONAUT), 112)
    for found in (aligned[0], aligned[1], aligned[3]):
        assert not isinstance(found, str)
        crop = found.pixels
        assert (crop.shape, crop.dtype) == ((112, 112, 3), np.uint8)
        assert np.abs(crop.astype(int) - whole)[25:100, 20:92].mean() < 12  # the same face at the same place
        (face, *_) = mtcnn.detect([np.pad(crop, ((40, 40), (40, 40), (0, 0)), mode="edge")])[0]
        assert np.abs((face.landmarks - 40) / 112 - FACE_TEMPLATE).max() < 0.05
    assert FaceAligner("mtcnn", 48)([], []) == []


def test_two_people_are_told_apart(astronaut: np.ndarray) -> None:
    two = np.concatenate(
        [astronaut[:300, 60:400], resize(astronaut[:300, 60:400], (200, 226))[:, ::-1]][:1] * 2, axis=1
    )
    two[:, 340:] = two[:, 340:] // 2  # the right one in the dark
    left, right = FaceAligner("mtcnn", 64)([two, two], ["left", "right"])
    assert not isinstance(left, str)
    assert not isinstance(right, str)
    assert left.pixels.mean() == pytest.approx(2 * right.pixels.mean(), rel=0.05)


@pytest.mark.parametrize(("detector", "least"), [("mtcnn", 0.75), ("retinaface", 0.9)])
def test_most_of_fer2013_is_found(detector: str, least: float, real_data: Path, request: pytest.FixtureRequest) -> None:
    if detector == "retinaface":
        request.getfixturevalue("published_weights")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(real_data / "fer2013" / "validation.parquet", columns=["image"]).slice(0, 64)
    images = [read_image(row["bytes"]) for row in table["image"].to_pylist()]
    crops = FaceAligner(detector, 48)(images, ["cut"] * len(images))
    assert np.mean([not isinstance(crop, str) for crop in crops]) > least


def test_both_detectors_give_nearly_the_same_crop(retinaface: RetinaFace, mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    first, second = (estimate_alignment(each.detect([astronaut])[0][0].landmarks) for each in (mtcnn, retinaface))
    assert np.abs(first.corners() - second.corners()).max() < 0.1 * first.side

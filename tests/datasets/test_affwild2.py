"""Aff-Wild2's layout: films and cut-out images with a label for each frame."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from drawn_films import SIZE, face, marked, read_mark, write_film
from PIL import Image

from mien.datasets import READERS, Rejected, Row, Sample, affwild2
from mien.errors import ConfigError, DataError, ImageError
from mien.images import Cropped
from mien.prepared import prepare

SEVEN = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
EIGHT = f"{SEVEN},Other"
#: The names of Aff-Wild2's integers, by the order of the header above.
NAMES = ("neutral", "anger", "disgust", "fear", "happy", "sad", "surprise")


def annotate(
    root: Path, video: str, labels: list[int] | list[str], part: str = "Train_Set", header: str = EIGHT
) -> Path:
    path = root / "annotations" / "EXPR_Classification_Challenge" / part / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *map(str, labels)]) + "\n")
    return path


def film_of(root: Path, name: str, labels: list[int]) -> None:
    """Write a film whose every frame shows what its label says, and its number from 1."""
    shown = [NAMES[label] if 0 <= label < 7 else "neutral" for label in labels]
    write_film(root / "videos" / name, [marked(face(word), i) for i, word in enumerate(shown, start=1)])


def crops_of(root: Path, folder: str, video: str, numbers: list[int]) -> None:
    for number in numbers:
        path = root / folder / video / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked(face("happy"), number)).save(path, quality=95)


def samples(rows: list[Row]) -> list[Sample]:
    return [row for row in rows if isinstance(row, Sample)]


def rejected(rows: list[Row]) -> dict[str, str]:
    return {row.key: row.reason for row in rows if isinstance(row, Rejected)}


def test_line_i_is_frame_i(tmp_path: Path) -> None:
    labels = [0, 4, -1, 6, 7, 1, 5, 3, 2]
    annotate(tmp_path, "video1", labels)
    annotate(tmp_path, "9-24-640x480", [4, 4], "Validation_Set")
    film_of(tmp_path, "batch1/video1.mp4", labels)
    film_of(tmp_path, "batch2/9-24-640x480.avi", [4, 4])
    rows = list(affwild2.read(tmp_path))
    train = [row for row in samples(rows) if row.split == "train"]
    # By hand: -1 (line 3) and Other (line 5) are no samples; the numbers mean the words of the header.
    assert [(row.key, row.expression) for row in train] == [
        ("train/video1/00001", "neutral"), ("train/video1/00002", "happy"), ("train/video1/00004", "surprise"),
        ("train/video1/00006", "anger"), ("train/video1/00007", "sad"), ("train/video1/00008", "fear"),
        ("train/video1/00009", "disgust"),
    ]  # fmt: skip
    assert [read_mark(row.read()) for row in train] == [1, 2, 4, 6, 7, 8, 9]
    for row in train:  # the picture is the one that was drawn with this expression, and nearer to no other
        errors = {name: np.abs(row.read()[16:].astype(int) - face(name)[16:]).mean() for name in NAMES}
        assert min(errors, key=errors.__getitem__) == row.expression
    assert {(row.subject, row.face, row.source) for row in train} == {("video1", "largest", "affwild2")}
    assert rejected(rows) == {
        "train/video1": "1 frames without a label, 1 of another expression; this row stands for them all"
    }
    assert [row.key for row in samples(rows) if row.split == "validation"] == [
        "validation/9-24-640x480/00001", "validation/9-24-640x480/00002"
    ]  # fmt: skip


def test_samples_travel_to_other_processes(tmp_path: Path) -> None:
    annotate(tmp_path, "video1", [4, 4])
    film_of(tmp_path, "video1.avi", [4, 4])
    for row in samples(list(affwild2.read(tmp_path))):
        copy = pickle.loads(pickle.dumps(row))
        np.testing.assert_array_equal(copy.read(), row.read())


def test_numbers_mean_what_the_header_says(tmp_path: Path) -> None:
    annotate(tmp_path, "a", ["0", "1"], header="Happiness, Neutral")
    path = annotate(tmp_path, "b", [6, 7], header=SEVEN)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    film_of(tmp_path, "a.avi", [0, 0])
    film_of(tmp_path, "b.avi", [6, 6])
    rows = list(affwild2.read(tmp_path))
    assert [(row.key, row.expression) for row in samples(rows)] == [
        ("train/a/00001", "happy"), ("train/a/00002", "neutral"), ("train/b/00001", "surprise")
    ]  # fmt: skip
    assert rejected(rows) == {"train/b/00002": "label `7` is not one of -1 to 6"}  # the first challenge has no Other


def test_every_takes_the_first_and_each_nth_after(tmp_path: Path) -> None:
    labels = [0, -1, 4, 4, 4, 4, 7, 4]
    annotate(tmp_path, "v", labels)
    film_of(tmp_path, "v.avi", labels)
    rows = list(affwild2.read(tmp_path, every=3))
    assert [row.key for row in samples(rows)] == ["train/v/00001", "train/v/00004"]
    assert rejected(rows) == {
        "train/v": "0 frames without a label, 1 of another expression; this row stands for them all"
    }


@pytest.mark.parametrize(
    ("lines", "kept", "refused"),
    [
        (2, [1, 2], {}),  # more frames than lines: the frames beyond are not labelled
        (3, [1, 2, 3], {}),
        (4, [1, 2, 3], {}),  # one line too many is how the publisher counts
        (5, [1, 2, 3], dict.fromkeys(["train/v/00004", "train/v/00005"], "the film has only 3 frames")),
    ],
)
def test_lines_and_frames_differ(tmp_path: Path, lines: int, kept: list[int], refused: dict[str, str]) -> None:
    annotate(tmp_path, "v", [4] * lines)
    film_of(tmp_path, "v.mp4", [4] * 3)
    rows = list(affwild2.read(tmp_path))
    assert [read_mark(row.read()) for row in samples(rows)] == kept
    assert rejected(rows) == refused


def test_a_number_without_end_costs_its_frame(tmp_path: Path) -> None:
    annotate(tmp_path, "v", [4, int("9" * 4000), 4])
    path = next(tmp_path.rglob("v.txt"))
    path.write_text(path.read_text().replace("9" * 4000, "9" * 5000))
    film_of(tmp_path, "v.mp4", [4] * 3)
    rows = list(affwild2.read(tmp_path))
    assert len(samples(rows)) == 2
    assert [reason[:8] for reason in rejected(rows).values()] == ["label `9"]


def sides_of_a_film(root: Path, film: str) -> None:
    """Write a film of two people: a happy one on the left, a sad one on the right."""
    frame = np.concatenate([face("happy", 1), face("sad", 2)], axis=1)
    write_film(root / "videos" / film, [frame] * 2)


def cut_side(images: list[np.ndarray], faces: list[str]) -> list[Cropped | str]:
    """Stand in for an aligner: of a frame that is twice as wide as high, the half that is meant."""
    sides = {"left": slice(0, SIZE), "right": slice(SIZE, 2 * SIZE)}
    pairs = zip(images, faces, strict=True)
    return [Cropped(image[:, sides[face]]) if face in sides else "no side" for image, face in pairs]


def test_two_people_are_told_apart_by_side(tmp_path: Path) -> None:
    for film in ("video5.avi", "video59.avi", "video2.avi", "new.avi"):
        sides_of_a_film(tmp_path, film)
    for video, label in {
        "video5_left": 4, "video5_right": 5,
        "video59": 4, "video59_right": 5,  # the bare name is the other person
        "video2": 5, "video2_left": 4,
        "new": 4, "new_right": 5,  # so for films that are not in the known list
    }.items():  # fmt: skip
        annotate(tmp_path, video, [label] * 2)
    rows = samples(list(affwild2.read(tmp_path)))
    assert {row.subject: row.face for row in rows} == {
        "video5_left": "left", "video5_right": "right", "video59": "left", "video59_right": "right",
        "video2": "right", "video2_left": "left", "new": "left", "new_right": "right",
    }  # fmt: skip
    prepared = prepare(rows, tmp_path / "out", dataset="affwild2", size=SIZE, crop=cut_side)
    assert len(prepared) == 16
    images = prepared.images(np.arange(16))
    for image, label in zip(images, prepared.labels, strict=True):
        np.testing.assert_array_equal(image, face("happy", 1) if label == 1 else face("sad", 2))
    assert {row.face for row in samples(list(affwild2.read(tmp_path, rule="seed")))} == {"confident"}


def test_a_known_two_person_film_keeps_its_sides_when_one_annotation_is_missing(tmp_path: Path) -> None:
    sides_of_a_film(tmp_path, "video2.avi")
    sides_of_a_film(tmp_path, "video10_1.avi")
    annotate(tmp_path, "video2", [5])
    annotate(tmp_path, "video10_1_right", [5])
    assert {row.key: row.face for row in samples(list(affwild2.read(tmp_path)))} == {
        "train/video2/00001": "right", "train/video10_1_right/00001": "right"
    }  # fmt: skip


def test_a_film_of_one_side_alone_needs_no_side(tmp_path: Path) -> None:
    annotate(tmp_path, "video5_left", [4])
    film_of(tmp_path, "video5_left.avi", [4])
    assert [row.face for row in samples(list(affwild2.read(tmp_path)))] == ["largest"]


def test_cropped_images_by_their_numbers(tmp_path: Path) -> None:
    annotate(tmp_path, "video1", [4, 4, 4, 0, -1])
    annotate(tmp_path, "video5_left", [4, 4])
    annotate(tmp_path, "late", [4])
    crops_of(tmp_path, "cropped_aligned", "video1", [1, 3, 4, 5])
    crops_of(tmp_path, "cropped_aligned/cropped_aligned_new_50_vids", "video5_left", [2])
    crops_of(tmp_path, "cropped_aligned_new_50_vids", "late", [1])
    (tmp_path / "cropped_aligned" / "video1" / ".DS_Store").touch()
    rows = list(affwild2.read(tmp_path))
    kept = samples(rows)
    assert [(row.key, read_mark(row.read()), row.face) for row in kept] == [
        ("train/late/00001", 1, "cut"), ("train/video1/00001", 1, "cut"), ("train/video1/00003", 3, "cut"),
        ("train/video1/00004", 4, "cut"), ("train/video5_left/00002", 2, "cut"),
    ]  # fmt: skip
    assert rejected(rows) == {
        "train/video1/00002": "no such image",
        "train/video1": "1 frames without a label, 0 of another expression; this row stands for them all",
        "train/video5_left/00001": "no such image",
    }


def test_images_that_serve_most_videos_are_taken(tmp_path: Path) -> None:
    for video in ("a", "b"):
        annotate(tmp_path, video, [4])
        crops_of(tmp_path, "cropped_aligned", video, [1])
    crops_of(tmp_path, "cropped", "a", [1])
    film_of(tmp_path, "a.avi", [4])
    assert [row.key for row in samples(list(affwild2.read(tmp_path)))] == ["train/a/00001", "train/b/00001"]
    rows = list(affwild2.read(tmp_path, images="videos"))
    assert [(row.key, row.face) for row in samples(rows)] == [("train/a/00001", "largest")]
    assert rejected(rows) == {"train/b": "no film of this name"}
    film_of(tmp_path, "b.avi", [4])
    assert {row.face for row in samples(list(affwild2.read(tmp_path)))} == {"largest"}  # of equals, films
    assert rejected(list(affwild2.read(tmp_path, images="cropped"))) == {"train/b": "no folder of this name"}


def test_one_broken_video_costs_itself(tmp_path: Path) -> None:
    for video in ("broken", "empty", "good", "headless", "odd", "unlabelled", "valence"):
        annotate(tmp_path, video, [4, 4, 4])
        film_of(tmp_path, f"{video}.avi", [4, 4])
    annotate(tmp_path, "odd", ["4", "x", "4"])
    annotate(tmp_path, "valence", ["0.1,0.2"], header="valence,arousal")
    annotate(tmp_path, "headless", [4], header="4")
    annotate(tmp_path, "unlabelled", [])
    annotate(tmp_path, "good", [4], "Validation_Set")
    (tmp_path / "videos" / "broken.avi").write_bytes(b"RIFF and then nothing")
    (tmp_path / "videos" / "empty.avi").write_bytes(b"")
    rows = list(affwild2.read(tmp_path))
    assert [row.key for row in samples(rows)] == ["train/good/00001", "train/good/00002", "train/odd/00001"]
    reasons = rejected(rows)
    assert set(reasons) == {
        "train/broken", "train/empty", "train/headless", "train/odd/00002", "train/unlabelled", "train/valence",
        "validation/good",
    }  # fmt: skip
    assert reasons["train/broken"].startswith("`broken.avi` cannot be read as a film: ")
    assert reasons["train/empty"].startswith("`empty.avi` cannot be read as a film: ")
    assert reasons["train/headless"] == f"the annotation begins with `4`, not as `{EIGHT}`"
    assert reasons["train/odd/00002"] == "label `x` is not one of -1 to 7"
    assert reasons["train/unlabelled"] == "the annotation has no labels"
    assert "valence" in reasons["train/valence"]
    assert reasons["validation/good"] == "the video is annotated in the train part too"


def test_a_codec_that_cannot_be_read_costs_its_film(tmp_path: Path) -> None:
    annotate(tmp_path, "v", [4, 4, 4])
    film_of(tmp_path, "v.avi", [4, 4, 4])
    path = tmp_path / "videos" / "v.avi"
    data = path.read_bytes()
    assert data.count(b"FFV1") == 2
    path.write_bytes(data.replace(b"FFV1", b"ZZZZ"))
    rows = samples(list(affwild2.read(tmp_path)))
    assert len(rows) == 3
    for row in rows:
        with pytest.raises(ImageError):
            row.read()


def test_a_film_that_is_cut_short(tmp_path: Path) -> None:
    annotate(tmp_path, "v", [4] * 12)
    film_of(tmp_path, "v.avi", [4] * 12)
    path = tmp_path / "videos" / "v.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    rows = list(affwild2.read(tmp_path))
    prepared = prepare(rows, tmp_path / "out", dataset="affwild2", size=SIZE)
    kept = [read_mark(image) for image in prepared.images(np.arange(len(prepared)))]
    assert kept == list(range(1, len(kept) + 1))
    assert 5 <= len(kept) <= 8
    assert len(kept) + len(prepared.rejected()) == 12


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder") as error:
        affwild2.read(tmp_path / "nowhere")
    assert "EXPR_" in error.value.hint
    annotate(tmp_path, "video1", [4])
    with pytest.raises(DataError, match="annotations of 1 videos and pictures of none: found annotations") as error:
        affwild2.read(tmp_path)
    assert "video1" in error.value.hint
    film_of(tmp_path, "a/video1.avi", [4])
    with pytest.raises(DataError) as error:
        affwild2.read(tmp_path, images="cropped")
    assert "cropped/<video>/00001.jpg" in error.value.hint
    film_of(tmp_path, "b/video1.mp4", [4])
    with pytest.raises(DataError, match="two films are called `video1`"):
        affwild2.read(tmp_path)


def test_annotations_of_two_years(tmp_path: Path) -> None:
    annotate(tmp_path, "v", [4])
    annotate(tmp_path / "Third ABAW", "v", [5])
    film_of(tmp_path, "v.avi", [4])
    with pytest.raises(DataError, match="2 times") as error:
        affwild2.read(tmp_path)
    assert "annotations" in error.value.hint
    for place in (tmp_path / "Third ABAW", tmp_path / "Third ABAW/annotations/EXPR_Classification_Challenge"):
        (row,) = affwild2.read(tmp_path, annotations=place)
        assert isinstance(row, Sample)
        assert row.expression == "sad"


@pytest.mark.parametrize(("option", "value"), [("images", "frames"), ("every", 0), ("rule", "guess")])
def test_options_are_checked(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=option):
        READERS["affwild2"](tmp_path, **{option: value})

"""AffectNet's three layouts: lists with face boxes, numbered images with `.npy` annotations, class folders."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import Rejected, Row, Sample, affectnet, drawn
from mien.errors import DataError, ImageError
from mien.expressions import VOCABULARY
from mien.prepared import prepare

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def put(path: Path, pixels: np.ndarray | int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((8, 8, 3), pixels, np.uint8) if isinstance(pixels, int) else pixels
    Image.fromarray(image).save(path)


def samples(rows: list[Row]) -> list[Sample]:
    return [row for row in rows if isinstance(row, Sample)]


def rejected(rows: list[Row]) -> dict[str, str]:
    return {row.key: row.reason for row in rows if isinstance(row, Rejected)}


# -------------------------------------------------------------------------------------------------- the full release


def full_release(root: Path, training: list[str], validation: list[str] | None, end: str = "\n") -> None:
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    (root / "Manually_Annotated_Images").mkdir()
    for name, lines in (("training.csv", training), ("validation.csv", validation)):
        if lines is not None:
            (lists / name).write_bytes(end.join([HEADER, *lines, ""]).encode())


def line(path: str, expression: str, box: str = "-1,-1,-1,-1") -> str:
    return f"{path},{box},1;2;3;4,{expression},0.1,-0.2"


def test_every_label_of_the_full_release(tmp_path: Path) -> None:
    full_release(tmp_path, [line(f"1/{label}.jpg", str(label)) for label in range(12)], [line("2/x.jpg", "1")])
    rows = list(affectnet.read(tmp_path))
    # AffectNet's own names: 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt.
    words = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]
    assert [(row.key, row.expression, row.split) for row in samples(rows)] == [
        *((f"1/{label}.jpg", word, "train") for label, word in enumerate(words)), ("2/x.jpg", "happy", "validation")
    ]  # fmt: skip
    assert rejected(rows) == {
        "1/8.jpg": "label 8: none of the expressions", "1/9.jpg": "label 9: uncertain",
        "1/10.jpg": "label 10: not a face", "1/11.jpg": "label 11 is not one of 0 to 10",
    }  # fmt: skip
    seven = list(affectnet.read(tmp_path, contempt=False))
    assert "contempt" not in {row.expression for row in samples(seven)}
    assert rejected(seven)["1/7.jpg"] == "contempt, which was left out"


def test_the_face_that_the_box_means_is_cut_out(tmp_path: Path) -> None:
    faces = [drawn.DrawnFace(drawn.identity(i), drawn.express({name: 1.0})) for i, name in enumerate(("happy", "sad"))]
    size = 96
    photo = np.concatenate([drawn.draw(face, size) for face in faces], axis=1)
    lines = []
    for i, face in enumerate(faces):
        x0, y0, x1, y1 = drawn.box(face, size).round().astype(int) + np.array([size * i, 0, size * i, 0])
        lines.append(line(f"7/{i}.png", str(i + 1), f"{x0},{y0},{x1 - x0},{y1 - y0}"))
    full_release(tmp_path, [*lines, line("7/none.png", "0")], [line("7/v.png", "6", "10,20,16,12")])
    for name in ("0", "1", "none", "v"):
        put(tmp_path / "Manually_Annotated_Images" / "7" / f"{name}.png", photo)
    rows = samples(list(affectnet.read(tmp_path)))
    assert [row.face for row in rows] == ["cut", "cut", "largest", "cut"]
    np.testing.assert_array_equal(rows[2].read(), photo)
    # By hand: the longer side is 16, widened by a quarter of it on both sides 24, round the box's centre (18, 26).
    np.testing.assert_array_equal(rows[3].read(), photo[14:38, 6:30])
    for i, row in enumerate(rows[:2]):  # both eyes of the face that is meant, and no eye of the other one
        cut = pickle.loads(pickle.dumps(row)).read()
        (_, left), *more = [
            (y, x)
            for y in range(size - cut.shape[0] + 1)
            for x in range(2 * size - cut.shape[1] + 1)
            if (photo[y : y + cut.shape[0], x : x + cut.shape[1]] == cut).all()
        ]
        assert not more
        for other, face in enumerate(faces):
            eyes = drawn.landmarks(face, size)[:2, 0] + size * other
            assert ((left < eyes) & (eyes < left + cut.shape[1])).all() == (other == i)
    whole = samples(list(affectnet.read(tmp_path, boxes=False)))
    assert {row.face for row in whole} == {"largest"}
    np.testing.assert_array_equal(whole[0].read(), photo)


def test_boxes_that_are_none(tmp_path: Path) -> None:
    full_release(
        tmp_path,
        [line("a.png", "1", "x,1,2,3"), line("b.png", "1", "nan,1,2,3"), line("c.png", "1", "500,0,20,20"),
         line("d.png", "1", "-10,-10,24,24"), line("e.png", "1", "0,0,0,5")],
        [],
    )  # fmt: skip
    for name in "cd":
        put(
            tmp_path / "Manually_Annotated_Images" / f"{name}.png",
            (np.arange(4800) % 251).astype(np.uint8).reshape(40, 40, 3),
        )
    rows = list(affectnet.read(tmp_path))
    assert rejected(rows) == {
        "a.png": "the face's box `x, 1, 2, 3` is not four numbers",
        "b.png": "the face's box `nan, 1, 2, 3` is not finite",
    }
    outside, partly, empty = samples(rows)
    with pytest.raises(ImageError, match="outside"):
        outside.read()
    assert partly.read().shape == (20, 20, 3)  # -10 .. 14, widened to -16 .. 20, of which 0 .. 20 is there
    assert empty.face == "largest"


def test_windows_line_ends_bom_backslashes_and_short_rows(tmp_path: Path) -> None:
    full_release(tmp_path, [line("1\\a.png", "1"), "1/b.png,1,2", line("", "2"), line("c.png", "x")], None, end="\r\n")
    path = tmp_path / "Manually_Annotated_file_lists" / "training.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    put(tmp_path / "Manually_Annotated_Images" / "1" / "a.png", 33)
    rows = list(affectnet.read(tmp_path))
    (row,) = samples(rows)
    assert (row.key, row.expression, int(row.read().max())) == ("1/a.png", "happy", 33)
    assert rejected(rows) == {
        "training.csv:3": "the row is incomplete", "training.csv:4": "the row is incomplete",
        "c.png": "label `x` is not a number",
    }  # fmt: skip


def test_broken_images_and_paths_that_come_twice_cost_themselves(tmp_path: Path) -> None:
    lines = [line(f"1/{i}.png", "1") for i in range(6)]
    full_release(tmp_path, [*lines, line("1/0.png", "3"), line("1/gone.png", "2")], [])
    for i in range(6):
        put(tmp_path / "Manually_Annotated_Images" / "1" / f"{i}.png", 10 * i)
    (tmp_path / "Manually_Annotated_Images" / "1" / "3.png").write_bytes(b"no picture")
    prepared = prepare(affectnet.read(tmp_path), tmp_path / "out", dataset="affectnet", size=8)
    assert prepared.keys == tuple(f"1/{i}.png" for i in (0, 1, 2, 4, 5))
    assert [int(image.max()) for image in prepared.images(np.arange(5))] == [0, 10, 20, 40, 50]
    assert [VOCABULARY[label] for label in prepared.labels] == ["happy"] * 5
    reasons = dict(prepared.rejected())
    assert set(reasons) == {"1/3.png", "1/0.png", "1/gone.png"}
    assert reasons["1/0.png"] == "the key occurred before"


def test_a_validation_part_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    lines = [line(f"1/{i}.png", "1") for i in range(300)]
    full_release(tmp_path / "without", lines, None)
    full_release(tmp_path / "with", lines, [line("2/a.png", "1")])
    made = [row.split for row in samples(list(affectnet.read(tmp_path / "without")))]
    assert 10 <= made.count("validation") <= 50  # 300 draws with probability 0.1
    kept = [row.split for row in samples(list(affectnet.read(tmp_path / "with")))]
    assert kept == ["train"] * 300 + ["validation"]


def test_what_the_full_release_misses_is_said(tmp_path: Path) -> None:
    full_release(tmp_path, [line("1/a.png", "1")], None)
    (tmp_path / "Manually_Annotated_Images").rmdir()
    with pytest.raises(DataError, match="no folder `Manually_Annotated_Images`") as error:
        affectnet.read(tmp_path)
    assert "unpack" in error.value.hint
    (tmp_path / "Manually_Annotated_Images").mkdir()
    path = tmp_path / "Manually_Annotated_file_lists" / "training.csv"
    path.write_text("subDirectory_filePath,expression\n1/a.png,1\n")
    with pytest.raises(DataError, match="no face boxes") as error:
        affectnet.read(tmp_path)
    assert "boxes=no" in error.value.hint
    assert len(list(affectnet.read(tmp_path, boxes=False))) == 1
    path.write_text("image;label\n1/a.png;1\n")
    with pytest.raises(DataError, match="no column `subdirectory_filepath`, `expression`"):
        affectnet.read(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "training.csv").write_text(HEADER)
    with pytest.raises(DataError, match="more than once"):
        affectnet.read(tmp_path)


# ------------------------------------------------------------------------------------- the release with eight labels


def annotate(part: Path, stem: str, label: object) -> None:
    (part / "annotations").mkdir(parents=True, exist_ok=True)
    np.save(part / "annotations" / f"{stem}_exp.npy", np.asarray(label))
    np.save(part / "annotations" / f"{stem}_val.npy", np.asarray("-2"))


def test_numbered_images_with_annotations(tmp_path: Path) -> None:
    train, val = tmp_path / "AffectNet" / "train_set", tmp_path / "AffectNet" / "val_set"
    labels = {"2": 1, "10": "3", "0": np.float32(7), "7": b"6", "11": [5], "12": "4.0"}
    for level, (stem, label) in enumerate(labels.items(), start=1):
        put(train / "images" / f"{stem}.jpg", 20 * level)
        annotate(train, stem, label)
    put(val / "images" / "10.png", 200)
    annotate(val, "10", np.int64(2))
    rows = samples(list(affectnet.read(tmp_path)))
    assert [(row.key, row.expression, row.split, row.face) for row in rows] == [
        ("train/0", "contempt", "train", "cut"), ("train/2", "happy", "train", "cut"),
        ("train/7", "anger", "train", "cut"), ("train/10", "surprise", "train", "cut"),
        ("train/11", "disgust", "train", "cut"), ("train/12", "fear", "train", "cut"),
        ("validation/10", "sad", "validation", "cut"),
    ]  # fmt: skip
    assert [int(row.read().max()) for row in rows] == pytest.approx([60, 20, 80, 40, 100, 120, 200], abs=2)
    # The folder of one part alone is understood too.
    assert [row.key for row in affectnet.read(val)] == ["validation/10"]


def test_numbered_images_that_cannot_be_used(tmp_path: Path) -> None:
    part = tmp_path / "train_set"
    for stem, label in {"1": 1, "2": 9, "3": 11, "4": [1, 2], "5": "happy", "6": 1.5, "7": 2}.items():
        annotate(part, stem, label)
        put(part / "images" / f"{stem}.jpg")
    (part / "images" / "1.jpg").unlink()
    (part / "annotations" / "7_exp.npy").unlink()
    annotate(part, "8", 0)
    put(part / "images" / "8.jpg")
    (part / "annotations" / "8_exp.npy").write_bytes(b"")
    np.save(part / "annotations" / "9_exp.npy", np.array({"expression": 1}, dtype=object), allow_pickle=True)
    put(part / "images" / "9.jpg")
    (part / "annotations" / "10_exp.npy").write_bytes(b"text")
    put(part / "images" / "10.jpg")
    rows = list(affectnet.read(tmp_path))
    reasons = rejected(rows)
    assert not samples(rows)
    assert list(reasons) == [f"train/{i}" for i in range(1, 11)]
    assert reasons["train/1"] == "no such image"
    assert reasons["train/2"] == "label 9: uncertain"
    assert reasons["train/3"] == "label 11 is not one of 0 to 10"
    assert reasons["train/5"] == "label `happy` is not a number"
    assert reasons["train/6"] == "label 1.5 is not one of 0 to 10"
    assert reasons["train/7"] == "no annotation `7_exp.npy`"
    for stem in ("4", "8", "9", "10"):  # two numbers, an empty file, a pickle, no array
        assert reasons[f"train/{stem}"].startswith("the annotation cannot be read: ")
    assert str(tmp_path) not in "".join(reasons.values())


def test_a_part_without_annotations_is_said(tmp_path: Path) -> None:
    put(tmp_path / "train_set" / "images" / "1.jpg")
    with pytest.raises(DataError, match="no folder `annotations`"):
        affectnet.read(tmp_path)
    for copy in ("a", "b"):
        annotate(tmp_path / copy / "val_set", "1", 1)
        put(tmp_path / copy / "val_set" / "images" / "1.jpg")
    (tmp_path / "train_set" / "images" / "1.jpg").unlink()
    (tmp_path / "train_set" / "images").rmdir()
    with pytest.raises(DataError, match="more than once"):
        affectnet.read(tmp_path)


# ------------------------------------------------------------------------------------------------------ class folders


def test_class_folders_by_number_and_by_word(tmp_path: Path) -> None:
    for place in ("train/0", "train/7", "train/3", "val/6", "val/9"):
        put(tmp_path / "numbers" / place / "a.png")
    rows = list(affectnet.read(tmp_path / "numbers"))
    assert [(row.key, row.expression, row.split) for row in samples(rows)] == [
        ("train/0/a.png", "neutral", "train"), ("train/3/a.png", "surprise", "train"),
        ("train/7/a.png", "contempt", "train"), ("val/6/a.png", "anger", "validation"),
    ]  # fmt: skip
    assert rejected(rows) == {"val/9/a.png": "the number of its class folder means no expression"}
    for place in ("Train/Anger", "Test/happy", "Train/Contempt"):
        put(tmp_path / "words" / place / "a.png")
    assert [(row.expression, row.split) for row in samples(list(affectnet.read(tmp_path / "words")))] == [
        ("happy", "test"), ("anger", "train"), ("contempt", "train")
    ]  # fmt: skip
    put(tmp_path / "numbers" / "train" / "11" / "a.png")
    with pytest.raises(DataError, match="train/11"):
        affectnet.read(tmp_path / "numbers")


@pytest.mark.parametrize("make", ["missing", "empty", "file"])
def test_no_affectnet_says_what_was_found(tmp_path: Path, make: str) -> None:
    source = tmp_path / "place"
    if make == "empty":
        source.mkdir()
    elif make == "file":
        source.write_text("x")
    found = {"missing": "no such", "empty": "is empty", "file": "another kind"}[make]
    with pytest.raises(DataError, match=found) as error:
        affectnet.read(source)
    assert "training.csv" in error.value.hint

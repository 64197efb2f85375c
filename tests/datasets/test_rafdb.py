"""RAF-DB's layouts: a list of labels beside aligned and original images, and class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import Rejected, Row, Sample, rafdb
from mien.errors import ConfigError, DataError, ImageError
from mien.expressions import VOCABULARY
from mien.prepared import prepare

#: RAF-DB's own names of 1 to 7, in this project's words.
WORDS = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")


def put(path: Path, pixels: np.ndarray | int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((8, 8, 3), pixels, np.uint8) if isinstance(pixels, int) else pixels
    Image.fromarray(image).save(path, quality=95)


def make(root: Path, lines: list[str], end: str = "\n", images: str = "aligned") -> None:
    """Lay out the basic part; each image's grey is ten times its line's number."""
    (root / "EmoLabel").mkdir(parents=True)
    (root / "EmoLabel" / "list_patition_label.txt").write_bytes(end.join([*lines, ""]).encode())
    for number, line in enumerate(lines, start=1):
        stem = line.split(".")[0]
        name = f"{stem}_aligned.jpg" if images == "aligned" else f"{stem}.jpg"
        put(root / "Image" / images / name, min(255, 10 * number))


def samples(rows: list[Row]) -> list[Sample]:
    return [row for row in rows if isinstance(row, Sample)]


def rejected(rows: list[Row]) -> dict[str, str]:
    return {row.key: row.reason for row in rows if isinstance(row, Rejected)}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_and_images_of_the_list(tmp_path: Path, end: str) -> None:
    lines = [f"train_{i:05d}.jpg {i}" for i in range(1, 8)] + ["test_0001.jpg 4"]
    make(tmp_path / "basic", lines, end)
    path = tmp_path / "basic" / "EmoLabel" / "list_patition_label.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    rows = samples(list(rafdb.read(tmp_path)))
    assert [row.expression for row in rows] == [*WORDS, "happy"]
    assert [row.key for row in rows] == [*(f"train_{i:05d}" for i in range(1, 8)), "test_0001"]
    assert [row.split in ("train", "validation") for row in rows] == [True] * 7 + [False]
    assert rows[-1].split == "test"
    assert {row.face for row in rows} == {"cut"}
    prepared = prepare(rows, tmp_path / "out", dataset="rafdb", size=8)
    assert [int(image.mean()) for image in prepared.images(np.arange(8))] == pytest.approx(range(10, 90, 10), abs=1)
    assert [VOCABULARY[label] for label in prepared.labels] == [*WORDS, "happy"]


def test_a_tenth_of_training_becomes_validation_and_test_stays(tmp_path: Path) -> None:
    lines = [f"train_{i:05d}.jpg 4" for i in range(400)] + [f"test_{i:04d}.jpg 4" for i in range(50)]
    make(tmp_path, lines[:1])
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines))
    splits = [row.split for row in samples(list(rafdb.read(tmp_path)))]
    assert splits[400:] == ["test"] * 50
    assert 16 <= splits[:400].count("validation") <= 64  # 400 draws with probability 0.1, four standard deviations
    assert splits[:400].count("test") == 0


def test_original_photos_are_cut_round_their_box(tmp_path: Path) -> None:
    make(
        tmp_path,
        ["train_00001.jpg 4", "train_00002.jpg 5", "train_00003.jpg 5", "train_00004.jpg 5"],
        images="original",
    )
    photo = np.zeros((80, 120, 3), np.uint8)
    photo[20:60, 50:90] = 200
    put(tmp_path / "Image" / "original" / "train_00001.jpg", photo)
    boxes = tmp_path / "Annotation" / "boundingbox"
    boxes.mkdir(parents=True)
    (boxes / "train_00001_boundingbox.txt").write_text("50.0 20.0 90.0 60.0 \n")
    (boxes / "train_00003_boundingbox.txt").write_text("nan 1 2 3")
    (boxes / "train_00004_boundingbox.txt").write_text("1 2 3")
    rows = samples(list(rafdb.read(tmp_path, images="original")))
    assert [row.face for row in rows] == ["cut", "largest", "largest", "largest"]
    # By hand: the box's side is 40, with a quarter on either side 60, from (40, 10).
    cut = rows[0].read()
    assert cut.shape == (60, 60, 3)
    bright = cut.mean(axis=2) > 100
    np.testing.assert_array_equal(np.flatnonzero(bright.any(axis=0))[[0, -1]], [10, 49])
    np.testing.assert_array_equal(np.flatnonzero(bright.any(axis=1))[[0, -1]], [10, 49])
    assert rows[1].read().shape == (8, 8, 3)


def test_lines_that_cannot_be_used(tmp_path: Path) -> None:
    make(tmp_path, ["train_00001.jpg 4", "train_00002.jpg 8", "train_00003.jpg 0", "other_1.jpg 3"])
    path = tmp_path / "EmoLabel" / "list_patition_label.txt"
    good = [f"train_{i:05d}.jpg 4" for i in range(10, 40)]
    path.write_text(
        path.read_text()
        + "\n\ntrain_00005.jpg\ntrain_00006.jpg 4 4\ntrain_00007.jpg x\n"
        + f"train_00008.jpg {'9' * 5000}\n"
        + "\n".join(good)
    )
    rows = list(rafdb.read(tmp_path))
    assert rejected(rows) == {
        "train_00002": "label 8 is not one of 1 to 7",
        "train_00003": "label 0 is not one of 1 to 7",
        "other_1": "`other_1.jpg` begins with neither `train` nor `test`",
        "list_patition_label.txt:7": "`train_00005.jpg` is not `train_00001.jpg 5`",
        "list_patition_label.txt:8": "`train_00006.jpg 4 4` is not `train_00001.jpg 5`",
        "train_00007": "label x is not one of 1 to 7",
        "train_00008": f"label {'9' * 20} is not one of 1 to 7",
    }
    assert len(samples(rows)) == 31
    with pytest.raises(ImageError, match="no such file"):
        samples(rows)[-1].read()


def test_images_that_come_twice_or_are_broken_cost_themselves(tmp_path: Path) -> None:
    make(tmp_path, ["train_00001.jpg 4", "train_00002.jpg 5", "train_00001.jpg 6"])
    (tmp_path / "Image" / "aligned" / "train_00002_aligned.jpg").write_bytes(b"\xff\xd8 broken")
    prepared = prepare(rafdb.read(tmp_path), tmp_path / "out", dataset="rafdb", size=8)
    assert prepared.keys == ("train_00001",)
    assert VOCABULARY[prepared.labels[0]] == "happy"
    reasons = dict(prepared.rejected())
    assert set(reasons) == {"train_00001", "train_00002"}
    assert reasons["train_00001"] == "the key occurred before"


def test_the_compound_part_is_not_taken_for_the_basic_one(tmp_path: Path) -> None:
    make(tmp_path / "compound", [f"train_{i:04d}.jpg {1 + i % 11}" for i in range(33)])
    with pytest.raises(DataError, match="compound"):
        rafdb.read(tmp_path)
    make(tmp_path / "basic", ["train_00001.jpg 4"])
    assert [row.key for row in rafdb.read(tmp_path)] == ["train_00001"]
    make(tmp_path / "copy", ["train_00001.jpg 4"])
    with pytest.raises(DataError, match="two lists"):
        rafdb.read(tmp_path)


def test_class_folders(tmp_path: Path) -> None:
    for place in ("train/1/train_00001_aligned.jpg", "train/7/train_00002_aligned.jpg", "test/4/test_0001_aligned.jpg"):
        put(tmp_path / "DATASET" / place)
    rows = samples(list(rafdb.read(tmp_path)))
    assert {row.key: row.expression for row in rows} == {
        "test/4/test_0001_aligned.jpg": "happy", "train/1/train_00001_aligned.jpg": "surprise",
        "train/7/train_00002_aligned.jpg": "neutral",
    }  # fmt: skip
    assert rows[0].split == "test"
    with pytest.raises(DataError, match="aligned images only"):
        rafdb.read(tmp_path, images="original")
    put(tmp_path / "DATASET" / "train" / "0" / "a.jpg")
    with pytest.raises(DataError, match="begin at 1"):
        rafdb.read(tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder") as error:
        rafdb.read(tmp_path / "nowhere")
    assert "list_patition_label.txt" in error.value.hint
    make(tmp_path, ["train_00001.jpg 4"])
    with pytest.raises(DataError, match=r"no folder `.*original`: found aligned") as error:
        rafdb.read(tmp_path, images="original")
    assert "images=aligned" in error.value.hint
    (tmp_path / "Image" / "original.zip").touch()
    with pytest.raises(DataError) as error:
        rafdb.read(tmp_path, images="original")
    assert error.value.hint.startswith("unpack")
    with pytest.raises(ConfigError, match="images"):
        rafdb.read(tmp_path, images="cropped")

"""Folders and lists of one's own images."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import Rejected, Row, Sample, folder
from mien.datasets.sample import shares_from_votes, split_of
from mien.errors import ConfigError, DataError, ImageError
from mien.expressions import FERPLUS_ORDER


def put(path: Path, level: int = 50) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (level, level, level)).save(path)


def samples(items: list[Row]) -> list[Sample]:
    assert all(isinstance(item, Sample) for item in items)
    return [item for item in items if isinstance(item, Sample)]


def read(source: Path) -> list[Row]:
    return list(folder.read(source))


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"), ("Training", "train"), ("train-00000-of-00002", "train"), ("Public_Test", "validation"),
        ("PrivateTest", "test"), ("fer2013-validation", "validation"), ("valid", "validation"), ("happy", None),
        ("testament", None), ("", None),
    ],
)  # fmt: skip
def test_words_for_splits(text: str, split: str | None) -> None:
    assert split_of(text) == split


def test_votes_become_shares_without_those_that_are_no_expression() -> None:
    # FER+'s order: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face.
    assert shares_from_votes([1, 2, 0, 0, 0, 0, 0, 1, 4, 2], FERPLUS_ORDER) == (0.25, 0.5, 0, 0, 0, 0, 0, 0.25)
    assert shares_from_votes([0, 0, 0, 0, 0, 0, 0, 0, 9, 1], FERPLUS_ORDER) is None


def test_class_folders_with_splits(tmp_path: Path) -> None:
    put(tmp_path / "train" / "Happiness" / "b.png", 1)
    put(tmp_path / "train" / "angry" / "deeper" / "a.JPG", 2)
    put(tmp_path / "val" / "sad" / "c.png", 3)
    put(tmp_path / "test" / "sad" / "c.png", 4)
    put(tmp_path / "__MACOSX" / "x.png")
    (tmp_path / "train" / "angry" / "notes.txt").write_text("no image")
    items = samples(read(tmp_path))
    assert {(item.key, item.expression, item.split) for item in items} == {
        ("test/sad/c.png", "sad", "test"),
        ("train/Happiness/b.png", "happy", "train"),
        ("train/angry/deeper/a.JPG", "anger", "train"),
        ("val/sad/c.png", "sad", "validation"),
    }
    assert [item.key for item in items] == sorted(item.key for item in items)
    assert items[0].read().shape == (4, 5, 3)
    assert int(items[0].read().max()) == 4


def test_tenth_becomes_validation_where_there_is_none(tmp_path: Path) -> None:
    for i in range(400):
        path = tmp_path / "happy" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    splits = {item.key: item.split for item in samples(read(tmp_path))}
    # 400 draws with probability 0.1: 40, give or take four standard deviations of 6.
    assert 16 <= Counter(splits.values())["validation"] <= 64
    # A sample's part does not depend on the others: adding images moves none.
    (tmp_path / "happy" / "400.png").touch()
    assert splits.items() <= {item.key: item.split for item in samples(read(tmp_path))}.items()


def test_unknown_class_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path / "happy" / "a.png")
    put(tmp_path / "bored" / "b.png")
    with pytest.raises(DataError, match="bored"):
        folder.read(tmp_path)


@pytest.mark.parametrize("make", ["missing", "empty", "text"])
def test_no_dataset_says_what_was_found(tmp_path: Path, make: str) -> None:
    source = tmp_path / "place"
    if make != "missing":
        source.mkdir()
    if make == "text":
        (source / "readme.txt").touch()
    with pytest.raises(DataError, match={"missing": "no such", "empty": "is empty", "text": "readme.txt"}[make]) as e:
        folder.read(source)
    assert "happy/*.jpg" in e.value.hint


def test_list_with_windows_line_ends_bom_and_backslashes(tmp_path: Path) -> None:
    put(tmp_path / "faces" / "a.png", 9)
    text = "\ufeffsubDirectory_filePath, expression\r\nfaces\\a.png,1\r\nb.png,Sadness\r\nc.png,10\r\nd.png,2²\r\n\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode())
    items = read(tmp_path / "list.csv")
    first, second = samples(items[:2])
    assert (first.key, first.expression, int(first.read().max())) == ("faces/a.png", "happy", 9)
    assert second.expression == "sad"
    with pytest.raises(ImageError, match="no such file"):
        second.read()
    assert items[2] == Rejected("c.png", "AffectNet's label 10 is no expression")
    assert isinstance(items[3], Rejected)
    assert len(items) == 4


def test_list_rows_that_say_too_little(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,expression,split\na.png,happy,test\nb.png\n,sad,train\nc.png,sad,later\n")
    items = read(tmp_path)
    assert isinstance(items[0], Sample)
    assert items[0].split == "test"
    assert items[1:] == [
        Rejected("list.csv:3", "the row is incomplete"),
        Rejected("list.csv:4", "the row is incomplete"),
        Rejected("c.png", "split `later` is not train, validation or test"),
    ]


def test_names_and_labels_of_any_length_cost_their_row(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,expression,split\n{'a' * 300}.png,happy,val\nb.png,{'9' * 5000},val\n")
    long, number = read(tmp_path)
    assert isinstance(long, Sample)
    with pytest.raises(ImageError, match="cannot read"):
        long.read()
    assert number == Rejected("b.png", f"AffectNet's label {'9' * 20} is no expression")


def test_subjects_stay_on_one_side(tmp_path: Path) -> None:
    lines = [f"{i}.png,happy,person {i % 50}" for i in range(500)]
    (tmp_path / "list.csv").write_text("\n".join(["path,expression,subject", *lines]))
    items = samples(read(tmp_path))
    splits = {item.subject: {other.split for other in items if other.subject == item.subject} for item in items}
    assert all(len(parts) == 1 for parts in splits.values())
    assert {"train"} in splits.values()
    assert {"validation"} in splits.values()


def test_list_without_its_columns(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file;label\na.png;1\n")
    with pytest.raises(DataError, match="no column `expression`"):
        read(tmp_path)
    (tmp_path / "list.csv").write_text("file,expression\na.png,1\n")
    with pytest.raises(DataError, match="where the images lie"):
        read(tmp_path)


def test_parquet_of_the_hub(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    put(tmp_path / "a.png", 77)
    data = (tmp_path / "a.png").read_bytes()
    table = pyarrow.table(
        {
            "image": [{"bytes": data}, {"bytes": b"junk"}, {"bytes": None}, {"bytes": data}],
            "label": [1, 0, 0, 5],
            "subject": ["x", "y", "z", None],
        }
    )
    names = b'{"info": {"features": {"label": {"names": ["Angry", "joy"]}}}}'
    parquet.write_table(
        table.replace_schema_metadata({b"huggingface": names}), tmp_path / "test-00000-of-00001.parquet"
    )
    good, junk, empty, unknown = read(tmp_path)
    assert isinstance(good, Sample)
    assert (good.expression, good.split, good.subject) == ("happy", "test", "x")
    np.testing.assert_array_equal(good.read(), np.full((4, 5, 3), 77))
    assert isinstance(junk, Sample)
    assert junk.expression == "anger"
    with pytest.raises(ImageError):
        junk.read()
    assert isinstance(empty, Rejected)
    assert isinstance(unknown, Rejected)
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"PAR1junk")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path)


def test_real_faces_in_the_wild() -> None:
    data = os.environ.get("MIEN_TEST_DATA")
    if not data:
        pytest.skip("MIEN_TEST_DATA names no folder that holds faces-wild/")
    pytest.importorskip("pyarrow")
    items = samples(read(Path(data) / "faces-wild"))
    # The counts that the dataset's own description gives.
    counts = Counter(item.expression for item in items)
    assert counts == {
        "neutral": 6052, "happy": 4779, "surprise": 325, "anger": 226, "sad": 184, "disgust": 88, "fear": 18
    }  # fmt: skip
    subjects = {split: {i.subject for i in items if i.split == split} for split in ("train", "validation")}
    assert subjects["validation"]
    assert not subjects["train"] & subjects["validation"]
    assert items[0].read().shape == (128, 128, 3)


def test_whole_photos_say_which_face_is_meant(tmp_path: Path) -> None:
    put(tmp_path / "happy" / "a.png")
    assert [item.face for item in samples(read(tmp_path))] == ["cut"]
    (tmp_path / "list.csv").write_text("path,expression\nhappy/a.png,happy\nb.png,8\n")
    for source in (tmp_path, tmp_path / "list.csv"):
        first = next(folder.read(source, face="largest"))
        assert isinstance(first, Sample)
        assert (first.expression, first.face) == ("happy", "largest")
    assert isinstance(list(folder.read(tmp_path / "list.csv", face="largest"))[1], Rejected)
    with pytest.raises(ConfigError, match="biggest") as error:
        folder.read(tmp_path, face="biggest")
    assert "largest" in error.value.hint

"""Unpacking: what is written is read back as it was, by our own reader and in the way GANmut's loader reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from photographs import photograph, sample, write_set
from PIL import Image

from mien import unpacking
from mien.datasets import folder
from mien.errors import ConfigError, DataError
from mien.expressions import VOCABULARY
from mien.prepared import PreparedSet, prepare
from mien.prepared.lock import FolderLock
from mien.unpacking import FORMATS, unpack

KEYS = ("train/a.png", 'odd, "key"\n/ü b?.jpg', "x" * 300, "..", "same", "film.mp4/frame 12", "film.mp4/frame-12")


def make(folder: Path, colour: bool = False) -> PreparedSet:
    splits = ("train", "validation", "test", "train", "validation", "train", "train")
    rows = [
        sample(key, photograph(i, colour=colour), splits[i], VOCABULARY[i], subject=f"p{i}", source="s")
        for i, key in enumerate(KEYS)
    ]
    return write_set(folder, [*rows, sample("unlabelled", photograph(8, colour=colour), "train", None, source="s")])


def read_back(out: Path, to: Path) -> PreparedSet:
    return prepare(folder.read(out), to, dataset="folder", size=48)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("colour", [False, True])
def test_the_folder_reader_gives_it_back(tmp_path: Path, form: str, colour: bool) -> None:
    prepared = make(tmp_path / "set", colour)
    assert unpack(prepared, tmp_path / "out", form) == 7
    again = read_back(tmp_path / "out", tmp_path / "again")
    assert again.rejected() == [] and again.channels == prepared.channels
    numbers = [int(key.rsplit("/", 1)[1].split("-")[0]) for key in again.keys]
    assert sorted(numbers) == list(range(7))
    for column in ("splits", "labels"):
        np.testing.assert_array_equal(getattr(again, column), getattr(prepared, column)[numbers])
    np.testing.assert_array_equal(again.images(range(7)), prepared.images(numbers))
    if form == "ganmut":  # class folders have no place for subjects
        assert again.subjects == tuple(prepared.subjects[number] for number in numbers)


def test_the_lists_are_what_the_official_loader_takes(tmp_path: Path) -> None:
    prepared = make(tmp_path / "set")
    unpack(prepared, tmp_path / "out", "ganmut")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "images",
        "training.csv",
        "validation.csv",
        "test.csv",
    }
    expected = {"training": [0, 3, 5, 6], "validation": [1, 4], "test": [2]}
    for name, indices in expected.items():
        with (tmp_path / "out" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["expression"]) for row in rows] == indices  # AffectNet's integers, here the samples' numbers
        for row, index in zip(rows, indices, strict=True):
            assert row["subDirectory_filePath"].count("/") == 1
            # The loader puts the part after the slash below its image root.
            path = tmp_path / "out" / "images" / row["subDirectory_filePath"].split("/")[1]
            np.testing.assert_array_equal(np.array(Image.open(path)), prepared.images([index])[0][..., 0])


def test_samples_csv_tells_the_rest(tmp_path: Path) -> None:
    rows = [
        sample("a", photograph(0), "train", "sad", subject="zoë", intensity=0.5, source="s"),
        sample("b", photograph(1), "test", "happy", shares=(0.0, 0.75, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0)),
    ]
    unpack(write_set(tmp_path / "set", rows), tmp_path / "out")
    with (tmp_path / "out" / "samples.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["path"], first["key"], first["subject"]) == ("train/sad/0000000-a.png", "a", "zoë")
    assert (first["intensity"], first["source"], second["intensity"], second["subject"]) == ("0.5", "s", "", "")
    assert (second["share_happy"], second["share_sad"], first["share_sad"]) == ("0.75", "0.25", "1.0")
    assert all((tmp_path / "out" / row["path"]).is_file() for row in (first, second))


def test_names_are_safe_everywhere(tmp_path: Path) -> None:
    unpack(make(tmp_path / "set"), tmp_path / "out")
    images = sorted((tmp_path / "out").rglob("*.png"))
    assert len(images) == 7 and all(path.is_relative_to(tmp_path / "out") for path in images)
    assert all(path.name.isascii() and len(path.name) < 100 and " " not in path.name for path in images)


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupted_run_goes_on(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = make(tmp_path / "set")
    unpack(prepared, tmp_path / "whole", form)
    real, written = unpacking._png, []

    def dying(pixels: np.ndarray, mark: None) -> bytes:
        written.append(1)
        if len(written) == 4:
            raise KeyboardInterrupt
        return real(pixels, mark)

    monkeypatch.setattr(unpacking, "_png", dying)
    with pytest.raises(KeyboardInterrupt):
        unpack(prepared, tmp_path / "out", form)
    other = "folders" if form == "ganmut" else "ganmut"
    with pytest.raises(DataError, match="not empty"):
        unpack(prepared, tmp_path / "out", other)
    (tmp_path / "out" / "half.png.1234.partial").write_bytes(b"half")
    unpack(prepared, tmp_path / "out", form)
    assert len(written) == 4 + 4  # three of the seven were there

    def tree(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_what_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    prepared = make(tmp_path / "set")
    unlabelled = write_set(tmp_path / "unlabelled", [sample("a", photograph(0), expression=None)])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for given, out, form, error in (
        (prepared, "full", "folders", "not empty"),
        (prepared, "full/mine.txt", "folders", "is a file"),
        (prepared, "set", "folders", "lies in the prepared set"),
        (prepared, "set/images", "folders", "lies in the prepared set"),
        (prepared, "out", "tfrecord", "unknown format `tfrecord`"),
        (unlabelled, "out", "folders", "has a label"),
    ):
        with pytest.raises((DataError, ConfigError), match=error) as caught:
            unpack(given, tmp_path / out, form)
        assert caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_two_at_once_are_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    prepared = make(tmp_path / "set")
    out = tmp_path / "out"
    unpacking._begin(prepared, out, "folders")
    with FolderLock(out / "unpacking.lock"):
        (out / "half.png.partial").write_bytes(b"being written")
        with pytest.raises(DataError, match="another run is writing"):
            unpack(prepared, out)
        assert (out / "half.png.partial").exists()
    assert unpack(prepared, out) == 7
    assert sorted(path.name for path in out.iterdir()) == ["samples.csv", "test", "train", "validation"]

"""The prepared set: what is written is what was given, resumed runs write the same, and half a set is never taken."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mien.datasets import Rejected, Row, Sample
from mien.errors import DataError, ImageError
from mien.expressions import VOCABULARY
from mien.images import Cropped, Frame
from mien.prepared import VERSION, PreparedSet, prepare

SIZE = 16


def solid(level: int, colour: bool = False) -> np.ndarray:
    """Return a picture of one grey level, or of one colour."""
    image = np.full((SIZE, SIZE, 3), level, np.uint8)
    image[..., 0] += 40 * colour
    return image


def broken() -> np.ndarray:
    raise ImageError("cut short")


def rows(count: int = 10, colour: bool = False) -> list[Row]:
    """Return rows of which the image tells the number; row 3 is broken and row 5 was rejected by its reader."""
    result: list[Row] = []
    for i in range(count):
        split = "validation" if i % 4 == 3 else "train"
        result.append(Sample(f"row-{i}", lambda i=i: solid(10 * i, colour), ("happy", "sad")[i % 2], split, "test"))
    result[3] = Sample("row-3", broken, "sad", "validation", "test")
    result[5] = Rejected("row-5", "label 9 is not one of 0 to 6")
    return result


def make(out: Path, items: Iterable[Row] | None = None, **changes: object) -> PreparedSet:
    settings = {"dataset": "test", "size": SIZE, "shard_size": 4, **changes}
    return prepare(rows() if items is None else items, out, **settings)  # pyright: ignore[reportArgumentType]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    votes = (0.0, 0.75, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0)
    items = [
        Sample('odd, "key"\n', lambda: solid(7), "happy", "train", "a", votes, 0.625, "Zoë"),
        Sample("plain", lambda: solid(200), "sad", "test", "b"),
        Sample("unlabelled", lambda: solid(90), None, "validation", "b"),
    ]
    made = make(tmp_path / "set", items)
    assert made.keys == ('odd, "key"\n', "plain", "unlabelled")
    assert made.splits.tolist() == ["train", "test", "validation"]
    assert made.labels.tolist() == [VOCABULARY.index("happy"), VOCABULARY.index("sad"), -1]
    assert made.expressions == ("happy", "sad")
    assert made.subjects == ("Zoë", None, None)
    assert made.sources == ("a", "b", "b")
    np.testing.assert_array_equal(made.shares, np.array([votes, np.eye(8)[2], np.zeros(8)], np.float32))
    np.testing.assert_array_equal(made.intensity, np.array([0.625, np.nan, np.nan], np.float32))
    assert made.channels == 1
    assert made.images([2, 0]).shape == (2, SIZE, SIZE, 1)
    assert [int(image.max()) for image in made.images([2, 0, 1, 2])] == [90, 7, 200, 90]
    assert made.manifest["counts"]["test"]["sad"] == 1


def test_broken_rows_are_counted_and_listed(tmp_path: Path) -> None:
    made = make(tmp_path / "set")
    assert made.rejected() == [("row-3", "cut short"), ("row-5", "label 9 is not one of 0 to 6")]
    assert made.manifest["rejected"] == 2
    assert made.keys == tuple(f"row-{i}" for i in (0, 1, 2, 4, 6, 7, 8, 9))
    # Across three shards, each image still belongs to its key.
    assert [int(image.max()) for image in made.images(range(8))] == [0, 10, 20, 40, 60, 70, 80, 90]
    assert made.select("train", ["happy"]).tolist() == [0, 2, 3, 4, 6]
    assert made.select("validation").tolist() == [5]
    assert made.select(expressions=["fear"]).tolist() == []


def test_a_repeated_key_is_rejected(tmp_path: Path) -> None:
    items = rows(6)
    made = make(tmp_path / "set", [*items, items[0]])  # in another shard than the first
    assert made.rejected()[-1] == ("row-0", "the key occurred before")


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert first.hash == second.hash


def test_hash_depends_on_data_alone(tmp_path: Path) -> None:
    first, moved = make(tmp_path / "a", source="here"), make(tmp_path / "b", source="there")
    other = make(tmp_path / "c", rows(9))
    assert first.hash == moved.hash != other.hash


@pytest.mark.parametrize("killed_at", [0, 3, 4, 7, 9])
def test_interrupted_run_resumes_to_the_same_bytes(tmp_path: Path, killed_at: int) -> None:
    def dying() -> np.ndarray:
        raise KeyboardInterrupt

    make(tmp_path / "whole")
    items = rows()
    items[killed_at] = Sample(items[killed_at].key, dying, "happy" if killed_at % 2 == 0 else "sad", "train", "test")
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", items)
    # What was interrupted before its first part leaves nothing.
    with pytest.raises(DataError, match="not finished" if killed_at >= 4 else "no prepared set"):
        PreparedSet.open(tmp_path / "set")

    decoded: list[str] = []

    def watched(item: Row) -> Row:
        if isinstance(item, Rejected):
            return item
        return Sample(item.key, lambda: (decoded.append(item.key), item.read())[1], item.expression, item.split, "test")

    make(tmp_path / "set", [watched(item) for item in rows()])
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")
    finished = killed_at // 4 * 4
    assert decoded == [item.key for item in rows()[finished:] if isinstance(item, Sample)]


@pytest.mark.parametrize("file", ["shard-00001", "shard-00002.part-000"])
@pytest.mark.parametrize("kind", ["images.npy", "samples.csv", "rejected.csv", "json"])
def test_what_is_damaged_is_made_again_on_resume(tmp_path: Path, file: str, kind: str) -> None:
    def endless() -> Iterator[Row]:
        yield from rows()
        raise KeyboardInterrupt

    make(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", endless(), part_size=1)
    damaged = tmp_path / "set" / f"{file}.{kind}"
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"\n\n" if kind != "json" else b"{}")
    make(tmp_path / "set", part_size=1)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_finished_set_is_not_decoded_again(tmp_path: Path) -> None:
    first = make(tmp_path / "set")
    before = contents(tmp_path / "set")
    items = [i if isinstance(i, Rejected) else Sample(i.key, broken, i.expression, i.split, "test") for i in rows()]
    again = make(tmp_path / "set", items)
    assert again.hash == first.hash
    assert contents(tmp_path / "set") == before


@pytest.mark.parametrize("changes", [{"size": 20}, {"options": {"labels": "ferplus"}}, {"channels": 3}])
@pytest.mark.parametrize("unfinished", [False, True])
def test_another_recipe_is_refused(tmp_path: Path, changes: dict, unfinished: bool) -> None:
    make(tmp_path / "set")
    if unfinished:
        manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
        (tmp_path / "set" / "preparing.json").write_text(json.dumps(manifest["recipe"]))
        (tmp_path / "set" / "manifest.json").unlink()
    before = contents(tmp_path / "set")
    with pytest.raises(DataError, match=f"prepared with {next(iter(changes))}") as caught:
        make(tmp_path / "set", **changes)
    assert "another folder" in caught.value.hint
    assert contents(tmp_path / "set") == before


@pytest.mark.parametrize("count", [9, 8, 4, 11, 13])
def test_another_dataset_is_refused(tmp_path: Path, count: int) -> None:
    make(tmp_path / "set", rows(12))
    before = contents(tmp_path / "set")
    items = rows(max(count, 6))[:count]
    with pytest.raises(DataError, match="other rows"):
        make(tmp_path / "set", items)
    assert contents(tmp_path / "set") == before


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not empty"):
        make(tmp_path)
    assert contents(tmp_path) == {"letter.txt": b"dear"}
    with pytest.raises(DataError, match="is a file"):
        make(tmp_path / "letter.txt")


def test_nothing_usable_leaves_nothing(tmp_path: Path) -> None:
    items: list[Row] = [Sample(f"{i}", broken, "happy", "train", "test") for i in range(9)]
    with pytest.raises(DataError, match=r"none of the 9 rows .* `0`: cut short"):
        make(tmp_path / "set", items)
    assert not (tmp_path / "set").exists()


def test_unreadable_dataset_leaves_nothing(tmp_path: Path) -> None:
    def reader() -> Iterator[Row]:
        raise DataError("no such dataset")
        yield

    with pytest.raises(DataError, match="no such dataset"):
        make(tmp_path / "set", reader())
    assert not (tmp_path / "set").exists()


def test_auto_keeps_colour_where_there_is_some(tmp_path: Path) -> None:
    made = make(tmp_path / "set", rows(colour=True))
    assert made.channels == 3
    assert made.images([1])[0, 0, 0].tolist() == [50, 10, 10]
    # An empty first shard decides nothing.
    late = make(tmp_path / "late", [*(Rejected(f"{i}", "no") for i in range(4)), *rows(colour=True)])
    assert late.channels == 3
    assert late.images([1])[0, 0, 0].tolist() == [50, 10, 10]


def test_colour_becomes_luma_where_grey_is_asked(tmp_path: Path) -> None:
    made = make(tmp_path / "set", rows(colour=True), channels=1)
    assert int(made.images([1]).max()) == round(0.299 * 50 + 0.587 * 10 + 0.114 * 10)


def test_central_square_is_resized(tmp_path: Path) -> None:
    # The left and right thirds are black; the central square is white above and grey below.
    image = np.zeros((24, 72, 3), np.uint8)
    image[:12, 24:48], image[12:, 24:48] = 255, 100
    made = make(tmp_path / "set", [Sample("a", lambda: image, "happy", "train", "test")], size=8)
    square = made.images([0])[0, :, :, 0]
    assert np.ptp(square, axis=1).max() == 0
    assert square[0, 0] == 255
    assert square[-1, 0] == 100


def test_crop_takes_batches_and_gives_reasons(tmp_path: Path) -> None:
    batches: list[int] = []

    def crop(images: list[np.ndarray], faces: list[str]) -> list[Cropped | str]:
        batches.append(len(images))
        return ["no face" if image.max() == 20 else Cropped(image // 2) for image in images]

    made = make(tmp_path / "set", crop=crop, detector={"name": "fake", "threshold": 0.5})
    assert batches == [3, 3, 2]
    assert made.rejected()[0:2] == [("row-3", "cut short"), ("row-2", "no face")]
    assert int(made.images([1]).max()) == 5
    assert made.manifest["recipe"]["detector"] == {"name": "fake", "threshold": 0.5}


def test_where_pictures_end_comes_through(tmp_path: Path) -> None:
    frames: list[Frame | None] = [(1.25, -0.5, 0.0625, 0.5, 1.25, -0.75), None, (1.0, 0.0, 0.0, 0.0, 1.0, 1 / 3)]
    made = make(
        tmp_path / "set",
        [Sample(f"{i}", lambda i=i: solid(i), "happy", "train", "test") for i in range(3)],
        crop=lambda images, faces: [Cropped(image, frames[image[0, 0, 0]]) for image in images],
    )
    assert made.frames.dtype == np.float32
    np.testing.assert_allclose(made.frames[[0, 2]].reshape(2, 6), [frames[0], frames[2]], rtol=1e-4)
    # A crop that its picture fills: wherever in it, the place in the picture is inside.
    np.testing.assert_array_equal(made.frames[1], [[0, 0, 0.5], [0, 0, 0.5]])
    np.testing.assert_allclose(made.beyond([2, 1]), [1 / 3, 0], atol=1 / 32)  # the lowest third; nothing
    # Sets of earlier versions say nothing of it.
    samples = made.path / "shard-00000.samples.csv"
    lines = [line.rpartition(",")[0] for line in samples.read_text().splitlines()]
    samples.write_text("\n".join(lines) + "\n")
    manifest = json.loads((made.path / "manifest.json").read_text())
    manifest["shards"][0]["bytes"][samples.name] = samples.stat().st_size
    manifest["version"] = manifest["recipe"]["version"] = 1
    (made.path / "manifest.json").write_text(json.dumps(manifest))
    older = PreparedSet.open(made.path)
    assert older.frames.shape == (3, 2, 3) and np.isnan(older.frames).all() and older.keys == made.keys
    assert np.isnan(older.beyond(range(3))).all() and older.beyond([]).shape == (0,)
    np.testing.assert_array_equal(older.shares, made.shares)


@pytest.mark.parametrize("finished", [True, False])
def test_a_set_of_version_1_is_not_continued(tmp_path: Path, finished: bool) -> None:
    """Its shards have other columns; what is finished stays as it is."""
    made = make(tmp_path / "set")
    manifest = json.loads((made.path / "manifest.json").read_text())
    manifest["version"] = manifest["recipe"]["version"] = 1
    (made.path / "manifest.json").unlink()
    name = "manifest.json" if finished else "preparing.json"
    (made.path / name).write_text(json.dumps(manifest if finished else manifest["recipe"]))
    before = contents(made.path)
    with pytest.raises(DataError, match="was prepared with version 1, not 2") as caught:
        make(tmp_path / "set")
    assert "another folder" in caught.value.hint
    assert contents(made.path) == before


def test_progress_ends_at_the_number_of_rows(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    make(tmp_path / "set", report=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_open_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared set"):
        PreparedSet.open(tmp_path)
    made = make(tmp_path / "set")
    manifest = tmp_path / "set" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(f'"version": {VERSION}', f'"version": {VERSION + 1}', 1))
    with pytest.raises(DataError, match=f"version {VERSION + 1}, not .* version {VERSION}") as caught:
        PreparedSet.open(tmp_path / "set")
    assert "mien prepare" in caught.value.hint
    manifest.write_text(f'{{"format": "mien prepared set", "version": {VERSION}}}')
    with pytest.raises(DataError, match=r"manifest\.json"):
        PreparedSet.open(tmp_path / "set")
    samples = made.path / "shard-00000.samples.csv"
    lines = samples.read_text()
    manifest.write_text(text)
    samples.write_text(lines.replace(",train,", ",trai,x", 1))
    with pytest.raises(DataError, match=r"samples\.csv"):
        PreparedSet.open(tmp_path / "set")
    samples.write_text(lines)
    manifest.write_text(text[:50])
    with pytest.raises(DataError, match="cannot be read"):
        PreparedSet.open(tmp_path / "set")
    manifest.write_text(text)
    shard = made.path / "shard-00000.images.npy"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"shard-00000\.images\.npy"):
        PreparedSet.open(made.path)
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    flipped = PreparedSet.open(made.path)
    with pytest.raises(DataError, match=r"shard-00000\.images\.npy"):
        flipped.verify()
    shard.write_bytes(data)
    PreparedSet.open(made.path).verify()


def test_pickle_carries_the_path_only(tmp_path: Path) -> None:
    made = make(tmp_path / "set")
    carried = pickle.dumps(made)
    assert len(carried) < 500
    np.testing.assert_array_equal(pickle.loads(carried).images(range(8)), made.images(range(8)))


def test_indices_out_of_range_are_an_error(tmp_path: Path) -> None:
    made = make(tmp_path / "set")
    assert made.images([]).shape == (0, SIZE, SIZE, 1)
    for wrong in (-1, 8):
        with pytest.raises(IndexError):
            made.images([0, wrong])


def test_files_open_without_this_package(tmp_path: Path) -> None:
    made = make(tmp_path / "set")
    arrays = [np.load(path) for path in sorted(made.path.glob("*.npy"))]
    np.testing.assert_array_equal(np.concatenate(arrays), made.images(range(len(made))))
    with (made.path / "shard-00001.samples.csv").open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["row-4", "row-6", "row-7"]

"""Who prepares a set changes nothing in it: one process, several, other parts; and what goes wrong in one is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from prepared_rows import SIZE, contents, kill_once, make, mistake, noise, rows, same_and_new

from mien.datasets import Rejected, Row, Sample
from mien.datasets.drawn import PORTRAIT, draw, faces
from mien.errors import ConfigError, DataError
from mien.faces import FaceAligner
from mien.images import Cropped


def missing_package() -> np.ndarray:
    raise ModuleNotFoundError("No module named 'av'", name="av")


def test_the_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    made = make(tmp_path / "set", workers=2)
    left_out = {0, 2, 4, 13, 25}
    expected = [i for i in range(40) if i not in left_out]
    assert made.keys == tuple(f"row-{i:02d}" for i in expected)
    np.testing.assert_array_equal(made.images(range(35)), np.stack([noise(i, False)[..., :1] for i in expected]))
    assert made.subjects == tuple(f"who-{i // 3}" for i in expected)
    assert sorted(made.rejected()) == [
        ("row-00", "cut short"),
        ("row-02", "label 9 is not one of 0 to 6"),
        ("row-03", "the key occurred before"),
        ("row-06", "the key occurred before"),
        ("row-13", "the film is broken off"),
    ]
    made.verify()
    kinds = {"".join(path.suffixes) for path in made.path.iterdir()}
    assert kinds == {".csv", ".json", ".images.npy", ".samples.csv"} and len(contents(made.path)) == 10


@pytest.mark.parametrize("channels", ["auto", 1])
@pytest.mark.parametrize("colour", [False, True])
def test_any_number_of_processes_writes_the_same_bytes(tmp_path: Path, colour: bool, channels: object) -> None:
    # An empty first shard decides nothing about colour, and the second is at work when the third begins.
    items: list[Row] = [*(Rejected(f"{i}", "no") for i in range(10)), *rows(colour)]
    make(tmp_path / "one", items, channels=channels, part_size=10)
    make(tmp_path / "parts", items, channels=channels, part_size=4)
    make(tmp_path / "three", items, channels=channels, workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "parts") == contents(tmp_path / "three")


def test_faces_found_in_several_processes_are_the_same_bytes(tmp_path: Path) -> None:
    items: list[Row] = [
        Sample(
            f"{i}",
            partial(draw, face, 80 + 8 * (i % 3), PORTRAIT),
            expression,
            "train",
            "drawn",
            face=("cut", "largest")[i % 2],
        )
        for i, (_, expression, _, face) in enumerate(faces(24))
    ]
    aligner = FaceAligner("mtcnn", SIZE)
    whole = make(tmp_path / "one", items, crop=aligner, detector=aligner.settings)
    assert len(whole) > 12
    make(tmp_path / "two", items, crop=aligner, detector=aligner.settings, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_each_process_keeps_to_neighbouring_rows(tmp_path: Path) -> None:
    items: list[Row] = [Sample(f"{i}", partial(same_and_new, i), "happy", "train", "test") for i in range(96)]
    made = make(tmp_path / "set", items, workers=2, shard_size=48)
    jumps = int((made.images(range(96)).max(axis=(1, 2, 3)) == 0).sum())
    assert 1 <= jumps <= 12  # of 32 parts, of which taking turns would make as many jumps


def test_a_worker_that_is_killed_is_an_error_and_no_wait(tmp_path: Path) -> None:
    def items(mark: Path) -> list[Row]:
        return [*rows(), Sample("killer", partial(kill_once, 99, mark), "happy", "train", "test")]

    mark = tmp_path / "mark"
    with pytest.raises(DataError, match=r"worker process was killed by SIGKILL.* `killer` to `killer`") as caught:
        make(tmp_path / "set", items(mark), workers=2)
    assert "fewer workers" in caught.value.hint
    make(tmp_path / "set", items(mark), workers=2)
    make(tmp_path / "whole", items(mark))
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_what_a_worker_raises_arrives(tmp_path: Path) -> None:
    for read, kind, said in (
        (missing_package, ModuleNotFoundError, "'av'"),
        (mistake, RuntimeError, r"(?s)in a worker process:.*in mistake.*an average of nothing"),
    ):
        item = Sample("film", read, "happy", "train", "test")
        with pytest.raises(kind, match=said) as caught:
            make(tmp_path / read.__name__, [item], workers=2)
        assert kind is RuntimeError or caught.value.name == "av"  # the command line says by it what to install


def test_a_crop_of_another_size_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the crop of `row-\d\d` is uint8 \(1, 16, 3\), not uint8 of 16"):
        make(tmp_path / "set", crop=lambda images, faces: [Cropped(image[:1]) for image in images])


def test_samples_that_cannot_travel_are_told_what_to_be(tmp_path: Path) -> None:
    items: list[Row] = [Sample("a", lambda: noise(0, False), "happy", "train", "test")]
    with pytest.raises(ValueError, match=r"functools\.partial"):
        make(tmp_path / "set", items, workers=2)
    assert len(make(tmp_path / "set", items)) == 1


def test_an_unknown_engine_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown engine `dask`"):
        make(tmp_path / "set", engine="dask")
    assert not (tmp_path / "set").exists()


def test_large_photos_go_to_the_detector_in_smaller_batches(tmp_path: Path) -> None:
    batches: list[int] = []

    def crop(images: list[np.ndarray], faces: list[str]) -> list[Cropped | str]:
        batches.append(len(images))
        return [Cropped(image[:SIZE, :SIZE]) for image in images]

    def photo(side: int) -> np.ndarray:
        return np.zeros((side, 5000, 3), np.uint8)

    items: list[Row] = [
        Sample(f"{i}", partial(photo, 4000 if i < 4 else 16), "happy", "train", "test") for i in range(8)
    ]
    make(tmp_path / "set", items, crop=crop, part_size=8)
    assert batches == [2, 2, 4]  # twenty million pixels each: two pass the bound

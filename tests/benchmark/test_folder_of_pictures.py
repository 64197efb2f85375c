"""Pictures of another program: what is asked, what is answered, and what is left out."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coded_world import SIZE, Painter, samples
from PIL import Image

from mien.benchmark.contestants import Faces, can_express
from mien.benchmark.folder import Folder, write_requests
from mien.benchmark.protocol import Protocol
from mien.benchmark.requests import requested
from mien.conditions import Condition
from mien.errors import DataError
from mien.images import to_float
from mien.prepared import PreparedSet

PROTOCOL = Protocol(faces=4, sweep_faces=1, sweep_steps=5)


@pytest.fixture
def asked(make_prepared: Callable[..., PreparedSet], tmp_path: Path) -> Path:
    """Return a folder with the requests of a small benchmark: 4 faces x 7 expressions, 1 face x 6 x 5 steps."""
    prepared = make_prepared(samples(6), SIZE)
    write_requests(tmp_path / "theirs", requested(prepared, PROTOCOL), prepared.hash, PROTOCOL)
    return tmp_path / "theirs"


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "requests.csv").open() as stream:
        return list(csv.DictReader(stream))


def answer(folder: Path, rows: list[dict[str, str]], size: int = SIZE) -> None:
    """Do what the other program does, by the rules of the coded world."""
    for row in rows:
        pixels = np.asarray(Image.open(folder / row["face"]).convert("RGB"))
        face = Faces(("it",), to_float(pixels).numpy())
        edited = Painter().edit(face, [Condition.named(row["expression"], float(row["intensity"]))], "direct")[0, 0]
        levels = ((edited + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(levels).resize((size, size), Image.Resampling.NEAREST).save(folder / row["image"])


def test_everything_that_a_benchmark_needs_is_asked_once(asked: Path) -> None:
    rows = rows_of(asked)

    assert len(rows) == 4 * 7 + 6 * 5  # none of the five steps is 0.9
    assert len({row["image"] for row in rows}) == len(rows)
    assert all((asked / row["face"]).is_file() for row in rows)
    assert {row["intensity"] for row in rows if row["expression"] == "neutral"} == {"0"}


@pytest.mark.parametrize(
    ("protocol", "count"),
    [
        (Protocol(faces=4, sweep_faces=1, intensity=0.904), 4 * 7 + 6 * 10),  # 0.9 is a step of the rise
        (Protocol(faces=4, sweep_faces=1, sweep_steps=300), 4 * 7 + 6 * 300 - 6),  # 270/300 is the edits' 0.9
    ],
)
def test_each_request_has_a_picture_of_its_own(
    make_prepared: Callable[..., PreparedSet], tmp_path: Path, protocol: Protocol, count: int
) -> None:
    prepared = make_prepared(samples(6), SIZE)
    assert write_requests(tmp_path / "theirs", requested(prepared, protocol), prepared.hash, protocol) == count
    rows = rows_of(tmp_path / "theirs")
    assert len({row["image"] for row in rows}) == len(rows) == count
    # The name tells what the table tells, to the last digit.
    assert all(row["image"].endswith(f"-{row['expression']}-{row['intensity']}.png") for row in rows)


def test_two_faces_of_one_name_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.benchmark.folder._face_name", lambda key: "one")
    two = Faces(("first", "second"), np.zeros((2, 1, SIZE, SIZE), np.float32))
    with pytest.raises(DataError, match="`first` and `second` would both be called one") as caught:
        write_requests(tmp_path / "theirs", [(two, [Condition.named("happy")])], "", PROTOCOL)
    assert caught.value.hint and not (tmp_path / "theirs").exists()


def test_pictures_under_the_names_of_earlier_versions_are_found(asked: Path) -> None:
    rows = rows_of(asked)
    for row in rows:  # as they were: two decimals
        row["image"] = f"edited/{Path(row['face']).stem}-{row['expression']}-{float(row['intensity']):.2f}.png"
    with (asked / "requests.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    answer(asked, rows)

    keys = tuple(f"validation-{person}-neutral" for person in range(6))
    shown = Faces(keys, np.zeros((6, 1, SIZE, SIZE), np.float32))
    given = Folder(asked, "theirs").edit(shown, [Condition.named("happy", 0.9)], "direct")[:, 0]
    assert np.isfinite(given).all((1, 2, 3)).sum() == 4


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE])
def test_answers_are_found_by_face_and_request(asked: Path, size: int) -> None:
    answer(asked, rows_of(asked), size)
    folder = Folder(asked, "theirs")

    assert folder.facts.kind == "folder" and len(folder.facts.sha256) == 64
    assert folder.facts.expressions[0] == "neutral" and len(folder.facts.expressions) == 7
    keys = [f"validation-{person}-neutral" for person in range(6)]
    shown = Faces(tuple(keys), np.zeros((6, 1, SIZE, SIZE), np.float32))
    given = folder.edit(shown, [Condition.named("happy", 0.9)], "direct")[:, 0]
    known = np.isfinite(given).all((1, 2, 3))
    assert known.sum() == 4  # the two others are not edited in this benchmark
    assert np.allclose((given[known][:, 0, 5:7, 2:6] + 1) / 2, 0.9, atol=0.03)


def test_answers_to_another_benchmark_are_refused(asked: Path, make_prepared: Callable[..., PreparedSet]) -> None:
    answer(asked, rows_of(asked)[:1])
    folder, own = Folder(asked, "theirs"), make_prepared(samples(6), SIZE).hash

    folder.require(own, PROTOCOL)
    with pytest.raises(DataError, match="other faces, seed"):
        folder.require(own, Protocol(faces=5, sweep_faces=1, sweep_steps=5, seed=1))
    with pytest.raises(DataError, match="other data"):
        folder.require("0" * 64, PROTOCOL)


@pytest.mark.parametrize("text", ["[1]", "[]", "3", "{", "{}", '{"protocol": [1]}', '{"protocol": null}'])
def test_a_note_of_the_benchmark_that_says_nothing_is_refused(asked: Path, text: str) -> None:
    answer(asked, rows_of(asked)[:1])
    (asked / "requests.json").write_text(text)
    with pytest.raises(DataError, match="does not say for which benchmark") as caught:
        Folder(asked, "theirs").require("0" * 64, PROTOCOL)
    assert "requests.csv" in caught.value.hint


def test_a_picture_that_cannot_be_read_counts_as_missing(asked: Path) -> None:
    rows = rows_of(asked)
    answer(asked, rows)
    happy = next(row for row in rows if row["expression"] == "happy" and row["intensity"] == "0.9")
    (asked / happy["image"]).write_bytes(b"no picture")
    keys = tuple(f"validation-{person}-neutral" for person in range(6))

    given = Folder(asked, "theirs").edit(
        Faces(keys, np.zeros((6, 1, SIZE, SIZE), np.float32)), [Condition.named("happy", 0.9)], "direct"
    )

    assert np.isfinite(given).all((1, 2, 3, 4)).sum() == 3  # of the four that are edited


def test_an_edited_answer_changes_the_hash(asked: Path) -> None:
    rows = rows_of(asked)
    answer(asked, rows)
    before = Folder(asked, "theirs").facts.sha256
    Image.new("L", (SIZE, SIZE)).save(asked / rows[0]["image"])

    assert Folder(asked, "theirs").facts.sha256 != before


def test_angles_and_mixtures_cannot_be_asked_of_a_folder(asked: Path) -> None:
    answer(asked, rows_of(asked)[:1])
    folder = Folder(asked, "theirs")

    assert not can_express(folder, Condition.polar(0.0, 1.0))
    assert not can_express(folder, Condition.blend({"happy": 1, "sad": 1}))


def test_requests_are_not_overwritten(asked: Path, make_prepared: Callable[..., PreparedSet]) -> None:
    with pytest.raises(DataError, match="already holds"):
        write_requests(asked, [], "", PROTOCOL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no requests.csv"),
        ("face,expression,intensity,image\n", "asks for nothing"),
        ("face,expression,intensity,image\nfaces/a.png,joyous,1,edited/a.png\n", "line 2"),
        ("face,expression,intensity,image\nfaces/a.png,happy,much,edited/a.png\n", "line 2"),
        ("face,expression\nfaces/a.png,happy\n", "line 2"),
        ("face,expression,intensity,image\nfaces/a.png,happy,1\n", "line 2"),
        ("face,expression,intensity,image\nfaces/a.png,neutral\n", "line 2"),
        ("face,expression,intensity,image\nfaces/a.png\n", "line 2"),
        ("face,expression,intensity,image\nfaces/a.png,happy,1,../a.png\n", "outside the folder"),
        ("face,expression,intensity,image\nfaces/a.png,happy,1,edited/a.png\n", "none of the pictures"),
    ],
)
def test_tables_that_cannot_be_used_say_where(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "requests.csv").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        Folder(tmp_path, "theirs")
    assert caught.value.hint

"""Animations of one photo: round the disc or along a sweep, without a seam, and nothing moves but the face."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films_made import Brightener, Squares, scene, times
from PIL import Image, ImageSequence

from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.walks import animate_photo, frames_for, walk
from mien.errors import ConditionError, FilmError
from mien.expressions import BASIC
from mien.film_marks import read_film_mark
from mien.films import read_frames
from mien.images import read_photo
from mien.provenance import DIGITAL_SOURCE_TYPE, EditMark
from mien.spaces import LabelSpace

SPACE = Brightener.space
HAPPY = Condition.named("happy", 0.8)


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(Brightener())


def test_the_disc_is_walked_in_even_steps_without_a_seam() -> None:
    codes = [SPACE.code(condition) for condition in walk("disc", SPACE, 24, Condition.polar(0, 0.7))]
    steps = [math.dist(code, codes[(i + 1) % 24]) for i, code in enumerate(codes)]
    assert steps == pytest.approx([2 * 0.7 * math.sin(math.pi / 24)] * 24, abs=1e-6)


def test_a_sweep_goes_from_neutral_to_the_expression_and_back() -> None:
    strengths = [condition.intensity for condition in walk("sweep", SPACE, 20, HAPPY)]
    assert strengths[0] == 0 and strengths[10] == pytest.approx(0.8)
    assert strengths[1:] == pytest.approx(strengths[:0:-1])
    assert walk("sweep", LabelSpace(BASIC), 4, HAPPY)[2] == HAPPY
    halves = Condition.parse("upper=happy@0.8/lower=sad@0.4")
    there = walk("sweep", SPACE, 4, halves)
    assert there[2] == halves and [half.intensity for _, half in there[1].halves] == pytest.approx([0.4, 0.2])


def test_ways_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConditionError, match="no path"):
        walk("spiral", SPACE, 8)
    with pytest.raises(ConditionError, match="no disc"):
        walk("disc", LabelSpace(BASIC), 8)
    with pytest.raises(ConditionError, match="needs an expression"):
        walk("sweep", SPACE, 8)


def test_the_mark_of_an_animation_can_be_read_back(editor: Editor, tmp_path: Path) -> None:
    Image.fromarray(scene({"red": (100, 100, 60)}, (202, 300))).save(tmp_path / "photo.png")
    photo, mark = read_photo(tmp_path / "photo.png"), EditMark("happy @ 0.9", "brightener 0000")
    for name, given in (("one.webp", mark), ("one.mp4", mark), ("two.webp", None), ("one.gif", mark)):
        animate_photo(editor, photo, editor.find(photo)[0], walk("sweep", SPACE, 3, HAPPY), tmp_path / name, mark=given)
        readable = name in ("one.webp", "one.mp4")  # a GIF has a sentence alone
        wanted = {"digital_source_type": DIGITAL_SOURCE_TYPE, **vars(mark)} if readable else None
        assert read_film_mark(tmp_path / name) == wanted


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_only_the_face_moves_and_by_what_was_asked(editor: Editor, tmp_path: Path, suffix: str) -> None:
    Image.fromarray(scene({"red": (100, 100, 60)}, (202, 300))).save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    count = frames_for(0.8, suffix)
    out = tmp_path / f"out{suffix}"
    reported = []
    animate_photo(
        editor,
        photo,
        editor.find(photo)[0],
        walk("sweep", SPACE, count, HAPPY),
        out,
        seconds=0.8,
        size=150,
        report=lambda done, total: reported.append((done, total)),
    )
    assert reported[-1] == (count, count)
    if suffix == ".mp4":
        frames = [frame.pixels.astype(int) for frame in read_frames(out)]
        assert times(out) == [Fraction(i, 25) for i in range(20)]
    else:
        with Image.open(out) as image:
            shown = [
                (np.asarray(f.convert("RGB")).astype(int), f.info["duration"]) for f in ImageSequence.Iterator(image)
            ]
        assert sum(milliseconds for _, milliseconds in shown) == 800
        # Frames that are all the same are stored as one that is shown for longer.
        frames = [pixels for pixels, milliseconds in shown for _ in range(round(milliseconds * count / 800))]
    assert len(frames) == count and frames[0].shape == (100, 150, 3)
    light = [frame[45:55, 45:55, 2].mean() - frames[0][45:55, 45:55, 2].mean() for frame in frames]
    expected = [0.8 * 63.75 * (1 - math.cos(2 * math.pi * i / count)) / 2 for i in range(count)]
    assert light == pytest.approx(expected, abs=6)
    assert max(np.abs(frame[:, 100:] - frames[0][:, 100:]).max() for frame in frames) <= (0 if suffix == ".gif" else 3)


def test_a_small_photo_is_not_enlarged_and_the_photo_itself_not_written_over(editor: Editor, tmp_path: Path) -> None:
    Image.fromarray(scene({"red": (100, 100, 60)}, (201, 301))).save(tmp_path / "photo.webp", lossless=True)
    photo = read_photo(tmp_path / "photo.webp")
    face = editor.find(photo)[0]
    animate_photo(editor, photo, face, walk("disc", SPACE, 3), tmp_path / "a.gif", size=2000)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (300, 200)  # films need even sides
    with pytest.raises(FilmError, match="itself"):
        animate_photo(editor, photo, face, walk("disc", SPACE, 3), tmp_path / "photo.webp")


def test_a_start_that_the_model_has_not_is_refused_before_a_folder_is_made(
    editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(scene({"red": (100, 100, 60)})).save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    (face,) = editor.find(photo)
    monkeypatch.setattr(Brightener, "space", LabelSpace(("anger", "happy", "sad", "surprise")))
    for start, says in (("neutral", "no neutral face"), ("keep", "no disc to move on")):
        with pytest.raises(ConditionError, match=says):
            animate_photo(editor, photo, face, [HAPPY], tmp_path / "new" / "a.gif", start=start)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]

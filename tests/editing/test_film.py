"""Editing films, against films of squares and a model that brightens: which frames, how much, where, and nothing else."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films_made import (
    Brightener,
    Squares,
    darkened_where_neutral,
    planes,
    scene,
    seen_as_happy,
    sound_packets,
    times,
    write_film,
    write_gif,
)

from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.film import edit_film
from mien.editing.film_faces import fade_weights, find_faces
from mien.editing.keyframes import Keyframes
from mien.errors import ConditionError, FaceError, FilmError
from mien.film_marks import read_film_mark
from mien.films import read_frames

#: What the brightener adds at intensity 1: half of 127.5 levels.
FULL = 63.75


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(Brightener())


def edit(editor: Editor, film: Path, wanted: Condition | Keyframes = Condition.named("happy", 0.8), **options: Any):  # noqa: B008
    out = film.with_name(f"out{film.suffix}")
    return out, edit_film(editor, film, out, wanted, crf=0, **options)


def light(before: Path, after: Path, places: list[tuple[float, float] | None]) -> list[float]:
    """Return by how many levels of luma the middles of faces are lighter, in RGB's range; NaN without a place."""
    added = []
    for one, two, place in zip(planes(before), planes(after), places, strict=True):
        if place is None:
            assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
            added.append(float("nan"))
            continue
        x, y = round(place[0]), round(place[1])
        added.append(float((two[0].astype(float) - one[0])[y - 4 : y + 4, x - 4 : x + 4].mean()) * 255 / 219)
    return added


def test_a_face_is_edited_all_along_its_way_and_the_rest_is_untouched(editor: Editor, tmp_path: Path) -> None:
    places = [(60.0 + 3 * i, 100.0 + i) for i in range(30)]
    film = write_film(tmp_path / "film.mp4", [scene({"red": (*place, 40)}) for place in places], sounds=["aac"])
    out, done = edit(editor, film)
    assert (done.frames, done.edited, done.faces, done.notes) == (30, 30, 1, ())
    assert light(film, out, list(places)) == pytest.approx([0.8 * FULL] * 30, abs=1.5)
    for one, two, (x, y) in zip(planes(film), planes(out), places, strict=True):
        outside = np.ones(one[0].shape, bool)
        outside[int(y) - 21 : int(y) + 22, int(x) - 21 : int(x) + 22] = False
        assert np.array_equal(one[0][outside], two[0][outside])
    assert times(film) == times(out) and sound_packets(film) == sound_packets(out)
    mark = read_film_mark(out)
    assert mark is not None and mark["condition"] == "happy @ 0.8" and mark["model"].startswith("brightener")


def test_a_film_of_even_frames_says_its_rate_in_the_picture_itself(editor: Editor, tmp_path: Path) -> None:
    frames = [scene({"red": (100, 100, 40)})] * 8
    # Matroska counts in thousandths: 30 frames a second come at 0, 33, 67, 100, ...
    moments = [round(1000 * i / 30) for i in range(8)]
    even = write_film(tmp_path / "even.mkv", frames, times=moments, unit=Fraction(1, 1000), rate=30)
    edit_film(editor, even, tmp_path / "even.mp4", Condition.named("happy"))
    with av.open(str(tmp_path / "even.mp4")) as film:
        assert film.streams.video[0].codec_context.framerate == 30
    assert times(tmp_path / "even.mp4") == [Fraction(i, 30) for i in range(8)]
    uneven = write_film(tmp_path / "uneven.mp4", frames, times=[0, 1, 2, 3, 9, 10, 11, 12])
    out, _ = edit(editor, uneven)
    assert times(out) == times(uneven)


def test_keyframes_say_how_much_at_which_time(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 40, times=[2 * i for i in range(40)])
    wanted = Keyframes.parse(["0.4:neutral", "1.6:happy@1", "2.4:happy@0.5"])
    out, _ = edit(editor, film, wanted)
    shown = np.array([0, 0.4, 1.6, 2.4]), np.array([0, 0, 1.0, 0.5])
    expected = np.interp(np.arange(40) * 0.08, *shown) * FULL
    assert light(film, out, [(100, 100)] * 40) == pytest.approx(expected, abs=1.5)


def test_faces_that_enter_and_leave_are_faded_and_other_frames_pass_through(editor: Editor, tmp_path: Path) -> None:
    there = [None if i < 12 or i >= 42 else (100.0, 100.0) for i in range(60)]
    frames = [scene({} if place is None else {"red": (*place, 40)}) for place in there]
    film = write_film(tmp_path / "film.mp4", frames)
    out, done = edit(editor, film)
    added = light(film, out, there)
    assert done.edited == 28  # the first and the last frame of the face have the weight 0
    assert added[12] == added[41] == 0
    assert added[19:35] == pytest.approx([0.8 * FULL] * 16, abs=1.5)
    assert np.abs(np.diff(added[12:42])).max() < 0.4 * 0.8 * FULL and (np.diff(added[12:18]) > 0).all()


def test_a_moment_in_which_the_face_is_missed_is_bridged(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (60 + 2 * i, 100, 40)}) for i in range(40)])
    detector: Any = editor.detector
    detector._blind = lambda call: 24 <= call < 29
    out, done = edit(editor, film)
    assert done.edited == 40 and done.faces == 1
    assert light(film, out, [(60 + 2 * i, 100) for i in range(40)]) == pytest.approx([0.8 * FULL] * 40, abs=1.5)


def test_an_edit_fades_between_shots_only_where_the_shot_goes_on() -> None:
    seconds = np.arange(20) / 25
    whole = fade_weights(seconds, (0,), 0, np.ones(20, bool))
    assert (whole == 1).all()
    entering = fade_weights(seconds, (0,), 5, np.ones(15, bool))
    assert entering[0] == 0 and (np.diff(entering[:8]) > 0).all() and (entering[8:] == 1).all()
    after_cut = fade_weights(seconds, (0, 5), 5, np.ones(15, bool))
    assert (after_cut == 1).all()
    before_cut = fade_weights(seconds, (0, 12), 0, np.ones(12, bool))
    assert (before_cut == 1).all()
    assert fade_weights(seconds, (0,), 0, np.arange(20) > 9)[:11].tolist() == [0.0] * 11


def test_faces_can_be_chosen(editor: Editor, tmp_path: Path) -> None:
    frames = [scene({"blue": (60, 60, 30), "red": (200, 150, 50)}) for _ in range(12)]
    film = write_film(tmp_path / "film.mp4", frames)
    found = find_faces(editor, film)
    assert [round(float(np.ptp(face.landmarks[0], axis=0).max())) for face in found.faces] == [17, 10]
    small, large = [(60.0, 60.0)] * 12, [(200.0, 150.0)] * 12
    for which, expected in (("largest", (0, 1)), (1, (0, 1)), ("2", (1, 0)), ("all", (1, 1))):
        out, done = edit(editor, film, faces=which, found=found)
        assert done.faces == sum(expected)
        assert light(film, out, list(small)) == pytest.approx([0.8 * FULL * expected[0]] * 12, abs=1.5)
        assert light(film, out, list(large)) == pytest.approx([0.8 * FULL * expected[1]] * 12, abs=1.5)
    with pytest.raises(FaceError, match="no face 3"):
        found.choose(3)
    with pytest.raises(ConditionError, match="chooses no face"):
        found.choose("left")


def test_the_largest_face_is_another_where_the_first_is_not_there(editor: Editor, tmp_path: Path) -> None:
    faces = {"blue": (60.0, 60.0, 30.0)}
    frames = [scene(faces | ({"red": (200, 150, 50)} if i < 30 else {})) for i in range(60)]
    film = write_film(tmp_path / "film.mp4", frames)
    chosen = find_faces(editor, film).choose("largest")
    shown = np.zeros((2, 60))
    for row, face in enumerate(chosen.faces):
        shown[row, face.first : face.last + 1] = face.weights
    assert (shown.sum(axis=0) <= 1).all()
    assert (shown[0, :20] == 1).all() and (shown[1, 40:] == 1).all() and (shown[1, :30] == 0).all()


def test_the_expression_of_a_face_itself_is_averaged_over_time(editor: Editor, tmp_path: Path) -> None:
    """A critic that changes its mind at every look must not make the edit flicker."""
    model: Any = editor.model
    looks = iter(range(1000))

    def read(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities = np.zeros((len(images), 7), np.float32)
        probabilities[:, next(looks) % 2] = 1  # neutral, happy, neutral, ...
        return probabilities, np.zeros((len(images), 2), np.float32)

    model.read = read
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 60)
    (face,) = find_faces(editor, film).faces
    neutral, happy = face.expressed[:, 0], face.expressed[:, 1]
    assert np.ptp(happy[10:50]) < 0.1 and happy.mean() == pytest.approx(0.5, abs=0.1)
    assert neutral + happy == pytest.approx(np.ones(60)) and not face.expressed[:, 2:].any()
    (unread,) = find_faces(editor, film, read=False).faces
    assert unread.expressed.size == 0 and not unread.standing.any()


def test_what_is_there_and_not_asked_for_is_taken_away_first(editor: Editor, tmp_path: Path) -> None:
    model: Any = editor.model
    model.render, model.read = darkened_where_neutral, seen_as_happy
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 12)
    sad = Condition.named("sad", 0.8)
    added = {}
    for start in ("auto", "neutral", "direct"):
        out, _ = edit(editor, film, sad, start=start)
        added[start] = light(film, out, [(100, 100)] * 12)[6]
    assert added["neutral"] == pytest.approx(0, abs=1.5)
    model.read = lambda _: pytest.fail("nobody has to see what all goes of, or nothing")
    for start in ("neutral", "direct"):
        edit(editor, film, sad, start=start)
    assert added["direct"] == pytest.approx(51, abs=1.5)
    assert added["auto"] == pytest.approx(51 - 0.6 * 51, abs=1.5)  # 1 - 0.5 * 0.8 of it


@pytest.mark.parametrize("start", ["auto", "neutral", "direct", "keep"])
def test_half_a_face_is_edited_and_the_other_one_is_as_it_was_filmed(
    editor: Editor, tmp_path: Path, start: str
) -> None:  # fmt: skip
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 8)
    found = {}
    for half in ("upper", "lower"):
        path = Keyframes.parse([f"0:{half}=happy@0.2", f"0.2:{half}=happy@0.8"])
        out, _ = edit(editor, film, path, start=start)
        (*_, before), (*_, after) = planes(film), planes(out)
        found[half] = (after[0].astype(float) - before[0])[:, 98:102].mean(axis=1)
    upper, lower = slice(84, 96), slice(106, 116)  # rows of the face, whose middle is at 100
    assert found["upper"][upper].min() > 30 and np.abs(found["upper"][lower]).max() < 2
    assert found["lower"][lower].min() > 30 and np.abs(found["lower"][upper]).max() < 2


def test_a_film_without_a_face_is_an_error_and_nothing_is_written(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({})] * 10)
    with pytest.raises(FaceError, match="no face found in"):
        edit(editor, film)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_flash_of_a_face_is_none(editor: Editor, tmp_path: Path) -> None:
    frames = [scene({"red": (100, 100, 40)} | ({"blue": (220, 60, 40)} if i == 10 else {})) for i in range(25)]
    assert len(find_faces(editor, write_film(tmp_path / "film.mp4", frames)).faces) == 1
    single = write_film(tmp_path / "single.mp4", frames[:1])
    assert len(find_faces(editor, single).faces) == 1  # a film of one frame has no more to show


def test_a_film_that_is_broken_off_is_edited_as_far_as_it_goes(editor: Editor, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", [scene({"red": (60 + i, 100, 40)}) for i in range(60)], sounds=["flac"])
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, done = edit(editor, broken)
    assert 5 < done.frames < 60 and done.edited == done.frames


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_gifs_come_in_and_animations_go_out(editor: Editor, tmp_path: Path, suffix: str) -> None:
    film = write_gif(tmp_path / "film.gif", [scene({"red": (80 + 5 * i, 100, 40)}) for i in range(8)])
    out = tmp_path / f"out{suffix}"
    done = edit_film(editor, film, out, Condition.named("happy", 1.0))
    assert done.frames == done.edited == 8
    if suffix == ".webp":  # ffmpeg reads no animated WebP
        return
    for before, after, i in zip(read_frames(film), read_frames(out), range(8), strict=True):
        change = after.pixels.astype(int) - before.pixels
        assert change[95:105, 75 + 5 * i : 85 + 5 * i, 1:].mean() == pytest.approx(FULL, abs=12)
        assert np.abs(change[20:60, 20:60]).mean() < 4


def test_the_film_itself_is_not_written_over(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 4)
    content = film.read_bytes()
    with pytest.raises(FilmError, match="the film itself"):
        edit_film(editor, film, film, Condition.named("happy"))
    with pytest.raises(FilmError, match="no film can be written as") as error:
        edit_film(editor, film, film.with_suffix(".avi"), Condition.named("happy"))
    assert ".mp4" in error.value.hint and ".gif" in error.value.hint
    with pytest.raises(ConditionError, match="cannot start from"):
        edit_film(editor, film, film.with_suffix(".mkv"), Condition.named("happy"), start="nowhere")  # pyright: ignore[reportArgumentType]
    assert film.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_an_interruption_leaves_the_old_file_and_nothing_else(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 30)
    (tmp_path / "out.mp4").write_bytes(b"old")
    found = find_faces(editor, film)

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(editor, film, found=found, report=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"old"


def test_a_face_that_turns_to_profile_loses_the_edit(editor: Editor, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (100, 100, 40)})] * 12)
    found = find_faces(editor, film)
    (face,) = found.faces
    face.landmarks[6:, 2, 0] += 0.48 * (face.landmarks[6:, 1, 0] - face.landmarks[6:, 0, 0])  # the nose at an eye
    out, done = edit(editor, film, found=found)
    assert "seen from the side" in done.notes[0] and "6 frames" in done.notes[0]
    assert light(film, out, [*[(100, 100)] * 6, *[None] * 6])[:6] == pytest.approx([0.8 * FULL] * 6, abs=1.5)
    out, done = edit(editor, film, found=found, profiles="edit")
    assert done.edited == 12 and done.notes == ()

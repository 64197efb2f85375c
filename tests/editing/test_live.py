"""Live editing: the latest frame wins, faces fade in, wishes hold from the next frame on, ends are told."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films_made import Brightener, Squares, darkened_where_neutral, scene, seen_as_happy, write_film
from PIL import Image

from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.live import Latest, LiveEditor, Wish, camera_source, film_source
from mien.errors import ConditionError, FilmError
from mien.spaces import LabelSpace

FULL = 63.75
STILL = scene({"red": (100, 100, 40)})


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(Brightener())


def live(editor: Editor, **options) -> LiveEditor:
    return LiveEditor(editor, lambda: itertools.repeat(STILL), Wish(Condition.named("happy", 0.8)), **options)


def light(pixels: np.ndarray) -> float:
    return float((pixels.astype(int) - STILL)[92:108, 92:108].mean())


def test_an_edit_fades_in_and_changes_with_the_wish(editor: Editor) -> None:
    show = live(editor)
    added = [light(show.edit(STILL, index / 20)) for index in range(12)]
    assert added[0] == 0 and added[2] == pytest.approx(0.8 * FULL * 0.4, abs=1)
    assert added[5:] == pytest.approx([0.8 * FULL] * 7, abs=1)
    show.ask(Wish(Condition.named("anger", 0.2)))
    assert light(show.edit(STILL, 0.6)) == pytest.approx(0.2 * FULL, abs=1)
    show.ask(Wish(Condition.named("anger", 0.2), shown=False))
    assert np.array_equal(show.edit(STILL, 0.65), STILL)
    with pytest.raises(ConditionError):
        show.ask(Wish(Condition.named("contempt")))
    assert show.describe()["faces"] == 1


def test_a_model_without_neutral_edits_faces_as_they_are_and_one_without_a_disc_has_nothing_to_keep(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Brightener, "space", LabelSpace(("anger", "happy", "sad", "surprise")))
    seen = np.eye(4, dtype=np.float32)[:1], np.zeros((1, 4), np.float32)  # anger, which is not to be taken away
    monkeypatch.setattr(Brightener, "read", lambda *_: seen)
    show = live(editor)  # from `auto`, as StarGAN's models of four expressions are shown
    for index in range(8):
        edited = show.edit(STILL, index / 20)
    assert light(edited) == pytest.approx(0.8 * FULL, abs=1)
    for start, says in (("keep", "no disc to move on"), ("neutral", "no neutral face to start from")):
        with pytest.raises(ConditionError, match=says):
            live(editor, start=start)


def test_what_is_there_and_not_asked_for_is_taken_away_first(editor: Editor) -> None:
    model: Any = editor.model
    model.render, model.read = darkened_where_neutral, seen_as_happy
    for start, expected in (("auto", 0.8 * FULL - 0.6 * 51), ("neutral", 0.8 * FULL - 51), ("direct", 0.8 * FULL)):
        show = live(editor, start=start)
        show.ask(Wish(Condition.named("sad", 0.8)))
        for index in range(12):
            edited = show.edit(STILL, index / 20)
        assert light(edited) == pytest.approx(expected, abs=1)


def test_halves_come_back_from_nothing_as_they_were_asked_for(editor: Editor) -> None:
    halves = Condition.parse("upper=sad@0.9/lower=happy@0.3")
    show = live(editor)
    show.ask(Wish(halves))
    show.ask(show.wish.at(0.0))
    assert show.describe()["intensity"] == 0 and show.describe()["code"] is None
    show.ask(show.wish.at(0.45))
    assert [half.intensity for _, half in show.wish.condition.halves] == pytest.approx([0.45, 0.15])
    assert show.wish.at(0.9).condition == halves


def test_a_blend_that_is_no_step_does_not_end_the_camera(editor: Editor) -> None:
    show = live(editor, start="keep")
    with pytest.raises(ConditionError, match="opposite"):
        show.ask(Wish(Condition.parse("happy,fear")))  # at 0 and at 180 degrees
    assert show.wish.condition == Condition.named("happy", 0.8)


def test_the_largest_face_alone(editor: Editor) -> None:
    pair = scene({"red": (60, 100, 50), "blue": (200, 100, 30)})
    for which, expected in (("largest", 0.0), ("all", 0.8 * FULL)):
        show = live(editor, faces=which)
        for index in range(8):
            edited = show.edit(pair, index / 20)
        change = edited.astype(int) - pair
        assert change[95:105, 55:65].mean() == pytest.approx(0.8 * FULL, abs=1)
        assert change[95:105, 195:205].mean() == pytest.approx(expected, abs=1)


def test_nothing_is_kept_of_faces_that_have_left(editor: Editor) -> None:
    show = live(editor)
    for index in range(90):
        show.edit(STILL if index % 30 < 15 else scene({}), index / 20)
    assert show._people == {} and show._tracker.tracks == []


def test_who_waits_gets_the_latest_value_alone() -> None:
    slot = Latest()
    assert slot.get(timeout=0.01) == (None, 0)
    for value in "abc":
        slot.put(value)
    assert slot.get(0) == ("c", 3) and slot.get(3, timeout=0.01) == ("c", 3)
    threading.Timer(0.05, slot.put, ["d"]).start()
    assert slot.get(3, timeout=5) == ("d", 4)


def test_a_slow_editor_skips_frames_and_an_ended_camera_is_told(editor: Editor) -> None:
    def frames() -> Iterator[np.ndarray]:
        for _ in range(200):
            time.sleep(0.001)
            yield STILL

    show = LiveEditor(editor, frames, Wish(Condition.named("happy")))
    show.start()
    first, number = show.pictures.get(timeout=20)
    assert Image.open(io.BytesIO(first)).size == (320, 240)
    deadline = time.monotonic() + 20
    while not show.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert show.ended and isinstance(show.error, FilmError) and "no more frames" in str(show.error)
    assert number <= show.pictures.get(timeout=0)[1] < 200


def test_a_film_plays_at_its_own_speed_again_and_again(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [scene({"red": (60 + 10 * i, 100, 40)}) for i in range(5)])
    start = time.monotonic()
    shown = [pixels[100].astype(int)[:, 0].argmax() for pixels in itertools.islice(film_source(film)(), 12)]
    assert time.monotonic() - start > 8 / 25
    assert np.abs(np.array(shown[:5]) - shown[5:10]).max() <= 1 and shown[4] - shown[0] == pytest.approx(40, abs=2)
    with pytest.raises(FilmError, match="no such file"):
        film_source(tmp_path / "none.mp4")


def test_a_camera_that_does_not_exist_is_one_clear_error() -> None:
    with pytest.raises(FilmError, match="cannot open camera 87") as caught:
        camera_source("87")
    assert "--film" in caught.value.hint

"""Films in the studio: a frame shows what the film will, and nothing is left of work that was stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films_made import Brightener, Squares, scene, sound_packets, write_film

from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.film import edit_film
from mien.editing.keyframes import Keyframes
from mien.editing.open_films import FilmWish, OpenFilm, Work
from mien.editing.studio import Studio
from mien.errors import ClosedPhotoError, ConditionError, ConfigError, FaceError, FilmError
from mien.film_marks import read_film_mark
from mien.films import read_frames
from mien.images import encode_photo, read_photo
from mien.spaces import LabelSpace

HAPPY, SAD = Keyframes.constant(Condition.named("happy", 0.8)), Keyframes.constant(Condition.named("sad", 0.4))
RISING = Keyframes.parse(["0:neutral@0", "1:happy@1"])


def moving(count: int = 30) -> list[np.ndarray]:
    """A red face that moves, and a smaller blue one that is there from the tenth frame to the nineteenth."""
    frames = []
    for index in range(count):
        faces = {"red": (80 + index, 120, 70)} | ({"blue": (240.0, 120.0, 50.0)} if 10 <= index < 20 else {})
        frames.append(scene(faces))
    return frames


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(Brightener())


@pytest.fixture
def studio(editor: Editor) -> Iterator[Studio]:
    studio = Studio(editor)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "talk.mp4", moving(), sounds=["aac"])


@pytest.fixture
def film(studio: Studio, path: Path) -> OpenFilm:
    opened = studio.film(studio.open_film(path, "talk.mp4"))
    opened.finding.wait()
    return opened


def test_a_film_is_described_with_its_faces_once_they_are_found(film: OpenFilm, studio: Studio) -> None:
    told = film.describe()
    assert (told["name"], told["film"], told["width"], told["height"]) == ("talk.mp4", True, 320, 240)
    assert told["seconds"] == pytest.approx(np.arange(30) / 25, abs=1e-3)
    assert told["faces"] == [{"first": 0, "last": 29}, {"first": 10, "last": 19}]
    assert told["finding"] == {"state": "done", "done": 30, "total": 30, "error": ""} and told["writing"] is None
    assert [(each["name"], each["film"]) for each in studio.describe()["open"]] == [("talk.mp4", True)]
    frame = film.frame(12)
    faces = frame.describe()["faces"]
    assert set(faces) == {1, 2} and set(film.frame(5).faces) == {1}
    x0, _, x1, _ = faces[1]["box"]
    assert (x0 + x1) / 2 == pytest.approx(92, abs=1) and faces[2]["reading"]["expression"] == "neutral"
    with pytest.raises(FilmError, match="no frame 30"):
        film.frame(30)


def test_a_frame_shows_what_the_film_will(studio: Studio, film: OpenFilm, editor: Editor) -> None:
    wish = FilmWish({1: RISING, 2: SAD}, "direct")
    film.write(wish, ".mp4")
    film.writing.wait()  # type: ignore[union-attr]
    written, done = film.written()
    assert (done.frames, done.edited, done.faces) == (30, 30, 2)
    saved = [frame.pixels for frame in read_frames(written)]
    for index in (25, 12, 0, 13, 29):  # there and back
        frame = film.frame(index)
        shown, said = studio.preview(frame, frame.wishes(editor, wish))
        assert set(said) == ({1, 2} if 10 <= index < 20 else {1})
        for x in (80 + index, 240):
            assert shown[118:123, x - 2 : x + 3].mean() == pytest.approx(
                saved[index][118:123, x - 2 : x + 3].mean(), abs=4
            )
    at = film.frame(12)
    light = studio.preview(at, at.wishes(editor, wish))[0].astype(int) - at.photo.pixels
    assert light[120, 92] == pytest.approx([0.48 * 63.75] * 3, abs=1)  # at 0.48 s of a second
    faded = (
        studio.preview(film.frame(10), film.frame(10).wishes(editor, wish))[0].astype(int) - film.frame(10).photo.pixels
    )
    assert light[120, 240].mean() > 5 and abs(faded[120, 240]).max() <= 1  # the second face has just come
    assert sound_packets(written) == sound_packets(film.path)


def test_each_face_has_its_own_wish_and_the_mark_says_so(editor: Editor, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = edit_film(editor, path, out, {2: Condition.named("sad", 0.4)}, start="direct", crf=1)
    assert (done.edited, done.faces) == (8, 1)  # the second face, without its first and last frame
    mark = read_film_mark(out)
    assert mark is not None and mark["condition"] == "face 2: sad @ 0.4"
    edit_film(editor, path, out, {2: SAD, 1: RISING}, start="direct")
    assert (read_film_mark(out) or {})["condition"] == "face 1: 0 s: neutral @ 0, 1 s: happy @ 1; face 2: sad @ 0.4"
    with pytest.raises(FaceError, match="no face 3"):
        edit_film(editor, path, tmp_path / "other.mp4", {1: HAPPY, 3: HAPPY})
    with pytest.raises(ConditionError, match="no face is to be edited"):
        edit_film(editor, path, tmp_path / "other.mp4", {})
    assert not (tmp_path / "other.mp4").exists()


def test_a_view_of_a_face_and_small_pictures_are_those_of_the_frame(studio: Studio, film: OpenFilm) -> None:
    frame = film.frame(12)
    x0, _, x1, _ = frame.view(2).box
    assert x0 < 240 < x1 and x1 - x0 < 120
    light = studio.thumbnails(frame, 2, 0.9, "direct", 40)
    assert (light["happy"][20, 20].astype(int) - light["photo"][20, 20]) == pytest.approx([0.9 * 63.75] * 3, abs=1)
    with pytest.raises(FaceError, match="no face 2"):
        film.frame(5).view(2)


def test_what_makes_no_sense_is_refused_before_the_work(film: OpenFilm, editor: Editor) -> None:
    unknown = Keyframes.constant(Condition.named("contempt"))
    with pytest.raises(FaceError, match="no face 3"):
        film.frame(0).wishes(editor, FilmWish({3: HAPPY}))
    for wish in (FilmWish({3: HAPPY}), FilmWish({1: unknown}), FilmWish({})):
        with pytest.raises((FaceError, ConditionError)):
            film.write(wish, ".mp4")
    assert film.writing is None
    with pytest.raises(ClosedPhotoError, match="no edited film"):
        film.written()
    editor.model.space = LabelSpace(editor.space.expressions)  # type: ignore[misc]
    with pytest.raises(ConditionError, match="no disc to move on"):
        film.frame(0).wishes(editor, FilmWish({1: HAPPY}, "keep"))
    with pytest.raises(ConditionError, match="no disc to move on"):
        film.write(FilmWish({1: HAPPY}, "keep"), ".mp4")


class Held(Brightener):
    """A model that renders when it is let."""

    def __init__(self) -> None:
        self.asked, self.let = threading.Event(), threading.Event()

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked.set()
        assert self.let.wait(20)
        return super().render(images, codes)


def test_a_film_that_is_being_written_can_be_stopped_and_nothing_is_left(
    film: OpenFilm, editor: Editor, studio: Studio
) -> None:
    editor.model = model = Held()
    film.write(FilmWish({1: HAPPY}, "direct"), ".mp4")
    assert model.asked.wait(20)
    assert film.work()["writing"]["state"] == "running"
    with pytest.raises(FilmError, match="being written"):
        film.write(FilmWish({1: SAD}, "direct"), ".mp4")
    threading.Timer(0.2, model.let.set).start()
    film.stop()
    assert film.work()["writing"]["state"] == "stopped" and "written" not in film.work()
    assert list(studio.incoming("a.mp4").parent.iterdir()) == []
    film.write(FilmWish({1: HAPPY}, "direct"), ".gif")  # and written anew
    film.writing.wait()  # type: ignore[union-attr]
    first = film.written()[0]
    assert film.work()["written"] == {"frames": 30, "edited": 30, "notes": ["an animation has no sound"]}
    film.write(FilmWish({1: SAD}, "direct"), ".mp4")
    film.writing.wait()  # type: ignore[union-attr]
    assert not first.exists() and film.written()[0].exists()


def test_faces_that_cannot_be_found_are_told(studio: Studio, tmp_path: Path) -> None:
    empty = write_film(tmp_path / "empty.mp4", [scene({})] * 5)
    film = studio.film(studio.open_film(empty, "empty.mp4"))
    film.finding.wait()
    said = film.describe()
    assert said["finding"]["state"] == "failed" and "no face found" in said["finding"]["error"] and "faces" not in said
    assert studio.describe()["open"] == []
    with pytest.raises(FilmError, match="no face found"):
        film.frame(0)


def test_a_film_without_faces_frees_its_copy_and_takes_no_good_ones_place(
    studio: Studio, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.editing.studio._MOST_FILMS", 2)
    good = studio.open_film(path, "talk.mp4")
    studio.film(good).finding.wait()
    blank = write_film(tmp_path / "blank.mp4", [scene({})] * 5).read_bytes()
    for _ in range(4):
        copy = studio.incoming("blank.mp4")
        copy.write_bytes(blank)
        dead = studio.film(studio.open_film(copy, "blank.mp4", owned=True))
        dead.finding.wait()
        assert not copy.exists() and "no face found in `blank.mp4`" in dead.finding.error
    assert studio.film(good).describe()["faces"]
    told = studio.describe()
    assert [each["name"] for each in told["open"]] == ["talk.mp4"] and len(told["failed"]) == 1


def test_frames_of_a_damaged_film_are_those_of_the_faces(studio: Studio, path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mkv"
    with av.open(str(path)) as source, av.open(str(damaged), "w") as out:
        track = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if 8 <= number < 12:
                spoiled = av.Packet(bytes(len(bytes(packet))))
                spoiled.pts, spoiled.dts, spoiled.time_base = packet.pts, packet.dts, packet.time_base
                packet = spoiled
            packet.stream = track
            out.mux(packet)
    through = [frame.pixels for frame in read_frames(damaged)]
    assert 10 < len(through) < 30
    film = studio.film(studio.open_film(damaged, "damaged.mkv"))
    film.finding.wait()
    for index in (len(through) - 1, 5, 14, 9, 0):
        assert np.array_equal(film.frame(index).photo.pixels, through[index]), index


def test_a_blend_that_is_no_step_is_refused_before_the_work(film: OpenFilm, editor: Editor) -> None:
    opposite = FilmWish({1: Keyframes.parse(["0:happy,fear@0.5"])}, "keep")  # 0 and 180 degrees
    with pytest.raises(ConditionError, match="opposite"):
        film.write(opposite, ".mp4")
    with pytest.raises(ConditionError, match="opposite"):
        film.frame(0).wishes(editor, opposite)
    with pytest.raises(ConditionError, match="no place on the disc"):  # at once, wherever in the film
        film.frame(29).wishes(editor, FilmWish({1: Keyframes.parse(["0:45@0.5", "1:happy,sad@0.5"])}))
    assert film.writing is None
    crossing = Keyframes.parse(["0:happy:0.9,fear:0.1@0.5", "1.1:happy:0.1,fear:0.9@0.5"])  # through nothing on the way
    film.write(FilmWish({1: crossing}, "keep"), ".mp4")
    film.writing.wait()  # type: ignore[union-attr]
    assert film.writing.state == "done", film.writing.error  # type: ignore[union-attr]


def test_what_is_no_film_is_refused_and_a_copy_of_it_removed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = studio.incoming("talk.MP4")
    assert copy.suffix == ".mp4"
    copy.write_bytes(b"no film")
    with pytest.raises(FilmError, match="cannot be read as a film"):
        studio.open_film(copy, "talk.mp4", owned=True)
    assert not copy.exists()
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ConfigError, match="`av`") as error:
        studio.open_film(copy, "talk.mp4")
    assert "mien[video]" in error.value.hint


def test_films_used_least_recently_are_closed_with_their_copies_and_others_stay(
    studio: Studio, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.editing.studio._MOST_FILMS", 2)
    copies = []
    for _ in range(2):
        copies.append(studio.incoming("talk.mp4"))
        copies[-1].write_bytes(path.read_bytes())
    keys = [studio.open_film(copy, copy.name, owned=True) for copy in copies]
    photo = studio.open(encode_photo("a.png", scene({"red": (100, 100, 60)})), "a.png")
    first = studio.film(keys[0])
    first.finding.wait()
    third = studio.open_film(path, "talk.mp4")
    assert copies[0].exists() and not copies[1].exists() and path.exists()
    with pytest.raises(ClosedPhotoError, match="not open any more"):
        studio.film(keys[1])
    with pytest.raises(ClosedPhotoError, match="this film"):
        studio.film(photo)
    with pytest.raises(ClosedPhotoError, match="this photo"):
        studio.photo(third)
    studio.film(third).finding.wait()
    studio.close()
    assert not copies[0].exists() and not copies[0].parent.exists() and path.exists()
    for use in (lambda: first.frame(3), lambda: first.write(FilmWish({1: HAPPY}), ".mp4")):
        with pytest.raises(ClosedPhotoError):
            use()


def test_a_photo_saved_after_a_film_is_the_photo(studio: Studio, film: OpenFilm) -> None:
    pixels = scene({"red": (100, 100, 60)})
    key = studio.open(encode_photo("a.png", pixels), "a.png")
    assert np.array_equal(read_photo(studio.save(studio.photo(key), {}, ".png")).pixels, pixels)


def test_work_tells_how_far_it_is_what_went_wrong_and_when_it_was_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    def until_stopped(report: Callable[[int, int], None]) -> None:
        for done in range(10_000):
            report(done, 10_000)
            time.sleep(0.002)

    def refusing(report: Any) -> None:
        raise FilmError("it is broken", hint="mend it")

    work = Work(until_stopped)
    time.sleep(0.05)
    assert work.state == "running" and 0 < work.describe()["done"] < 10_000 == work.describe()["total"]
    work.stop()
    assert work.describe()["state"] == "stopped" and not work.error
    failed = Work(refusing)
    failed.wait()
    assert (failed.state, failed.error) == ("failed", "it is broken; mend it")
    fine = Work(lambda report: report(1, 1) or 7)
    fine.wait()
    assert (fine.state, fine.result) == ("done", 7)
    assert capfd.readouterr().err == ""

"""Photos in the studio: what is shown is what will be saved, only smaller, and nothing that was opened is changed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from films_made import Brightener, Squares, scene
from PIL import Image

from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.studio import FaceWish, Studio
from mien.errors import ClosedPhotoError, ConditionError, FaceError, ImageError
from mien.images import read_photo, resize
from mien.provenance import parse_mark

FULL = 63.75
HAPPY, SAD = FaceWish(Condition.named("happy", 0.8), "direct"), FaceWish(Condition.named("sad", 0.2), "direct")
PAIR = scene({"red": (1400, 500, 300), "blue": (600, 400, 150)}, (900, 2000))


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(Brightener())


@pytest.fixture
def studio(editor: Editor) -> Studio:
    return Studio(editor)


def png(pixels: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def test_an_open_photo_is_described_with_its_faces_the_largest_first(studio: Studio) -> None:
    told = studio.photo(studio.open(png(PAIR), "pair.png")).describe()
    assert (told["name"], told["width"], told["height"], told["frames"]) == ("pair.png", 2000, 900, 1)
    assert [face["box"] for face in told["faces"]] == [
        pytest.approx([1250, 350, 1550, 650], abs=1),
        pytest.approx([525, 325, 675, 475], abs=1),
    ]
    assert all(face["reading"]["expression"] == "neutral" and not face["profile"] for face in told["faces"])
    assert studio.describe()["open"][0]["name"] == "pair.png"
    assert studio.describe()["angles"] == {
        name: pytest.approx(60 * i) for i, name in enumerate(["happy", "sad", "surprise", "fear", "disgust", "anger"])
    }


def test_the_preview_is_the_saved_picture_made_smaller(studio: Studio) -> None:
    key = studio.open(png(PAIR), "pair.png")
    wishes = {1: HAPPY, 2: SAD}
    shown, said = studio.preview(studio.photo(key), wishes)
    saved = read_photo(studio.save(studio.photo(key), wishes, ".png")).pixels
    assert shown.shape == (576, 1280, 3) and saved.shape == PAIR.shape
    assert np.abs(shown.astype(int) - resize(saved, (576, 1280))).max() <= 3  # at the rims of the squares
    assert saved[500, 1400].astype(int) - PAIR[500, 1400] == pytest.approx([0.8 * FULL] * 3, abs=1)
    assert saved[400, 600].astype(int) - PAIR[400, 600] == pytest.approx([0.2 * FULL] * 3, abs=1)
    assert np.array_equal(saved[:, :300], PAIR[:, :300]) and np.array_equal(saved[800:], PAIR[800:])
    assert said[1]["condition"] == "happy @ 0.8" and said[1]["code"] == pytest.approx([0.8, 0])
    assert said[2]["code"] == pytest.approx([0.1, 0.2 * np.sin(np.pi / 3)], abs=1e-4)


def test_what_is_not_wished_stays_and_a_later_wish_does_not_build_on_an_earlier_one(studio: Studio) -> None:
    key = studio.open(png(PAIR), "pair.png")
    plain, said = studio.preview(studio.photo(key), {})
    assert said == {} and np.array_equal(plain, resize(PAIR, (576, 1280)))
    studio.preview(studio.photo(key), {1: HAPPY})
    twice, _ = studio.preview(studio.photo(key), {1: HAPPY})
    other, _ = studio.preview(studio.photo(key), {2: SAD})
    assert np.array_equal(other[:, 800:], plain[:, 800:]) and not np.array_equal(other[:, :500], plain[:, :500])
    assert twice[320, 896].astype(int) - plain[320, 896] == pytest.approx([0.8 * FULL] * 3, abs=1)
    assert np.array_equal(studio.preview(studio.photo(key), {})[0], plain)


def test_a_view_of_a_face_shows_its_surroundings_at_their_own_size(studio: Studio) -> None:
    key = studio.open(png(PAIR), "pair.png")
    near, _ = studio.preview(studio.photo(key), {2: SAD}, view=2)
    photo = studio.photo(key)
    x0, y0, x1, y1 = photo.view(2).box
    assert x0 < 525 and y0 < 325 and x1 > 675 and y1 > 475 and (x1 - x0) < 600
    saved = read_photo(studio.save(studio.photo(key), {2: SAD}, ".png")).pixels
    assert near.shape == (y1 - y0, x1 - x0, 3)
    assert np.abs(near.astype(int) - saved[y0:y1, x0:x1]).max() <= 1
    photo.view(1)
    assert set(photo._views) == {1}  # views of faces are not collected
    with pytest.raises(FaceError, match="no face 3"):
        photo.view(3)


def test_a_face_at_the_edge_has_a_view(studio: Studio) -> None:
    key = studio.open(png(scene({"red": (30, 120, 60)})), "edge.png")
    view = studio.photo(key).view(1)
    assert view.box[0] == 0 and view.pixels.shape[:2] == (view.box[3] - view.box[1], view.box[2])


def test_a_saved_file_keeps_what_the_photo_held_and_says_what_was_done(studio: Studio, editor: Editor) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    key = studio.open(png(PAIR, exif=exif, icc_profile=None), "pair.png")
    photo = read_photo(studio.save(studio.photo(key), {2: SAD, 1: HAPPY}, ".png"))
    assert photo.exif is not None and b"a camera" in photo.exif
    mark = parse_mark(photo.xmp)
    assert mark is not None
    assert (mark["condition"], mark["model"]) == ("happy @ 0.8; sad @ 0.2", f"brightener {'0' * 64}")
    untouched = read_photo(studio.save(studio.photo(key), {}, ".png"))
    assert np.array_equal(untouched.pixels, PAIR) and parse_mark(untouched.xmp) is None
    plain = Studio(editor, mark=False)
    assert (
        parse_mark(read_photo(plain.save(plain.photo(plain.open(png(PAIR), "pair.png")), {1: HAPPY}, ".png")).xmp)
        is None
    )
    assert Image.open(io.BytesIO(studio.save(studio.photo(key), {1: HAPPY}, ".jpg"))).format == "JPEG"
    with pytest.raises(ImageError, match="suffix"):
        studio.save(studio.photo(key), {1: HAPPY}, ".tif")


def test_what_is_transparent_is_shown_on_white_and_kept(studio: Studio) -> None:
    alpha = np.full(PAIR.shape[:2], 255, np.uint8)
    alpha[:, 1000:1200] = alpha[470:530, 1370:1430] = 0
    key = studio.open(png(np.dstack([PAIR, alpha])), "pair.png")
    assert studio.photo(key).describe()["transparent"]
    shown, _ = studio.preview(studio.photo(key), {1: HAPPY})
    assert (shown[:, 650:760] == 255).all() and (shown[:, :600] < 255).all()
    saved = read_photo(studio.save(studio.photo(key), {1: HAPPY}, ".png"))
    assert saved.alpha is not None and np.array_equal(saved.alpha, alpha)
    middle = studio.thumbnails(studio.photo(key), 1, 0.9, "direct", 400)["photo"][190:210, 190:210]
    assert (middle == 255).all()
    plain = read_photo(studio.save(studio.photo(key), {1: HAPPY}, ".jpg"))
    assert plain.alpha is None and plain.pixels[:, 1020:1180].min() > 250


def test_a_wish_that_was_answered_before_is_answered_from_memory(studio: Studio, editor: Editor) -> None:
    key = studio.open(png(PAIR), "pair.png")
    seen: list[str] = []
    render = editor.render
    editor.render = lambda face, conditions, start: seen.append(str(conditions[0])) or render(face, conditions, start)  # type: ignore
    for wishes in ({1: HAPPY}, {1: HAPPY, 2: SAD}, {1: HAPPY, 2: HAPPY}, {1: SAD}):
        studio.preview(studio.photo(key), wishes)
    assert seen == ["happy @ 0.8", "sad @ 0.2", "happy @ 0.8", "sad @ 0.2"]


def test_thumbnails_and_figures(studio: Studio) -> None:
    key = studio.open(png(PAIR), "pair.png")
    pictures = studio.thumbnails(studio.photo(key), 2, 0.9, "direct", 40)
    assert list(pictures) == ["photo", *studio.editor.space.expressions]
    assert all(picture.shape == (40, 40, 3) for picture in pictures.values())
    light = {
        name: float(p[20, 20].astype(int).sum() - pictures["photo"][20, 20].sum()) / 3 for name, p in pictures.items()
    }
    assert light["happy"] == pytest.approx(0.9 * FULL, abs=1) and light["neutral"] == light["photo"] == 0
    for kind in ("gamut", "sweep"):
        figure = read_photo(studio.figure(studio.photo(key), 1, kind))
        assert figure.pixels.shape[0] > 500 and (parse_mark(figure.xmp) or {})["condition"] == kind
    with pytest.raises(ConditionError, match="of places"):  # so it is handed on where a figure starts from
        studio.figure(studio.photo(key), 1, "sweep", "keep")
    with pytest.raises(ConditionError, match="no figure"):
        studio.figure(studio.photo(key), 1, "map")


def test_the_photos_that_were_used_least_recently_are_closed_first(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = png(scene({"red": (160, 120, 60)}))
    monkeypatch.setattr("mien.editing.studio._MOST_OPEN", 4)
    keys = [studio.open(small, f"{index}.png") for index in range(4)]
    assert len(set(keys)) == 4 and studio.photo(keys[0]).name == "0.png"
    keys.append(studio.open(small, "4.png"))
    assert [photo["name"] for photo in studio.describe()["open"]] == ["0.png", "2.png", "3.png", "4.png"]
    with pytest.raises(ClosedPhotoError, match="not open"):
        studio.preview(studio.photo(keys[1]), {})
    monkeypatch.setattr("mien.editing.studio._MOST_PIXELS", 2 * 240 * 320 + 900 * 2000)
    studio.open(png(PAIR), "pair.png")
    assert [photo["name"] for photo in studio.describe()["open"]] == ["0.png", "4.png", "pair.png"]
    monkeypatch.setattr("mien.editing.studio._MOST_PIXELS", 10)
    studio.open(small, "last.png")  # what was just opened stays, however large
    assert [photo["name"] for photo in studio.describe()["open"]] == ["last.png"]


def test_what_cannot_be_opened_or_wished_is_refused(studio: Studio) -> None:
    with pytest.raises(ImageError, match=r"`a.png` is not a picture"):
        studio.open(b"no picture", "a.png")
    with pytest.raises(FaceError, match=r"no face found in `empty.png`"):
        studio.open(png(scene({})), "empty.png")
    assert studio.describe()["open"] == []
    key = studio.open(png(PAIR), "pair.png")
    unknown = FaceWish(Condition.named("contempt"))
    with pytest.raises(ConditionError):
        studio.save(studio.photo(key), {1: unknown}, ".png")
    shown, said = studio.preview(studio.photo(key), {1: unknown, 2: SAD})  # the other face is edited all the same
    assert "contempt" in said[1]["error"] and "error" not in said[2]
    assert np.array_equal(shown, studio.preview(studio.photo(key), {2: SAD})[0])
    with pytest.raises(FaceError, match="no face 3"):
        studio.preview(studio.photo(key), {3: SAD})
    with pytest.raises(FaceError, match="no face 3"):
        studio.save(studio.photo(key), {3: HAPPY}, ".png")
    with pytest.raises(FaceError, match="no face 0"):
        studio.thumbnails(studio.photo(key), 0, 0.9, "direct", 40)
    with pytest.raises(ConditionError, match="no left half"):
        studio.thumbnails(studio.photo(key), 1, 0.9, "direct", 40, "left")

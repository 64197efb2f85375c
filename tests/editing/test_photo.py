"""The editor against what must hold whatever the model is: it touches what it should and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.conditions import Condition
from mien.editing import Editor, Rendering
from mien.editing.figures import gamut_figure, sweep_figure
from mien.editing.photo import Face, choose
from mien.errors import ConditionError, FaceError, ImageError
from mien.faces import Alignment, Detection
from mien.images import read_photo
from mien.methods import GANmut, StarGAN
from mien.methods.ganmut import GANmutConfig
from mien.methods.stargan import StarGANConfig
from mien.pretrained import Model
from mien.warping import EditMaps

PORTRAIT = "assets/astronaut.png"


def small_model(generator: str = "warp", channels: int = 1, method: str = "ganmut") -> Model:
    """An untrained model whose edits are visible: its weights are drawn larger than training starts with."""
    torch.manual_seed(0)
    settings = {
        "image_size": 32, "image_channels": channels, "generator": generator, "generator_channels": 8,
        "generator_blocks": 1, "critic_channels": 8, "critic_layers": 3,
    }  # fmt: skip
    ganmut = method == "ganmut"
    built = GANmut(GANmutConfig(**settings, axes="spread")) if ganmut else StarGAN(StarGANConfig(**settings))
    if generator == "warp":
        torch.nn.init.normal_(built.generator.to_displacement.weight, std=0.3)
        torch.nn.init.normal_(built.generator.to_residual.weight, std=0.3)
    return Model(built.eval().requires_grad_(False), "untrained", "0" * 64, {})


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(small_model())


@pytest.fixture(scope="module")
def photo():
    return read_photo(PORTRAIT)


@pytest.fixture(scope="module")
def face(editor, photo):
    return editor.find(photo)[0]


def still(face, size: int = 32) -> Rendering:
    return Rendering(
        face,
        Condition.named("neutral"),
        EditMaps(np.zeros((2, size, size), np.float32), np.zeros((1, size, size), np.float32)),
    )


def test_an_edit_of_zero_returns_the_photo_to_the_bit(editor, photo, face):
    assert np.array_equal(editor.paste(photo, [still(face)]), photo.pixels)


@pytest.mark.parametrize("generator", ["warp", "residual"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_outside_the_crop_are_untouched(photo, generator, channels):
    editor = Editor(small_model(generator, channels))
    face = editor.find(photo)[0]
    edited = editor.paste(photo, editor.render(face, [Condition.named("happy", 1.0)]))
    height, width = photo.pixels.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    place = face.alignment.to_crop(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(height, width, 2)
    outside = ((place <= 0) | (place >= 1)).any(axis=-1)
    assert 0.5 < outside.mean() < 1
    assert np.array_equal(edited[outside], photo.pixels[outside])
    assert (edited[~outside] != photo.pixels[~outside]).mean() > 0.2
    assert edited.shape == photo.pixels.shape and edited.dtype == np.uint8


def test_a_displacement_moves_pixels_of_the_photo_by_what_it_says(editor, photo, face):
    """Half the crop's side times the displacement is the distance in photo pixels, along the crop's axes."""
    shift = 0.1
    field = np.zeros((2, 32, 32), np.float32)
    field[0] = shift
    moved = editor.paste(
        photo, [Rendering(face, Condition.named("happy"), EditMaps(field, np.zeros((1, 32, 32), np.float32)))]
    )
    centre = face.alignment.to_photo(np.array([[0.5, 0.5]]))[0]
    expected = face.alignment.inverse[:, :2] @ np.array([shift / 2, 0.0])
    x, y = np.round(centre - 0.5).astype(int)
    yy, xx = np.mgrid[y - 8 : y + 9, x - 8 : x + 9]
    # Independent truth: bicubic resampling of the photo by Pillow at the shifted place.
    picture = Image.fromarray(photo.pixels)
    box = (x - 8 + expected[0], y - 8 + expected[1], x + 9 + expected[0], y + 9 + expected[1])
    truth = np.asarray(picture.resize((17, 17), Image.Resampling.BICUBIC, box=box)).astype(int)
    # Pillow's and torch's cubic kernels differ (a = -0.5 and -0.75): a few levels in fine detail.
    assert np.abs(moved[yy, xx].astype(int) - truth).mean() < 2


def test_a_grey_model_keeps_chroma(editor, photo, face):
    delta = np.full((1, 32, 32), 0.1, np.float32)
    edited = editor.paste(
        photo, [Rendering(face, Condition.named("happy"), EditMaps(np.zeros((2, 32, 32), np.float32), delta))]
    )
    change = edited.astype(int) - photo.pixels.astype(int)
    unclipped = (edited < 255).all(axis=-1) & (edited > 0).all(axis=-1)
    assert (np.ptp(change, axis=-1)[unclipped] == 0).all()  # every channel by the same amount: luma only
    assert np.median(change[change > 5]) == round(0.1 * 127.5)


@pytest.mark.parametrize("expression", ["happy", "sad", "surprise", "anger"])
def test_a_photo_twice_as_large_gets_the_same_edit_twice_as_large(photo, expression):
    """Edit a photo and its half, each seen through a crop of its own pixels; halve the larger result and compare.

    The larger one is smooth from pixel to pixel, as large photos are: what is finer than the small one's pixels can show
    would move differently in both whatever is done. Landmarks are halved, so that the faces are the same.
    """
    editor = mien.load()
    large = np.asarray(Image.fromarray(photo.pixels).resize((1024, 1024), Image.Resampling.BICUBIC))
    small = np.rint(halved(large)).astype(np.uint8)
    seen = editor.find(large)[0]
    halves = dataclasses.replace(seen.detection, landmarks=seen.detection.landmarks / 2)
    wanted = [Condition.named(expression, 0.8)]
    edited_large, edited_small = (
        editor.paste(pixels, editor.render(face, wanted))
        for pixels, face in ((large, seen), (small, editor.align(small, halves)))
    )
    changed = (edited_small != small).any(axis=-1)
    apart = np.abs(halved(edited_large) - edited_small)[changed]
    assert np.abs(edited_small.astype(int) - small)[changed].mean() > 4
    assert apart.mean() < 1 and np.quantile(apart, 0.95) < 4


def test_detail_that_is_wiped_away_is_gone_from_photos_of_any_size_with_their_colours_kept():
    """Stripes of one pixel under a wipe of all become their mean; where nothing is wiped they stay to the bit."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 120, 60), (100, 60, 40)
    detection = Detection((0, 0, 1, 1), 1.0, np.zeros((5, 2)))
    alignment = Alignment(np.array([[1 / 320, 0, -40 / 320], [0, 1 / 320, -40 / 320]]))
    face = Face(detection, alignment, np.zeros((32, 32, 3), np.uint8))
    maps = EditMaps(np.zeros((2, 32, 32), np.float32), np.zeros((1, 32, 32), np.float32))
    wipe = np.zeros((1, 32, 32), np.float32)
    wipe[:, 12:20, 12:20] = 1.0
    edited = Editor.paste(
        cast(Any, None), stripes, [Rendering(face, Condition.named("happy"), maps._replace(wipe=wipe))]
    )
    assert np.abs(edited[185:215, 185:215].astype(int) - (150, 90, 50)).max() <= 2
    changed = (edited != stripes).any(axis=-1)
    assert not changed[:120].any() and not changed[:, :120].any() and not changed[280:].any()


def halved(pixels: np.ndarray) -> np.ndarray:
    """Average each two by two pixels."""
    height, width = pixels.shape[:2]
    return pixels.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))


def test_renderings_do_not_depend_on_their_batch(editor, face):
    wanted = [Condition.named(name, 0.7) for name in ("happy", "sad", "anger")]
    together = editor.render(face, wanted)
    for condition, rendering in zip(wanted, together, strict=True):
        (alone,) = editor.render(face, [condition])
        assert np.allclose(alone.edit.displacement, rendering.edit.displacement, atol=1e-5)
        assert np.allclose(alone.edit.delta, rendering.edit.delta, atol=1e-5)


def test_two_faces_are_edited_and_one_can_be_chosen(editor, photo):
    pair = np.concatenate([photo.pixels, photo.pixels], axis=1)
    faces = editor.find(pair)
    assert len(faces) == 2
    both = editor.edit(pair, Condition.named("happy", 1.0))
    assert (both != pair)[:, :512].any() and (both != pair)[:, 512:].any()
    second = faces[1].detection.box[0] > 512
    one = editor.edit(pair, Condition.named("happy", 1.0), faces=2)
    assert (one != pair)[:, 512:].any() == second and (one != pair)[:, :512].any() != second
    with pytest.raises(FaceError, match="no face 3"):
        choose(faces, 3)
    sad = Condition.named("sad", 1.0)
    each = editor.edit(pair, {2: sad, 1: Condition.named("happy", 1.0)})
    halves = (slice(None), slice(512, None)), (slice(None), slice(512))
    of_second, of_first = halves if second else halves[::-1]
    assert np.array_equal(each[of_first], both[of_first])
    assert np.array_equal(each[of_second], editor.edit(pair, sad)[of_second])
    assert np.array_equal(editor.edit(pair, {2: sad}), editor.edit(pair, sad, faces=2))
    for nonsense in ({"all": sad}, {True: sad}, {1: sad, 1.5: sad}, {None: sad}, {1: "sad"}):
        with pytest.raises(ConditionError, match="is no wish of a face"):
            editor.edit(pair, nonsense)
    for wrong, kind in (({0: sad}, FaceError), ({1: sad, 3: sad}, FaceError), ({}, ConditionError)):
        with pytest.raises(kind, match="no face"):
            editor.edit(pair, wrong)
    with pytest.raises(ConditionError, match="chooses no face"):
        choose(faces, "left")


def test_no_face_is_said(editor):
    with pytest.raises(FaceError, match="no face found") as caught:
        editor.find(np.zeros((200, 200, 3), np.uint8))
    assert "threshold" in caught.value.hint


def test_read_names_every_expression(editor, face):
    reading = editor.read(face)
    assert sum(reading.expressions.values()) == pytest.approx(1.0, abs=1e-5)
    assert set(reading.expressions) == set(editor.space.expressions)
    assert 0 <= reading.intensity <= 1 and 0 <= reading.angle_degrees < 360


def test_frontality_is_one_for_a_nose_in_the_middle_and_none_above_an_eye(face):
    """Worked by hand: eyes 40 apart; the nose 0, 10 and 20 pixels beside the middle line; and all of it turned."""
    frontal = np.array([[0.0, 0.0], [40, 0], [20, 22], [4, 42], [36, 42]])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    for aside, wanted in ((0, 1.0), (10, 0.5), (-10, 0.5), (20, 0.0), (30, 0.0)):
        landmarks = frontal.copy()
        landmarks[2, 0] += aside
        for points in (landmarks, landmarks @ turn.T + 100):
            detection = dataclasses.replace(face.detection, landmarks=points)
            assert dataclasses.replace(face, detection=detection).frontality == pytest.approx(wanted, abs=1e-9)


def test_figures_have_a_place_for_every_condition(editor, photo, face):
    disc = gamut_figure(editor, photo, face, tile=40, rings=2)
    assert disc.shape[0] == disc.shape[1] and disc.dtype == np.uint8
    rows = sweep_figure(editor, photo, face, expressions=["happy", "sad"], intensities=(0.0, 1.0), tile=40)
    assert rows.shape == (round(40 * 0.3) + 2 * 44, round(40 * 0.75) + 3 * 44, 3)
    how = {"expressions": ["sad"], "intensities": (0.4,), "tile": 40}
    for start in ("neutral", "direct"):  # the tile is that of an edit from there
        drawn = sweep_figure(editor, photo, face, **how, start=start)[12:52, 74:114]
        (alone,) = editor.preview(photo, editor.render(face, [Condition.named("sad", 0.4)], start), 40)
        assert np.array_equal(drawn, alone), start
    disc = gamut_figure(editor, photo, face, tile=40, rings=1, start="neutral")
    (centre,) = editor.preview(photo, editor.render(face, [Condition.polar(0.0, 0.0)], "neutral"), 40)
    middle = disc.shape[0] // 2
    assert np.array_equal(disc[middle - 10 : middle + 10, middle - 10 : middle + 10], centre[10:30, 10:30])
    for figure in (gamut_figure, sweep_figure):
        with pytest.raises(ConditionError, match="a figure of places cannot start from `keep`"):
            figure(editor, photo, face, start="keep")


def test_a_model_of_labels_has_no_disc(photo):
    editor = Editor(small_model("residual", 1, "stargan"))
    face = editor.find(photo)[0]
    with pytest.raises(ConditionError, match="no disc"):
        gamut_figure(editor, photo, face)
    with pytest.raises(ConditionError, match="unknown expression"):
        editor.render(face, [Condition.named("fear")])
    assert (editor.edit(photo, Condition.named("happy", 1.0)) != photo.pixels).any()


def test_the_public_names_are_there():
    assert mien.Condition is Condition and mien.Editor is Editor
    with pytest.raises(AttributeError):
        mien.nothing  # noqa: B018


def test_bands_of_rows_give_the_same_photo(editor, photo, face, monkeypatch):
    rendering = editor.render(face, [Condition.named("happy", 1.0)])
    whole = editor.paste(photo, rendering)
    monkeypatch.setattr("mien.editing.photo._BAND_PIXELS", 1000)
    assert np.abs(editor.paste(photo, rendering).astype(int) - whole).max() <= 1  # resampling rounds differently


def test_photos_come_as_files_arrays_and_pil_images_and_what_is_none_is_told() -> None:
    editor = Editor(small_model())
    photo = read_photo(PORTRAIT)
    (face,) = editor.find(photo)
    for same in (PORTRAIT, photo.pixels, Image.open(PORTRAIT), Image.open(PORTRAIT).convert("RGBA")):
        assert editor.find(same)[0].detection.box == pytest.approx(face.detection.box, abs=0.01)
    grey = np.asarray(Image.open(PORTRAIT).convert("L"))
    assert np.array_equal(editor.find(grey)[0].crop[..., 0], editor.find(Image.fromarray(grey))[0].crop[..., 2])
    assert np.array_equal(editor.find(grey[:, :, None])[0].crop, editor.find(grey)[0].crop)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    for wrong in (deep, photo.pixels / 255, photo.pixels[None], np.dstack([photo.pixels, photo.pixels[..., :1]])):
        with pytest.raises(ImageError, match="is no photo"):
            editor.find(wrong)
    one, many = editor.render(face, Condition.named("sad")), editor.render(face, [Condition.named("sad")])
    assert np.array_equal(one[0].edit.delta, many[0].edit.delta) and len(one) == 1


def test_the_names_of_the_package_are_those_that_shells_complete() -> None:
    assert dir(mien) == sorted(mien.__all__) and all(hasattr(mien, name) for name in dir(mien))

"""Batches: the same for the same seed and step, every image in its turn, and augmentation that moves what it says."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.batches import Augmentation, Batches, draw_changes, resample
from mien.datasets import Sample
from mien.errors import DataError
from mien.expressions import BASIC, VOCABULARY
from mien.methods.base import Part
from mien.prepared import PreparedSet

STILL = Augmentation(probability=0.0, mirror=0.0)
MIRROR = Augmentation(probability=0.0, mirror=1.0)


def batches(prepared: PreparedSet, expressions: tuple[str, ...] = BASIC, **changes: Any) -> Batches:
    settings: dict[str, Any] = {"image_size": 16, "image_channels": 1, "batch_size": 8, "seed": 3, **changes}
    return Batches(prepared, expressions, **settings)


def numbered(count: int, label_of: Callable[[int], str], size: int = 16) -> list[Sample]:
    """Return images whose grey level is their number."""
    pixels = [np.full((size, size, 3), i, np.uint8) for i in range(count)]
    return [Sample(f"{i}", lambda i=i: pixels[i], label_of(i), "train", "numbered") for i in range(count)]


def numbers(images: Tensor) -> list[int]:
    """Read the numbers of `numbered` images back."""
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


# --- which images ------------------------------------------------------------------------------------------------


def test_a_batch_follows_from_seed_and_step_alone(prepared: PreparedSet) -> None:
    variants: list[dict[str, Any]] = [{}, {"balance": 1.0}, {"augmentation": Augmentation()}]
    for settings in variants:
        forth, back = batches(prepared, **settings), batches(prepared, **settings)
        drawn = [forth.draw(step) for step in range(20)]
        for step in reversed(range(20)):  # as after a resume: in no order, from a new object
            again = back.draw(step)
            assert torch.equal(again.images, drawn[step].images)
            assert torch.equal(again.labels, drawn[step].labels)
        other = batches(prepared, **{**settings, "seed": 4}).draw(0)
        assert not torch.equal(other.images, drawn[0].images)


def test_every_image_comes_once_in_an_epoch_and_epochs_differ(make_prepared: Callable[..., PreparedSet]) -> None:
    source = batches(make_prepared(numbered(40, lambda i: BASIC[i % 7])), batch_size=8)
    epochs = [[n for step in range(5 * e, 5 * e + 5) for n in numbers(source.draw(step).images)] for e in range(3)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_official_bug_1_there_is_no_small_last_batch(make_prepared: Callable[..., PreparedSet]) -> None:
    """The official loader ends an epoch with what is left; five images or fewer make its loss NaN."""
    source = batches(make_prepared(numbered(43, lambda i: BASIC[i % 7])), batch_size=8)
    drawn = [numbers(source.draw(step).images) for step in range(30)]
    assert {len(batch) for batch in drawn} == {8}
    assert all(len(set(batch)) == 8 for batch in drawn)
    assert {n for batch in drawn for n in batch} == set(range(43))  # and nobody is left out for ever


def test_balance_1_draws_every_expression_alike(make_prepared: Callable[..., PreparedSet]) -> None:
    """99 happy, 30 sad and 3 fear images: chi-square with 2 degrees of freedom stays below its 99.9 % quantile."""
    names = ["happy"] * 99 + ["sad"] * 30 + ["fear"] * 3
    prepared = make_prepared(numbered(132, lambda i: names[i]))
    source = batches(prepared, ("happy", "sad", "fear"), batch_size=30, balance=1.0)
    counts = Counter(label for step in range(100) for label in source.draw(step).labels.tolist())
    assert sum((counts[label] - 1000) ** 2 / 1000 for label in range(3)) < 13.8


def test_balance_one_half_draws_by_the_root_of_the_counts(make_prepared: Callable[..., PreparedSet]) -> None:
    names = ["happy"] * 100 + ["sad"] * 4
    prepared = make_prepared(numbered(104, lambda i: names[i]))
    source = batches(prepared, ("happy", "sad"), batch_size=24, balance=0.5)
    sad = sum(int(source.draw(step).labels.sum()) for step in range(250))
    assert sad / 6000 == pytest.approx(2 / 12, abs=0.02)  # roots 10 and 2; 0.02 is four deviations


def test_labels_and_votes_follow_the_methods_order(make_prepared: Callable[..., PreparedSet]) -> None:
    votes = (0.0, 0.5, 0.0, 0.0, 0.25, 0.0, 0.25, 0.0)  # happy, fear, anger
    image = np.zeros((16, 16, 3), np.uint8)
    rows = [
        Sample("voted", lambda: image, "happy", "train", "x", votes),
        Sample("plain", lambda: image + 9, "anger", "train", "x"),
        Sample("other", lambda: image, "disgust", "train", "x"),  # not asked for below
    ]
    batch = batches(make_prepared(rows), ("anger", "happy"), batch_size=2).draw(0)
    assert batch.shares is not None
    by_label = {int(label): shares.tolist() for label, shares in zip(batch.labels, batch.shares, strict=True)}
    assert set(by_label) == {0, 1}
    assert by_label[1] == pytest.approx([1 / 3, 2 / 3], abs=1e-3)  # fear is no expression of this method
    assert by_label[0] == [1.0, 0.0]


def test_an_expression_without_a_single_training_image_is_refused(prepared: PreparedSet) -> None:
    batches(prepared).require_every_expression()
    with pytest.raises(DataError, match="no training images of contempt") as error:
        batches(prepared, (*BASIC, "contempt")).require_every_expression()
    assert f"expressions={','.join(BASIC)}`" in error.value.hint


def test_votes_for_none_of_the_methods_expressions_fall_back_to_the_label(
    make_prepared: Callable[..., PreparedSet],
) -> None:
    votes = tuple(float(name == "fear") for name in VOCABULARY)
    rows = [Sample(f"{i}", lambda i=i: np.full((16, 16, 3), i, np.uint8), "sad", "train", "x", votes) for i in range(2)]
    batch = batches(make_prepared(rows), ("happy", "sad"), batch_size=2).draw(0)
    assert batch.shares is not None
    assert batch.shares.tolist() == [[0.0, 1.0]] * 2


def test_only_the_split_is_drawn_from(prepared: PreparedSet) -> None:
    for split, count in (("train", 70), ("validation", 14)):
        rows = batches(prepared, split=split).rows
        assert len(rows) == count
        assert set(prepared.splits[rows]) == {split}


def test_too_few_images_for_a_batch_are_an_error_that_says_what_to_do(prepared: PreparedSet) -> None:
    with pytest.raises(DataError, match="has 10 train images of happy; a batch needs 11") as error:
        batches(prepared, ("happy",), batch_size=11)
    assert "lower batch_size" in error.value.hint
    assert len(batches(prepared, ("happy",), batch_size=10).draw(5).labels) == 10


def test_a_set_that_does_not_fit_in_memory_is_read_from_disk_with_the_same_result(prepared: PreparedSet) -> None:
    resident, mapped = batches(prepared), batches(prepared, resident_bytes=0)
    assert resident._resident is not None
    assert mapped._resident is None
    for step in (0, 7, 8):
        assert torch.equal(resident.draw(step).images, mapped.draw(step).images)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
def test_parts_of_a_batch_are_its_rows_augmented_alike(prepared: PreparedSet, resident_bytes: int) -> None:
    source = batches(prepared, augmentation=Augmentation(), resident_bytes=resident_bytes)
    whole = source.draw(3)
    for index in range(2):
        part = source.draw(3, Part(index, 2))
        assert torch.allclose(part.images, whole.images[index::2], atol=1e-6)
        assert torch.equal(part.labels, whole.labels[index::2])
        assert part.shares is not None and whole.shares is not None
        assert torch.equal(part.shares, whole.shares[index::2])
        assert torch.equal(part.whole_labels, whole.labels)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_reading_ahead_gives_the_same_batches_from_any_step_on(prepared: PreparedSet, workers: int) -> None:
    settings: dict[str, Any] = {"balance": 0.5, "augmentation": Augmentation()}
    resident = batches(prepared, **settings)
    streamed = batches(prepared, **settings, resident_bytes=0, workers=workers)
    parts = [Part(0, 2), Part(1, 2)]
    for step, found in zip(range(5, 25), streamed.stream(range(5, 25), parts), strict=True):
        for part, batch in zip(parts, found, strict=True):
            wanted = resident.draw(step, part)
            assert torch.equal(batch.images, wanted.images)
            assert torch.equal(batch.labels, wanted.labels)


# --- size and channels -------------------------------------------------------------------------------------------


def test_light_is_scaled_to_minus_1_to_1(make_prepared: Callable[..., PreparedSet]) -> None:
    image = np.array([0, 255], np.uint8).repeat(128).reshape(16, 16, 1).repeat(3, axis=2)
    rows = [Sample("x", lambda: image, "happy", "train", "x")]
    drawn = batches(make_prepared(rows), ("happy", "sad"), batch_size=1).draw(0).images
    assert drawn.shape == (1, 1, 16, 16)
    assert drawn[0, 0, 0, 0].item() == -1.0
    assert drawn[0, 0, 15, 0].item() == 1.0


def test_colour_becomes_grey_by_the_eyes_weights_and_grey_becomes_three_equal_channels(
    make_prepared: Callable[..., PreparedSet],
) -> None:
    image = np.broadcast_to(np.array([200, 100, 50], np.uint8), (16, 16, 3))
    rows = [Sample("x", lambda: image, "happy", "train", "x")]
    grey = batches(make_prepared(rows, channels=3), ("happy", "sad"), batch_size=1).draw(0).images
    assert grey.shape == (1, 1, 16, 16)
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert grey[0, 0, 3, 3].item() == pytest.approx(luma / 127.5 - 1, abs=1e-5)
    rgb = batches(make_prepared(rows), ("happy", "sad"), batch_size=1, image_channels=3).draw(0).images
    assert rgb.shape == (1, 3, 16, 16)
    assert torch.equal(rgb[:, 0], rgb[:, 1]) and torch.equal(rgb[:, 0], rgb[:, 2])


@pytest.mark.parametrize("size", [8, 16, 24])
def test_resizing_keeps_a_ramp_a_ramp(make_prepared: Callable[..., PreparedSet], size: int) -> None:
    ramp = np.broadcast_to((np.arange(32, dtype=np.uint8) * 8)[None, :, None], (32, 32, 3))
    rows = [Sample("x", lambda: ramp, "happy", "train", "x")]
    prepared = make_prepared(rows, size=32)
    drawn = batches(prepared, ("happy", "sad"), batch_size=1, image_size=size).draw(0).images[0, 0, 0]
    places = (np.arange(size) + 0.5) / size * 32 - 0.5  # of the small pixels' centres, in pixels of the large image
    inside = slice(2, -2)
    assert drawn.numpy()[inside] == pytest.approx((places * 8 / 127.5 - 1)[inside], abs=0.01)


# --- augmentation ------------------------------------------------------------------------------------------------


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change images each its own way, as `Batches.draw` does."""
    changes = draw_changes(len(images), augmentation, generator)
    return resample(images, F.affine_grid(changes, list(images.shape), align_corners=False))


def framed(make_prepared: Callable[..., PreparedSet], count: int = 24) -> PreparedSet:
    """Return images that are white where they show their picture and black beyond it, the pictures' ends all different."""
    steps = (np.arange(32) + 0.5) / 32
    x, y = np.meshgrid(steps, steps)
    rows = []
    for i in range(count):
        a, b = 1.0 + 0.02 * i, 0.1 - 0.01 * i
        frame = (a, -b, -0.3 + 0.02 * i, b, a, -0.1) if i % 4 else None
        u, v = (p * x + q * y + r for p, q, r in (frame[:3], frame[3:])) if frame else (x, y)
        white = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
        image = np.repeat((255 * white).astype(np.uint8)[..., None], 3, axis=2)
        rows.append(Sample(f"{i}", lambda image=image: image, BASIC[i % 7], "train", "framed", frame=frame))
    return make_prepared(rows, size=32)


@pytest.mark.parametrize("augmentation", [None, Augmentation(probability=1.0)])
def test_the_frame_moves_with_the_image(
    make_prepared: Callable[..., PreparedSet], augmentation: Augmentation | None
) -> None:
    source = batches(framed(make_prepared), image_size=32, augmentation=augmentation, frames=True)
    batch = source.draw(0)
    assert batch.inside is not None and batch.inside.shape == (8, 1, 32, 32)
    # Nothing beyond its own picture is shown, but where a border is blurred; and some is hidden for another's sake.
    shown = batch.images[batch.inside]
    assert (shown < 0).float().mean() < 0.02
    hidden = batch.images[~batch.inside] > 0
    assert 0.05 < hidden.float().mean() < 0.9
    # An image whose neighbour's picture has no end inside shows all of its own.
    rows = source.rows[source._order(0).numpy()]
    full = [i for i in range(8) if rows[i - 1] % 4 == 0]
    assert full
    for i in full:
        assert ((batch.images[i] > 0) != batch.inside[i]).float().mean() < 0.04


def test_parts_of_a_batch_end_where_the_whole_batch_does(make_prepared: Callable[..., PreparedSet]) -> None:
    source = batches(framed(make_prepared), image_size=32, augmentation=Augmentation(), frames=True)
    whole = source.draw(3).inside
    assert whole is not None
    for index in range(2):
        part = Part(index, 2)
        here = source.draw(3, part).inside
        assert here is not None and torch.equal(here, part.of(whole))
    assert batches(framed(make_prepared), image_size=32).draw(3).inside is None


def test_a_set_that_does_not_know_its_frames_is_told(prepared: PreparedSet) -> None:
    older = dataclasses.replace(prepared, frames=prepared.frames * np.nan)
    with pytest.raises(DataError, match="does not say where the pictures end") as caught:
        batches(older, frames=True)
    assert "hide_beyond=no" in caught.value.hint


def random_images(count: int = 6, size: int = 16) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_augmentation_that_draws_nothing_changes_nothing() -> None:
    images = random_images()
    assert torch.allclose(augment(images, STILL, torch.Generator()), images, atol=1e-5)


def test_official_bug_6_mirroring_is_not_off_by_a_pixel() -> None:
    """The official mirror maps column t to W - t, which is outside for t = 0; ours to W - 1 - t."""
    images = random_images()
    once = augment(images, MIRROR, torch.Generator())
    assert torch.allclose(once, images.flip(3), atol=1e-5)
    assert torch.allclose(augment(once, MIRROR, torch.Generator()), images, atol=1e-5)


def test_half_of_the_images_are_mirrored() -> None:
    images = random_images(1).expand(1000, -1, -1, -1)
    out = augment(images, Augmentation(probability=0.0, mirror=0.5), torch.Generator().manual_seed(1))
    flipped = (out - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    still = (out - images).abs().amax((1, 2, 3)) < 1e-4
    assert torch.equal(flipped, ~still)
    assert int(flipped.sum()) == pytest.approx(500, abs=65)  # four deviations


def test_rotation_by_a_quarter_turn_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every draw at its upper end the angle is the largest: 90 degrees move each pixel onto a pixel."""
    images = random_images()
    monkeypatch.setattr(torch, "rand", lambda n, generator: torch.ones(n))
    turned = augment(images, Augmentation(2.0, 90.0, 0.0, (1.0, 1.0), 0.0), torch.Generator())
    assert torch.allclose(turned, torch.rot90(images, 1, (2, 3)), atol=1e-4)


def test_shift_and_zoom_are_shares_of_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images()
    monkeypatch.setattr(torch, "rand", lambda n, generator: torch.ones(n))
    shifted = augment(images, Augmentation(2.0, 0.0, 0.25, (1.0, 1.0), 0.0), torch.Generator())
    assert torch.allclose(shifted[..., :12, :12], images[..., 4:, 4:], atol=1e-4)  # a quarter of 16 px, both ways
    enlarged = augment(images, Augmentation(2.0, 0.0, 0.0, (1.0, 2.0), 0.0), torch.Generator())
    quarter = images[..., 4:12, 4:12]
    expected = torch.nn.functional.interpolate(quarter, size=(16, 16), mode="bilinear", align_corners=False)
    assert torch.allclose(enlarged[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)


def test_official_bug_5_augmentation_is_bilinear_not_nearest() -> None:
    """On a ramp, nearest-neighbour sampling repeats and skips values; interpolation follows the turned ramp."""
    size = 32
    ramp = torch.linspace(-1, 1, size).expand(1, 1, size, size).contiguous()
    out = augment(ramp, Augmentation(1.0, 7.5, 0.0, (1.0, 1.0), 0.0), torch.Generator().manual_seed(2))[
        0, 0, 8:24, 8:24
    ]
    steps = out.diff(dim=1)
    assert steps.std().item() < 1e-4  # nearest would step by 0 or by a whole pixel, 0.065
    assert 0.06 < steps.mean().item() < 2 / 31 + 1e-4


def test_each_image_is_changed_its_own_way_within_the_bounds() -> None:
    """The brightest spot of an image, at a known place, may turn and shift only as far as the settings say."""
    size, n = 64, 200
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    spot = torch.exp(-((x - 52) ** 2 + (y - 32) ** 2) / 8)[None, None] * 2 - 1  # 20 px right of the middle
    settings = Augmentation(1.0, 10.0, 0.0, (1.0, 1.0), 0.0)
    out = augment(spot.expand(n, -1, -1, -1), settings, torch.Generator().manual_seed(0))[:, 0] + 1
    mass = out.sum((1, 2))
    from_middle = torch.stack([(out * x).sum((1, 2)) / mass - 32, (out * y).sum((1, 2)) / mass - 32])
    turned = torch.rad2deg(torch.atan2(from_middle[1], from_middle[0]))
    assert torch.allclose(from_middle.norm(dim=0), torch.tensor(20.0), atol=0.1)
    assert 9.0 < turned.max().item() <= 10.1
    assert -10.1 <= turned.min().item() < -9.0
    assert len(turned.round(decimals=2).unique()) > n // 2

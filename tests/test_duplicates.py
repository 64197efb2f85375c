"""Duplicates: every planted copy is found, with its kind, and no two different photographs are taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photographs import brighter, photograph, recompressed, sample, write_set

from mien import duplicates
from mien.duplicates import NEAR, Duplicate, find_duplicates, is_leak
from mien.prepared import PreparedSet


def found(sets: list[PreparedSet], **settings: bool) -> list[tuple[str, str, str]]:
    """Return key, earlier key and kind of every duplicate."""
    keys = [key for prepared in sets for key in prepared.keys]
    return [(keys[pair.index], keys[pair.earlier], pair.kind) for pair in find_duplicates(sets, **settings)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    strangers = [sample(f"stranger-{i}", photograph(i)) for i in range(100, 140)]
    return write_set(
        tmp_path_factory.mktemp("sets") / "planted",
        [
            sample("copied", photograph(0), "validation"),  # training comes first, wherever it lies in the file
            sample("a", photograph(0)),
            sample("b", photograph(1)),
            sample("b-mirrored", photograph(1)[:, ::-1]),
            sample("c", photograph(2)),
            *strangers,
            sample("b-again", photograph(1)),
            sample("c-jpeg", recompressed(photograph(2)), "validation"),
            sample("c-brighter", brighter(photograph(2)), "test"),
            sample("stranger", photograph(3), "test"),
        ],
    )


def test_every_planted_copy_is_found_and_nothing_else(planted: PreparedSet) -> None:
    assert found([planted]) == [
        ("copied", "a", "same"),
        ("b-mirrored", "b", "mirrored"),
        ("b-again", "b", "same"),
        ("c-jpeg", "c", "near"),
        ("c-brighter", "c", "near"),
    ]
    leaks = [planted.keys[pair.index] for pair in find_duplicates([planted]) if is_leak(pair, planted.splits)]
    assert leaks == ["copied", "c-jpeg", "c-brighter"]


def test_only_the_same_pixels_where_that_is_wanted(planted: PreparedSet) -> None:
    assert found([planted], near=False) == [("copied", "a", "same"), ("b-again", "b", "same")]


def test_blocks_change_nothing(planted: PreparedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find_duplicates([planted])
    for name, value in (("_ROWS", 3), ("_COLUMNS", 7), ("_BATCH", 5)):
        monkeypatch.setattr(duplicates, name, value)
    blocked = find_duplicates([planted])
    assert [(pair.index, pair.earlier, pair.kind) for pair in blocked] == [
        (pair.index, pair.earlier, pair.kind) for pair in whole
    ]


def test_an_image_can_repeat_one_elsewhere_and_one_in_its_own_split(tmp_path: Path) -> None:
    prepared = write_set(
        tmp_path / "set",
        [
            sample("t", photograph(0)),
            sample("v1", photograph(0), "validation"),
            sample("v2", photograph(0), "validation"),
        ],
    )
    assert find_duplicates([prepared]) == [
        Duplicate(1, 0, "same", 1.0), Duplicate(2, 0, "same", 1.0), Duplicate(2, 1, "same", 1.0),
    ]  # fmt: skip


def test_sets_of_other_sizes_and_channels_are_compared(tmp_path: Path) -> None:
    grey = write_set(tmp_path / "grey", [sample("small", photograph(0, 96)), sample("same", photograph(1))])
    mixed = [sample("large", photograph(0, 96), "test"), sample("coloured", photograph(9, 96, colour=True), "test")]
    large = write_set(tmp_path / "large", mixed, size=96)
    rgb = write_set(tmp_path / "rgb", [sample("again", photograph(1), "test"), mixed[1]])
    assert (grey.channels, large.channels, rgb.channels) == (1, 3, 3)
    assert found([grey, large, rgb]) == [
        ("large", "small", "near"), ("again", "same", "same"), ("coloured", "coloured", "near"),
    ]  # fmt: skip


def test_splits_can_be_given(planted: PreparedSet) -> None:
    splits = np.full(len(planted), "train")
    assert not any(is_leak(pair, splits) for pair in find_duplicates([planted], splits))


def test_pictures_without_structure_are_only_the_same_where_their_pixels_are(tmp_path: Path) -> None:
    levels = [np.full((48, 48, 3), level, np.uint8) for level in (10, 200, 10)]
    prepared = write_set(tmp_path / "set", [sample(f"flat-{i}", pixels) for i, pixels in enumerate(levels)])
    assert found([prepared]) == [("flat-2", "flat-0", "same")]


def test_the_spectrum_is_the_cosine_transform_of_its_definition() -> None:
    pixels = photograph(5, 20)[..., :1]
    spectrum = duplicates._spectra(pixels[None])[0].reshape(16, 16)
    expected = np.zeros((16, 16))
    for down in range(16):
        for across in range(16):
            frequency = np.hypot(down, across)
            if 2 <= frequency < 16:
                y = np.cos(np.pi * down * (np.arange(20) + 0.5) / 20) / (2**0.5 if down == 0 else 1)
                x = np.cos(np.pi * across * (np.arange(20) + 0.5) / 20) / (2**0.5 if across == 0 else 1)
                expected[down, across] = frequency * (y[:, None] * x * pixels[..., 0]).sum()
    np.testing.assert_allclose(spectrum, expected / np.linalg.norm(expected), atol=1e-5)


def test_images_smaller_than_the_spectrum(tmp_path: Path) -> None:
    prepared = write_set(
        tmp_path / "set", [sample("a", photograph(0, 12)), sample("b", photograph(0, 12)[:, ::-1], "test")], size=12
    )
    assert found([prepared]) == [("b", "a", "mirrored")]


def test_leaks_of_real_data_are_the_same_photographs(real_data: Path, tmp_path: Path) -> None:
    from mien.datasets import fer2013
    from mien.prepared import prepare

    rows = [
        row for i, row in enumerate(fer2013.read(real_data / "fer2013")) if i % (2 if "valid" in row.key else 8) == 0
    ]
    prepared = prepare(rows, tmp_path / "set", dataset="fer2013", size=48)
    pairs = [pair for pair in find_duplicates([prepared]) if is_leak(pair, prepared.splits)]
    assert len(pairs) > 20 and {"same", "near"} <= {pair.kind for pair in pairs}
    # Independently: pixel by pixel, a near pair is far more alike than two images at random.
    near = [pair for pair in pairs if pair.kind == "near"]
    one, other = (
        prepared.images([getattr(pair, side) for pair in near]).astype(float) for side in ("index", "earlier")
    )
    assert np.median(correlations(one, other)) > 0.95 > 0.5 > np.median(correlations(one, np.roll(other, 1, axis=0)))
    assert all(pair.correlation >= NEAR for pair in near)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    flat = [(each - each.mean(axis=(1, 2, 3), keepdims=True)).reshape(len(each), -1) for each in (one, other)]
    return (flat[0] * flat[1]).sum(1) / np.linalg.norm(flat[0], axis=1) / np.linalg.norm(flat[1], axis=1)

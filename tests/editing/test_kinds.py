"""Photos are told from films by what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films_made import write_gif
from PIL import Image, features

from mien.editing.kinds import check_film, check_photo
from mien.errors import FilmError, ImageError
from mien.images import is_still

PHOTOS = Path(__file__).parent.parent / "photos"


def pictures() -> list[Image.Image]:
    """Return three noisy pictures."""
    return [Image.effect_noise((32, 32), 40 + i).convert("RGB") for i in range(3)]


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".webp", ".bmp", ".tiff", ".avif", ".mp4"])
def test_a_photo_is_no_film(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    photo = tmp_path / f"photo{suffix}"
    pictures()[0].save(photo, format="JPEG" if suffix == ".mp4" else None)
    with pytest.raises(FilmError, match="is a photo, not a film") as caught:
        check_film(photo)
    assert "`mien edit`" in caught.value.hint and "`mien animate`" in caught.value.hint


def test_a_telephones_photo_is_no_film() -> None:
    with pytest.raises(FilmError, match="is a photo, not a film"):
        check_film(PHOTOS / "on-its-side.heic")


@pytest.mark.parametrize(("suffix", "options"), [(".tiff", {}), (".jpg", {"format": "MPO"})])
def test_pages_and_other_sizes_make_no_film(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    first, *others = pictures()
    photo = tmp_path / f"photo{suffix}"
    first.save(photo, save_all=True, append_images=others, **options)
    with pytest.raises(FilmError, match="is a photo, not a film"):
        check_film(photo)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_an_animation_that_ffmpeg_does_not_read_is_refused(tmp_path: Path, suffix: str) -> None:
    first, *others = pictures()
    animation = tmp_path / f"animation{suffix}"
    profile = bytes(
        np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    )  # ffmpeg looks at a PNG's beginning
    first.save(animation, save_all=True, append_images=others, icc_profile=profile)
    assert is_still(animation) is False
    with pytest.raises(FilmError, match="is an animation of a kind") as caught:
        check_film(animation)
    assert "GIF or MP4" in caught.value.hint


def test_pictures_in_a_row_are_a_film(tmp_path: Path) -> None:
    """As some cameras send them."""
    row = tmp_path / "row.mjpeg"
    with row.open("wb") as file:
        for picture in pictures():
            picture.save(file, format="JPEG")
    check_film(row)
    still = tmp_path / "film.gif"
    pictures()[0].save(still)
    check_film(still)  # a film by its kind, of one frame
    check_film(write_gif(tmp_path / "three.gif", [np.full((32, 32, 3), 60 * i, np.uint8) for i in range(3)]))


def test_what_is_neither_is_not_called_a_photo(tmp_path: Path) -> None:
    text, huge = tmp_path / "text.jpg", tmp_path / "huge.png"
    text.write_text("no photo", encoding="utf-8")
    Image.new("1", (20_000, 20_000)).save(huge)  # more than Pillow opens
    assert [is_still(path) for path in (text, huge, tmp_path / "none.jpg", tmp_path)] == [None] * 4
    check_film(text)  # what is wrong with it is said where it is read
    check_film(huge)
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(FilmError) as caught:
            check_film(path)
        assert "photo" not in str(caught.value)


def test_a_film_is_no_photo() -> None:
    with pytest.raises(ImageError, match="is a film") as caught:
        check_photo(Path("holiday.MOV"))
    assert "`mien video`" in caught.value.hint
    check_photo(Path("portrait.png"))

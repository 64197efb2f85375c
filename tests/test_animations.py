"""GIF and WebP: as long as they should be, and still where nothing moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import mien.animations
from mien.animations import AnimationWriter
from mien.errors import FilmError
from mien.images import read_mark
from mien.provenance import EditMark


def gradient(level: int) -> np.ndarray:
    """Return a picture with more colours than a GIF has; only a corner shows the level."""
    rows, columns = np.indices((64, 96))
    pixels = np.stack([rows * 4, columns * 2, rows + columns], axis=-1).astype(np.uint8)
    pixels[:8, :8] = level
    return pixels


def written(file: Path) -> tuple[list[np.ndarray], list[int]]:
    frames, times = [], []
    with Image.open(file) as image:
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGB")).astype(int))
            times.append(frame.info["duration"])
    return frames, times


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_each_frame_is_shown_for_its_time(tmp_path: Path, suffix: str) -> None:
    levels, starts = [0, 60, 120, 180], [0.0, 0.1, 0.35, 0.4]
    writer = AnimationWriter(tmp_path / "a", suffix, colours_of=[gradient(level) for level in levels])
    for level, start in zip(levels, starts, strict=True):
        writer.write(gradient(level), start)
    writer.close(0.6)
    frames, times = written(tmp_path / "a")
    assert times == [100, 250, 50, 200]
    assert [frame[:8, :8].mean() for frame in frames] == pytest.approx(levels, abs=8)


def test_a_gif_is_still_where_nothing_moves(tmp_path: Path) -> None:
    writer = AnimationWriter(tmp_path / "a", ".gif", colours_of=[gradient(0), gradient(255)])
    for index in range(6):
        writer.write(gradient(51 * index), index / 10)
    writer.close()
    frames, _ = written(tmp_path / "a")
    assert all(np.array_equal(frame[8:], frames[0][8:]) for frame in frames)
    assert np.abs(frames[0] - gradient(0)).mean() < 12


def test_the_mark_is_in_the_file(tmp_path: Path) -> None:
    mark = EditMark("disc @ 0.9", "brightener 0000")
    for suffix in (".gif", ".webp"):
        writer = AnimationWriter(tmp_path / f"a{suffix}", suffix, mark=mark)
        for index in range(2):
            writer.write(gradient(100 * index), index / 10)
        writer.close()
    found = read_mark(tmp_path / "a.webp")
    assert found is not None and found["condition"] == "disc @ 0.9"
    assert Image.open(tmp_path / "a.gif").info["comment"] == mark.describe().encode()


def test_more_than_fits_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mien.animations, "MAX_PIXELS", 2 * 64 * 96)
    writer = AnimationWriter(tmp_path / "a", ".gif")
    writer.write(gradient(0), 0)
    writer.write(gradient(1), 1)
    with pytest.raises(FilmError, match="too many"):
        writer.write(gradient(2), 2)


@pytest.mark.parametrize(("suffix", "most"), [(".gif", 65_535), (".webp", 16_383)])
def test_frames_longer_than_the_format_allows_are_refused_at_the_first(tmp_path: Path, suffix: str, most: int) -> None:
    writer = AnimationWriter(tmp_path / "a", suffix)
    writer.write(np.zeros((2, most, 3), np.uint8), 0)
    writer.close()
    assert Image.open(tmp_path / "a").size == (most, 2)
    with pytest.raises(FilmError, match=f"{most + 1} x 2 pixels, {most} a side at most"):
        AnimationWriter(tmp_path / "b", suffix).write(np.zeros((2, most + 1, 3), np.uint8), 0)
    assert not (tmp_path / "b").exists()

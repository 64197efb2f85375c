"""The pictures of a set: bars are as long as the counts say, faces are chosen the same way each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photographs import photograph, sample, write_set

from mien.set_figures import contact_sheet, distribution_figure

BLUE, ORANGE, GREY = (0, 114, 178), (230, 159, 0), (150, 150, 156)


def pixels_of(figure: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((figure == colour).all(axis=-1).sum())


def test_bars_are_in_proportion() -> None:
    counts = {"train": {"happy": {"a": 600, "b": 300}, "sad": {"a": 90}}, "test": {"fear": {"a": 5}}}
    figure = distribution_figure(counts, "title")
    bar = 28
    # Train: 900 images are 360 pixels, so 600 + 90 of `a` are 276; test: 5 are 360. Beside them the legend's squares.
    assert pixels_of(figure, BLUE) == (240 + 36 + 360) * bar + 17 * 17
    assert pixels_of(figure, ORANGE) == 120 * bar + 17 * 17


def test_what_is_rare_is_seen() -> None:
    figure = distribution_figure({"train": {"happy": {"a": 100_000}, "fear": {"a": 1}}}, "title")
    assert pixels_of(figure, BLUE) == (360 + 2) * 28


def test_many_sources_share_the_last_colour() -> None:
    figure = distribution_figure({"train": {"happy": {f"s{i}": 10 for i in range(9)}}}, "title")
    assert 0 <= pixels_of(figure, GREY) - (160 * 28 + 17 * 17) < 30  # four of nine; edges of letters are grey too


def test_a_long_title_fits() -> None:
    figure = distribution_figure({"train": {"happy": {"a": 1}}}, "a title " * 20)
    assert (figure[:, -20:] == 255).all() and figure.shape[1] > 1000


@pytest.mark.parametrize("colour", [False, True])
def test_a_contact_sheet_shows_each_face_once(tmp_path: Path, colour: bool) -> None:
    rows = [sample(f"{i}", photograph(i, colour=colour), "train" if i % 2 else "test") for i in range(11)]
    other = sample("sad", photograph(50, colour=colour), expression="sad")
    prepared = write_set(tmp_path / "set", [*rows, other])
    sheet = contact_sheet(prepared, "happy", columns=4, rows=2, tile=48)
    assert sheet.shape == (56 + 2 * 52, 4 * 52 + 4, 3)
    shown = [sheet[56 + 52 * r : 104 + 52 * r, 4 + 52 * c : 52 + 52 * c] for r in range(2) for c in range(4)]
    images = np.broadcast_to(prepared.images(range(12)), (12, 48, 48, 3))
    places = [[i for i in range(12) if (images[i] == face).all()] for face in shown]
    assert all(len(place) == 1 for place in places)
    chosen = [place[0] for place in places]
    assert len(set(chosen)) == 8 and 11 not in chosen and chosen != sorted(chosen)
    np.testing.assert_array_equal(sheet, contact_sheet(prepared, "happy", columns=4, rows=2, tile=48))

"""Figures look alike, are the same bytes for the same figure, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pytest

from mien.plots import figure_bytes, new_figure, save_figure, styled


@styled
def draw() -> Any:
    figure, axes = new_figure(3, 2)
    axes.plot([0, 1], [1, 0], label="line")
    axes.set_title("title")
    axes.legend()
    return figure


def test_the_style_reaches_titles_and_legends_and_stays_inside() -> None:
    before = dict(matplotlib.rcParams)
    axes = draw().axes[0]
    assert axes.get_title(loc="left") == "title" and not axes.get_legend().get_frame_on()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_figure_is_the_same_bytes(kind: str) -> None:
    assert figure_bytes(draw(), kind) == figure_bytes(draw(), kind)


def test_a_figure_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    assert save_figure(draw(), tmp_path / "new" / "figure.svg").read_text().startswith("<?xml")
    with pytest.raises(ValueError, match="xyz"):
        save_figure(draw(), tmp_path / "figure.xyz")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "figure.svg"]

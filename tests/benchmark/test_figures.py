"""Plots and pictures: what is drawn is what was measured, and whatever people call their models can be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from outcomes import STEPS, lines, outcome, walk
from PIL import ImageColor

from mien.benchmark import figures, mosaics
from mien.benchmark.outcome import ContestantFacts, Outcome
from mien.plots import EXPRESSION_COLOURS, figure_bytes


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    yield outcome(tmp_path_factory.mktemp("samples"))


def plotted(axes: object) -> list[np.ndarray]:
    return [line.get_ydata() for line in axes.get_lines()]  # pyright: ignore


def test_curves_are_the_means_over_faces(found: Outcome) -> None:
    figure = figures.sweep_figure(found, "vgg16")
    happy, fear = figure.axes[0], figure.axes[3]
    names = ["ganmut-128", "stargan_48 (4 expressions)", "identity"]
    for drawn, name in zip(plotted(happy), names, strict=True):
        assert np.allclose(drawn, found.curves[name, "vgg16"][:, 0].mean(axis=0))
    assert len(plotted(fear)) == 2, "stargan cannot be asked for fear"
    assert np.allclose(happy.get_lines()[0].get_xdata(), np.arange(1, STEPS + 1) / STEPS)
    band = happy.collections[0].get_paths()[0].vertices[:, 1]
    low, high = np.percentile(found.curves["ganmut-128", "vgg16"][:, 0], [10, 90], axis=0)
    assert np.isclose(band.min(), low.min()) and np.isclose(band.max(), high.max())


def test_one_broken_face_does_not_spoil_a_mean(found: Outcome) -> None:
    curves = found.curves["identity", "vgg16"].copy()
    curves[0, 0, 4] = np.nan
    figure = figures.sweep_figure(replace(found, curves={("identity", "vgg16"): curves}), "vgg16")
    assert np.allclose(plotted(figure.axes[0])[0], curves[1:, 0].mean(axis=0))


def test_distances_over_sample_size(found: Outcome) -> None:
    figure = figures.fed_figure(found)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["resnet18", "vgg16"]
    assert np.allclose(plotted(figure.axes[1])[0], [40 - 36 + 2000 / n for n in (60, 125, 250, 500)])


def test_bars_are_as_long_as_the_numbers(found: Outcome) -> None:
    panel = figures.overview_figure(found).axes[0]
    lengths = sorted(round(patch.get_width(), 6) for patch in panel.patches)
    wanted = [m.measurement.value for m in lines()
              if m.measurement.measure == "expression-f1" and m.measurement.expression is None]  # fmt: skip
    assert lengths == sorted(round(value or 0, 6) for value in wanted) and len(lengths) == 6


def test_what_is_undefined_has_no_bar(found: Outcome) -> None:
    figure = figures.overview_figure(found)
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("smoothness"))
    assert len(panel.patches) == 4 and sum(text.get_text() == "—" for text in panel.texts) == 2


@pytest.mark.parametrize("name", ["$x_1", "$a$", "_hidden", r"\frac{", "лицо\nновое", "a" * 200])
def test_any_name_can_be_drawn(found: Outcome, name: str) -> None:
    facts = replace(found.contestants[0], name=name)
    named = replace(
        found, contestants=(facts,), fed_curves={(name, "vgg16"): [{"n": 9, "value": 3.0}, {"n": 99, "value": 2.0}]}
    )
    figure = figures.fed_figure(named)
    assert figure_bytes(figure).startswith(b"<?xml")
    (shown,) = figure.legends[0].get_texts()
    assert shown.get_text().replace(r"\$", "$")[:6] == " ".join(name.split())[:6]


def test_nothing_to_draw(found: Outcome) -> None:
    empty = replace(
        found, lines=(), curves={}, fed_curves={}, gamuts={}, originals=None, edited={}, swept={}, walked={},
        contestants=(ContestantFacts("a", "model", "", ("happy",)),),
    )  # fmt: skip
    assert figures.sweep_figure(empty, "vgg16") is figures.fed_figure(empty) is figures.overview_figure(empty) is None
    assert mosaics.grid_picture(empty, 0) is mosaics.sweep_picture(empty, "a") is None
    assert mosaics.gamut_picture(empty, "a", "vgg16") is mosaics.samples_picture(empty.contestants[0]) is None


# ------------------------------------------------------------------------------------------------------------ pictures


def tiles(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Cut a grid of faces from its lower right corner, where nothing else stands."""
    side, step = 112, 116
    bottom, right = picture.shape[0] - 4, picture.shape[1] - 4
    return np.stack([
        [picture[bottom - step * r - side : bottom - step * r, right - step * c - side : right - step * c]
         for c in reversed(range(columns))] for r in reversed(range(rows))
    ])  # fmt: skip


def test_the_grid_has_models_in_rows_and_expressions_in_columns(found: Outcome) -> None:
    shown = tiles(mosaics.grid_picture(found, 1), 3, 7)  # pyright: ignore
    for row, facts in enumerate(found.contestants):
        for column in range(7):
            wanted = np.asarray(mosaics._tile(found.edited[facts.name][1, column], 112))
            assert (shown[row, column] == wanted).all()
    assert (shown[2] == shown[2, 0]).all(), "the identity changes nothing"


def test_grey_faces_are_drawn_as_well(found: Outcome) -> None:
    grey = {name: faces[..., :1] for name, faces in found.edited.items()}
    assert found.originals is not None
    shown = mosaics.grid_picture(replace(found, edited=grey, originals=found.originals[..., :1]), 0)
    assert shown is not None and (np.ptp(tiles(shown, 3, 7), axis=-1) == 0).all()


def test_between_codes_lies_what_is_seen_there() -> None:
    codes = walk()
    random = np.random.default_rng(3)
    seen = random.uniform(size=(len(codes), 4)).astype(np.float32)
    at = mosaics.between_codes(codes, seen, codes[:, None, 0].astype(float), codes[:, None, 1].astype(float))
    assert np.allclose(at[:, 0], seen, atol=1e-4)
    # Halfway between two directions on the rim, across the angle 0, and halfway from the rim to the ring inside of it.
    rim = {round(float(angle), 3): place for place, (angle, radius) in enumerate(codes) if radius == 1}
    first, last = rim[0.0], rim[round(23 * 2 * np.pi / 24, 3)]
    angles, radii = np.array([[-np.pi / 24, 0.0]]), np.array([[1.0, 0.85]])
    on_rim, inside = mosaics.between_codes(codes, seen, angles, radii)[0]
    assert np.allclose(on_rim, (seen[first] + seen[last]) / 2, atol=1e-4)
    ring = next(p for p, (angle, radius) in enumerate(codes) if np.isclose(radius, 0.7) and angle == 0)
    assert np.allclose(inside, (seen[first] + seen[ring]) / 2, atol=1e-4)


def test_a_single_code_colours_everything() -> None:
    angles = np.array([[0.0, 1.0]])
    assert np.allclose(mosaics.between_codes(np.zeros((1, 2)), np.array([[0.2, 0.8]]), angles, angles), [0.2, 0.8])


def test_the_disc_is_coloured_by_the_likeliest(found: Outcome) -> None:
    codes, seen = found.gamut_codes["ganmut-128"], found.gamuts["ganmut-128", "vgg16"].copy()
    seen[:] = 0
    seen[:, 2] = 0.5  # sad everywhere, by half
    disc = mosaics.gamut_picture(
        replace(found, gamuts={("ganmut-128", "vgg16"): seen}), "ganmut-128", "vgg16", with_faces=False
    )
    assert disc is not None
    half = disc.shape[1] // 2
    wanted = 255 - (255 - np.array(ImageColor.getrgb(EXPRESSION_COLOURS["sad"]))) * 0.5
    assert np.allclose(disc[half - 250, half + 60], wanted, atol=1)
    with_faces = mosaics.gamut_picture(found, "ganmut-128", "vgg16")
    assert with_faces is not None and with_faces.shape[1] == 2 * disc.shape[1] and len(codes) == 73


def test_a_model_that_was_not_asked_for_the_whole_disc_has_no_picture(found: Outcome) -> None:
    seen = found.gamuts["ganmut-128", "vgg16"][:-1]
    assert mosaics.gamut_picture(replace(found, gamuts={("ganmut-128", "vgg16"): seen}), "ganmut-128", "vgg16") is None


def test_faces_on_the_disc_do_not_overlap() -> None:
    codes = walk()
    chosen = mosaics.places_apart(codes, 0.25)
    points = np.array([(r * np.cos(a), r * np.sin(a)) for a, r in codes[chosen]])
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) + 9 * np.eye(len(points))
    assert gaps.min() >= 0.25 and chosen[0] == 0
    per_ring = [int((np.isclose(codes[chosen, 1], radius)).sum()) for radius in (0.35, 0.7, 1.0)]
    assert per_ring == [8, 12, 24]


def test_broken_sample_pictures_are_left_out(found: Outcome, tmp_path: Path) -> None:
    facts = found.contestants[0]
    (tmp_path / "step-1.png").write_bytes(b"no picture")
    partly = replace(facts, samples=(tmp_path / "step-1.png", tmp_path / "gone.png", facts.samples[0]))
    alone = replace(facts, samples=(facts.samples[0],))
    assert (mosaics.samples_picture(partly) == mosaics.samples_picture(alone)).all()
    assert mosaics.samples_picture(replace(facts, samples=(tmp_path / "gone.png",))) is None

"""What keeps a warp generator's edits regular, where it needs faces of some size."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.edit_maps import Edit
from mien.methods import METHODS, Batch, ganmut, ganmut_gaussian, stargan
from mien.methods.generator import GeneratorSettings, warp_terms

SIDE = 100
#: Averages over 6 and over 3 pixels, twice each: 0.06 and 0.03 of the side.
SIX, THREE = (np.convolve(box, box) / box.sum() ** 2 for box in (np.array([0.5, 1, 1, 1, 1, 1, 0.5]), np.ones(3)))


def averaged(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        image = np.apply_along_axis(lambda line: np.convolve(line, kernel, mode="same"), axis, image)
    return image


def inside() -> np.ndarray:
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    return np.exp(-(((x - 0.5) / 0.11) ** 4) - ((y - 0.765) / 0.1) ** 4)


def streaks(face: np.ndarray, light: np.ndarray | float, wipe: float, pixels_right: int = 0) -> float:
    """Return the cost of an edit of a face, (side, side) or (3, side, side), with one wipe everywhere.

    It fetches every pixel from so many pixels to the right.
    """
    images = torch.from_numpy(np.atleast_3d(face.T).T).float()[None]
    displacement = torch.zeros(1, 2, SIDE, SIDE)
    displacement[:, 0] = pixels_right / (SIDE / 2)
    delta = torch.from_numpy(np.broadcast_to(light, images.shape).copy()).float()
    config = GeneratorSettings(
        generator="warp", wipes=True, lambda_streaks=500.0, shade_width=0.05
    )  # which is another's
    terms: dict[str, Tensor] = warp_terms(
        config, images, Edit(displacement, delta, torch.full((1, 1, SIDE, SIDE), wipe))
    )
    assert terms.keys() == {"streaks"}
    return terms["streaks"].item()


def faces() -> tuple[np.ndarray, np.ndarray]:
    """Return a mouth with teeth, and one that is shut: a dark line."""
    teeth, shut = np.full((SIDE, SIDE), -0.2), np.full((SIDE, SIDE), -0.2)
    teeth[74:79, 44:57:2] = 0.8
    shut[76, 40:60] = -0.9  # no bright detail, but what is round it is a little
    return teeth, shut


def worked(face: np.ndarray, dark: np.ndarray, wipe: float) -> float:
    bright = averaged(np.maximum(face - averaged(face, SIX), 0), THREE)
    return (
        500
        * (np.maximum(averaged(dark, THREE) - 0.2, 0) * bright * inside()).mean()
        * -math.log((wipe + 0.001) / 1.001)
    )


def test_teeth_that_light_darkens_are_to_be_wiped_away() -> None:
    teeth, shut = faces()
    everywhere = np.full((SIDE, SIDE), 0.5)
    for face in (teeth, shut):
        assert streaks(face, -everywhere, 0.25) == pytest.approx(worked(face, everywhere, 0.25), rel=1e-3)
    somewhere = np.where(np.arange(SIDE) % 4 == 0, 1.2, 0.0) * np.ones(
        (SIDE, 1)
    )  # stripes, beside which it is dark, too
    assert streaks(teeth, -somewhere, 0.1) == pytest.approx(worked(teeth, somewhere, 0.1), rel=1e-3)
    assert streaks(np.roll(teeth, 7, axis=1), -0.5, 0.25, 7) == pytest.approx(streaks(teeth, -0.5, 0.25), rel=1e-4)
    assert streaks(shut, -0.5, 0.25) < 0.5 * streaks(teeth, -0.5, 0.25)
    assert streaks(teeth, -0.19, 0.25) == streaks(teeth, 0.5, 0.25) == 0.0  # a lip's shading, and light
    assert streaks(teeth, -0.5, 1.0) == 0.0  # all is wiped


def test_streaks_in_colour_are_those_of_the_mean_of_its_channels() -> None:
    teeth, _ = faces()
    tinted, light = teeth * np.array([0.5, 1.5, 1.0])[:, None, None], -np.array([0.2, 0.9, 0.4])[:, None, None]
    assert streaks(tinted, light, 0.25) == pytest.approx(streaks(teeth, -0.5, 0.25), rel=1e-4)


def test_nothing_is_asked_of_a_wipe_that_is_not_there() -> None:
    face, none = torch.rand(1, 1, SIDE, SIDE), torch.zeros(1, 2, SIDE, SIDE)
    assert warp_terms(GeneratorSettings(lambda_streaks=500.0), face, Edit(none, -torch.ones(1, 1, SIDE, SIDE))) == {}


def test_darkness_is_not_learned_from_the_streaks_it_leaves() -> None:
    light = torch.full((1, 1, SIDE, SIDE), -0.5, requires_grad=True)
    displacement = torch.zeros(1, 2, SIDE, SIDE, requires_grad=True)
    wipe = torch.full((1, 1, SIDE, SIDE), 0.25, requires_grad=True)
    face = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    config = GeneratorSettings(generator="warp", wipes=True, lambda_streaks=1.0)
    warp_terms(config, face, Edit(displacement, light, wipe))["streaks"].backward()
    assert light.grad is None and displacement.grad is None
    assert wipe.grad is not None and wipe.grad[0, 0, 76, 50] < 0


@pytest.mark.parametrize(
    ("name", "module"), [("stargan", stargan), ("ganmut", ganmut), ("ganmut-gaussian", ganmut_gaussian)]
)
def test_it_is_the_photos_that_edits_are_measured_on(
    name: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(module, "warp_terms", lambda _, images, edit: measured.append(images) or {})
    kind = METHODS[name]
    method = kind(
        kind.Config(image_size=32, image_channels=1, critic_layers=3, critic_channels=8, generator_channels=8)
    )
    batch = Batch(torch.rand(8, 1, 32, 32), torch.arange(8) % 4)
    for step in range(6):
        for _ in method.updates(batch, step):
            pass
    assert measured and all(images is batch.images for images in measured)

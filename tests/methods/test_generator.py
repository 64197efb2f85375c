"""What keeps a warp generator's edits regular, where it needs faces of some size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.edit_maps import Edit
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


def streaks(face: np.ndarray, light: float, wipe: float, pixels_right: int = 0) -> float:
    """Return the cost of an edit with one light and one wipe everywhere, which fetches so many pixels from the right."""
    displacement = torch.zeros(1, 2, SIDE, SIDE)
    displacement[:, 0] = pixels_right / (SIDE / 2)
    plane = torch.ones(1, 1, SIDE, SIDE)
    edit = Edit(displacement, light * plane, wipe * plane)
    config = GeneratorSettings(generator="warp", wipes=True, lambda_streaks=500.0)
    terms: dict[str, Tensor] = warp_terms(config, torch.from_numpy(face).float()[None, None], edit)
    assert terms.keys() == {"streaks"}
    return terms["streaks"].item()


def test_teeth_that_light_darkens_are_to_be_wiped_away() -> None:
    teeth, shut = np.full((SIDE, SIDE), -0.2), np.full((SIDE, SIDE), -0.2)
    teeth[74:79, 44:57:2] = 0.8
    shut[76, 40:60] = -0.9  # the dark line between lips is no bright detail, but its surroundings are a little
    for face in (teeth, shut):
        bright = averaged(np.maximum(face - averaged(face, SIX), 0), THREE)
        expected = 500 * (0.3 * bright * inside()).mean() * -math.log(0.251)  # darkness of 0.5, from 0.2 on
        assert streaks(face, -0.5, 0.25) == pytest.approx(expected, rel=1e-3)
    assert streaks(np.roll(teeth, 7, axis=1), -0.5, 0.25, 7) == pytest.approx(streaks(teeth, -0.5, 0.25), rel=1e-4)
    assert streaks(shut, -0.5, 0.25) < 0.5 * streaks(teeth, -0.5, 0.25)
    assert streaks(teeth, -0.19, 0.25) == streaks(teeth, 0.5, 0.25) == 0.0  # a lip's shading, and light
    assert abs(streaks(teeth, -0.5, 1.0)) < 1e-3 * streaks(teeth, -0.5, 0.25)  # all is wiped


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

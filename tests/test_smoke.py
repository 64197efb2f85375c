"""Every method learns drawn faces, from two commands to numbers that only a trained model reaches.

Of drawn faces expression and intensity are known, so a measure can be had that owes nothing to any critic: ridge
regression in closed form, from the pixels of the training faces to the intensity and the name of their expression. With
it the edits of unseen people's neutral faces are read. Each measure is shown to fail an untrained model too.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from mien.conditions import Condition
from mien.edit_maps import apply_edit
from mien.expressions import BASIC, NEUTRAL
from mien.images import luma, to_uint8
from mien.methods import METHODS, Method
from mien.prepared import PreparedSet
from mien.presets import configure, find_preset
from mien.pretrained import load_model
from mien.spaces import DiscSpace, Space

pytestmark = pytest.mark.slow

RADII = np.linspace(0, 1, 11)
#: What a trained model must reach. Measured, over four seeds of GANmut: 45 to 50 degrees, all six above 0.99, 68 to 79 %
#: of the edits; over two of StarGAN: 96 to 98 %; over three of Gaussian GANmut, before and after changes of rounding: 77 to
#: 87 %, and once four (0.77 and 0.88 the others), once five and otherwise all six above 0.9.
LEAST_DEGREES = 15.0
LEAST_CORRELATION = 0.9
LEAST_CORRELATED = {"smoke": 5, "smoke-gaussian": 4}
LEAST_RECALL = {"smoke": 0.5, "smoke-gaussian": 0.5, "smoke-stargan": 0.6}  # chance: 1/7, 1/7 and 1/4


def run_mien(*arguments: object) -> None:
    """Run the command line in a process of its own, as people do, without the tests' checks of shapes."""
    done = subprocess.run([sys.executable, "-m", "mien.apps.cli", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Ridge:
    """Linear regression with a penalty, in closed form: w = (X'X + a I)^-1 X'Y on centred data."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray, penalty: float) -> None:
        self.input_mean, self.target_mean = inputs.mean(axis=0), targets.mean(axis=0)
        x, y = inputs - self.input_mean, targets - self.target_mean
        self.weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return (inputs - self.input_mean) @ self.weights + self.target_mean


class Measure:
    """Read intensity and name of the expression from grey images, uint8 (n, h, w), as drawn faces of the set teach it."""

    def __init__(self, drawn: PreparedSet) -> None:
        rows = drawn.select("train")
        names = np.eye(len(BASIC))[drawn.labels[rows]]
        intensities = names * drawn.intensity[rows][:, None]
        self.ridge = Ridge(self.features(luma(drawn.images(rows))), np.hstack([intensities, names]), penalty=100.0)

    @staticmethod
    def features(images: np.ndarray) -> np.ndarray:
        """Flatten images and take out their brightness and contrast, which belong to the person and the light."""
        flat = images.reshape(len(images), -1).astype(float)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return flat / flat.std(axis=1, keepdims=True)

    def intensity(self, images: np.ndarray, expression: str) -> np.ndarray:
        return self.ridge(self.features(images))[:, BASIC.index(expression)]

    def name(self, images: np.ndarray, among: tuple[str, ...] = BASIC) -> list[str]:
        columns = [len(BASIC) + BASIC.index(name) for name in among]
        return [among[best] for best in self.ridge(self.features(images))[:, columns].argmax(axis=1)]


class Edits:
    """A model's edits of the neutral faces of people that it did not see in training."""

    def __init__(self, method: Method, drawn: PreparedSet, measure: Measure) -> None:
        self.method, self.measure = method.eval(), measure
        grey = luma(drawn.images(drawn.select("validation", [NEUTRAL])))
        self.faces = torch.from_numpy(grey.astype(np.float32))[:, None] / 127.5 - 1

    def __call__(self, expression: str, intensity: float) -> np.ndarray:
        """Return the edited faces, uint8 (n, h, w)."""
        code = torch.from_numpy(self.method.space().code(Condition.named(expression, intensity)))
        with torch.inference_mode():
            edit = self.method.render(self.faces, code.expand(len(self.faces), -1))
            return to_uint8(apply_edit(self.faces, edit))[..., 0]

    def recall(self, intensity: float) -> dict[str, float]:
        """Return for each expression the share of its edits that the measure calls by its name."""
        names = self.method.space().expressions
        return {n: float(np.mean([seen == n for seen in self.measure.name(self(n, intensity), names)])) for n in names}

    def rank_correlations(self) -> dict[str, float]:
        """Return for each expression Spearman's correlation of the measured intensity with the radius."""
        return {
            name: spearman(RADII, [self.measure.intensity(self(name, rho), name).mean() for rho in RADII])
            for name in self.method.space().expressions
            if name != NEUTRAL
        }


def spearman(first: np.ndarray, second: list[float]) -> float:
    """Return the rank correlation of two series without ties."""
    ranks = [np.argsort(np.argsort(series)) for series in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def least_angle(space: Space) -> float:
    """Return the smallest angle between two expressions' directions, in degrees."""
    assert isinstance(space, DiscSpace)
    angles = np.sort(np.degrees(space.angles_radians) % 360)
    return float(np.diff([*angles, angles[0] + 360]).min())


def macro(recall: dict[str, float]) -> float:
    return float(np.mean(list(recall.values())))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("smoke") / "drawn"
    run_mien("prepare", "drawn", "--out", folder, "--size", 32)
    return PreparedSet.open(folder)


@pytest.fixture(scope="module")
def measure(drawn: PreparedSet) -> Measure:
    return Measure(drawn)


def trained(preset: str, drawn: PreparedSet, measure: Measure) -> Edits:
    run = drawn.path.with_name(preset)
    run_mien("train", preset, "--data", drawn.path, "--out", run)
    return Edits(load_model(run).method, drawn, measure)


def untrained(preset: str, drawn: PreparedSet, measure: Measure) -> Edits:
    found = find_preset(preset)
    torch.manual_seed(0)
    return Edits(METHODS[found.method](configure(found, {})[0]), drawn, measure)


@pytest.fixture(scope="module")
def ganmut(drawn: PreparedSet, measure: Measure) -> Edits:
    return trained("smoke", drawn, measure)


@pytest.fixture(scope="module")
def gaussian(drawn: PreparedSet, measure: Measure) -> Edits:
    return trained("smoke-gaussian", drawn, measure)


@pytest.fixture(scope="module")
def stargan(drawn: PreparedSet, measure: Measure) -> Edits:
    return trained("smoke-stargan", drawn, measure)


def test_the_measure_reads_drawn_faces_of_other_people(drawn: PreparedSet, measure: Measure) -> None:
    rows = drawn.select("validation")
    grey, true = luma(drawn.images(rows)), [BASIC[label] for label in drawn.labels[rows]]
    assert np.mean([seen == name for seen, name in zip(measure.name(grey), true, strict=True)]) > 0.95
    for name in BASIC[1:]:
        shown = np.array([name == other for other in true])
        error = measure.intensity(grey[shown], name) - drawn.intensity[rows][shown]
        assert np.abs(error).mean() < 0.15, name


def test_ganmut_learns_axes_that_lie_apart(ganmut: Edits) -> None:
    assert least_angle(ganmut.method.space()) >= LEAST_DEGREES


def test_ganmut_learns_intensity_as_the_radius(ganmut: Edits) -> None:
    correlations = ganmut.rank_correlations()
    assert sum(value >= LEAST_CORRELATION for value in correlations.values()) >= LEAST_CORRELATED["smoke"], correlations


def test_ganmut_edits_to_what_was_asked(ganmut: Edits) -> None:
    recall = ganmut.recall(0.9)
    assert macro(recall) >= LEAST_RECALL["smoke"], recall


def test_the_gaussian_model_edits_to_what_lies_at_its_centres(gaussian: Edits) -> None:
    recall = gaussian.recall(1.0)
    assert macro(recall) >= LEAST_RECALL["smoke-gaussian"], recall


def test_the_gaussian_model_learns_intensity_as_the_way_from_neutral(gaussian: Edits) -> None:
    correlations = gaussian.rank_correlations()
    assert sum(value >= LEAST_CORRELATION for value in correlations.values()) >= LEAST_CORRELATED["smoke-gaussian"], (
        correlations
    )


def test_stargan_edits_to_what_was_asked(stargan: Edits) -> None:
    # An intensity below 1 is no code that StarGAN is trained with, and so it promises nothing about the way there.
    recall = stargan.recall(1.0)
    assert macro(recall) >= LEAST_RECALL["smoke-stargan"], recall


def test_an_untrained_model_fails_every_measure(drawn: PreparedSet, measure: Measure) -> None:
    ganmut, stargan = untrained("smoke", drawn, measure), untrained("smoke-stargan", drawn, measure)
    assert least_angle(ganmut.method.space()) < LEAST_DEGREES
    correlations = ganmut.rank_correlations()
    assert sum(value >= LEAST_CORRELATION for value in correlations.values()) < LEAST_CORRELATED["smoke"], correlations
    assert macro(ganmut.recall(0.9)) < LEAST_RECALL["smoke"]
    assert macro(stargan.recall(1.0)) < LEAST_RECALL["smoke-stargan"]
    gaussian = untrained("smoke-gaussian", drawn, measure)
    correlations = gaussian.rank_correlations()
    assert sum(value >= LEAST_CORRELATION for value in correlations.values()) < LEAST_CORRELATED["smoke-gaussian"], (
        correlations
    )
    assert macro(gaussian.recall(1.0)) < LEAST_RECALL["smoke-gaussian"]

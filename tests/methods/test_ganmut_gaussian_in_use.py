"""Gaussian GANmut in use: a run, the files that are made of it, and what the editor asks of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mien.conditions import Condition
from mien.editing.edits import make_edits
from mien.editing.keyframes import between
from mien.editing.reading import read_images
from mien.exporting import export_onnx
from mien.methods.ganmut_gaussian import GaussianGANmut, GaussianGANmutConfig
from mien.portable import load_portable
from mien.prepared import PreparedSet
from mien.pretrained import export, load_model
from mien.spaces import DiscSpace, space_from_json
from mien.training import TrainConfig, train


@pytest.fixture(scope="module")
def run(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory):
    settings = GaussianGANmutConfig(
        image_size=16, image_channels=1, generator="residual", generator_channels=8, generator_blocks=1,
        critic_channels=8, critic_layers=2, critic_steps=1, centres="spread", initial_width=0.1, learning_rate=1e-2,
    )  # fmt: skip
    loop = TrainConfig(steps=4, batch_size=8, ema_decay=0.5, checkpoint_every=4, sample_every=4, log_every=2)
    return train("test", "ganmut-gaussian", settings, loop, prepared.path, tmp_path_factory.mktemp("runs") / "gaussian")


def test_a_run_is_resumed_exported_and_run_without_torch_with_the_same_plane(run, tmp_path: Path) -> None:
    trained = load_model(run.path)
    started = GaussianGANmut(trained.method.config).space()
    assert trained.space != started  # the Gaussians moved
    file = export(run, tmp_path / "gaussian.safetensors")
    saved, portable = load_model(file), load_portable(export_onnx(run.path, tmp_path / "gaussian.onnx"))
    assert portable.space == saved.space == space_from_json(saved.space.to_json())
    assert portable.sha256 == saved.sha256
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 1, 16, 16)).astype(np.float32)
    for name in ("neutral", "happy"):
        codes = np.stack([model.space.code(Condition.named(name, 0.9)) for model in (trained, saved, portable)])
        np.testing.assert_allclose(codes, codes[:1].repeat(3, 0), atol=2e-3)  # half precision
        edits = [model.render(faces, codes[1:2].repeat(2, 0))[1] for model in (trained, saved, portable)]
        np.testing.assert_allclose(edits[1], edits[0], atol=2e-2)
        np.testing.assert_allclose(edits[2], edits[1], atol=1e-4)
    for one, other in zip(saved.read(faces), portable.read(faces), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_editor_takes_names_blends_and_angles_to_places(run) -> None:
    model = load_model(run.path)
    asked: list[np.ndarray] = []
    render = model.render

    class Watched:
        space, description, name, sha256 = model.space, model.description, model.name, model.sha256
        image_size, image_channels, read = model.image_size, model.image_channels, staticmethod(model.read)

        @staticmethod
        def render(images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            asked.append(codes)
            return render(images, codes)

    space = model.space
    assert isinstance(space, DiscSpace) and space.plane is not None
    centres = np.array(space.plane.centres)
    happy = math.atan2(*(centres[1] - centres[0])[::-1])
    wanted = [Condition.named("happy", 1.0), Condition.polar(happy, 0.5), Condition.parse("happy,neutral", 1.0)]
    face = np.zeros((1, 16, 16), np.float32)
    make_edits(Watched(), face, wanted, "direct")  # pyright: ignore[reportArgumentType]
    half_way = (centres[0] + centres[1]) / 2
    np.testing.assert_allclose(asked[-1], [centres[1], half_way, half_way], atol=1e-6)
    make_edits(Watched(), face, [Condition.named("happy", 1.0)], 1.0)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(asked[-2][0], centres[0], atol=1e-6)  # neutral first: its own centre, not the middle
    # Half-way between two keyframes is half-way on the disc, not on the plane.
    middle = between(Condition.named("happy", 1.0), Condition.named("neutral", 1.0), 0.5, space)
    np.testing.assert_allclose(space.code(middle), half_way, atol=1e-6)
    # `keep` adds the step on the disc to where the face is read, and cannot leave the disc.
    make_edits(Watched(), face, [Condition.named("happy", 1.0)], "keep")  # pyright: ignore[reportArgumentType]
    (reading,) = read_images(model, face[None])
    moved = space.point(Condition.named("happy", 1.0)) + reading.code
    np.testing.assert_allclose(space.points(asked[-1])[0], moved / max(1.0, np.hypot(*moved)), atol=1e-5)

"""Models as contestants: their edits are the editor's, whatever size and channels the faces have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from portable_models import ganmut_onnx
from untrained import write_run

from mien.benchmark.contestants import Faces, Identity, can_express, open_contestants, split_title, untrained
from mien.benchmark.protocol import Protocol
from mien.benchmark.requests import walk_conditions
from mien.conditions import Condition
from mien.edit_maps import Edit, apply_edit
from mien.errors import MienError
from mien.expressions import VOCABULARY
from mien.loading import open_model
from mien.portable import seal
from mien.shipped import DEFAULT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("models") / "first").path


def faces(size: int, channels: int, count: int = 3) -> Faces:
    pixels = np.random.default_rng(0).uniform(-1, 1, (count, channels, size, size)).astype(np.float32)
    return Faces(tuple(f"face-{index}" for index in range(count)), pixels)


def test_an_edit_is_the_models_applied_to_the_face(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])
    shown, asked = faces(32, 1), [Condition.named("happy", 0.5), Condition.polar(1.0, 0.7)]

    edited = contestant.edit(shown, asked, "direct")

    model = open_model(run)
    for row, image in enumerate(shown.images):
        for column, condition in enumerate(asked):
            maps = model.render(image[None], model.space.code(condition)[None])
            wanted = apply_edit(torch.from_numpy(image[None]), Edit(*map(torch.from_numpy, maps)))
            assert np.allclose(edited[row, column], wanted[0].numpy(), atol=1e-5)


def test_colour_and_size_of_the_faces_are_kept(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])
    grey = faces(48, 1)
    colour = Faces(grey.keys, np.repeat(grey.images, 3, axis=1))
    asked = [Condition.named("sad")]

    edited = contestant.edit(colour, asked, "direct")

    assert edited.shape == (3, 1, 3, 48, 48)
    # A colour picture without colour gets the same light in every channel: what the grey one gets.
    assert np.allclose(edited, np.repeat(contestant.edit(grey, asked, "direct"), 3, axis=2), atol=1e-4)


def test_auto_takes_away_first_what_the_face_shows(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])
    shown = faces(32, 1)

    direct, auto = (contestant.edit(shown, [Condition.named("happy")], start) for start in ("direct", "auto"))

    assert direct.shape == auto.shape and not np.allclose(direct, auto)


def test_facts_are_those_of_the_model(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])
    model = open_model(run)

    assert contestant.facts.sha256 == model.sha256
    assert contestant.facts.parameters == sum(p.numel() for p in model.method.generator.parameters())  # type: ignore[attr-defined]
    assert contestant.facts.milliseconds and contestant.facts.milliseconds > 0
    assert set(contestant.facts.angles_degrees) == set(model.space.expressions[1:])
    assert len(contestant.facts.stats) == 1


def test_a_critic_scores_each_image_alone(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])
    shown = faces(40, 3, 4).images

    together = contestant.realness(shown)

    assert together is not None and together.shape == (4,)
    alone = [contestant.realness(image[None]) for image in shown]
    assert np.allclose(together, np.concatenate([a for a in alone if a is not None]), atol=1e-5)
    assert Identity().realness(shown) is None


def test_untrained_networks_differ_and_stay_the_same(run: Path) -> None:
    first, again, trained = untrained(str(run)), untrained(str(run)), open_model(run)

    assert first.sha256 == again.sha256 != trained.sha256
    image, code = np.zeros((1, 1, 32, 32), np.float32), np.array([[0.5, 0.5]], np.float32)
    assert np.array_equal(first.render(image, code)[0], again.render(image, code)[0])
    assert not np.allclose(first.render(image, code)[0], trained.render(image, code)[0])


def test_the_untrained_twin_of_an_onnx_file_is_that_of_the_run_that_it_was_written_from(
    run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(ganmut_onnx())  # of such a run

    model, twin = open_contestants([str(file), f"untrained:{file}"])

    assert twin.facts.name == "untrained" and twin.facts.sha256 == untrained(str(run)).sha256 != model.facts.sha256
    shown, asked = faces(32, 1), [Condition.named("happy")]
    (of_run,) = open_contestants([f"untrained:{run}"])
    assert np.array_equal(twin.edit(shown, asked, "direct"), of_run.edit(shown, asked, "direct"))


@pytest.mark.parametrize(
    ("without", "added"),
    [("method", {}), ("method_config", {}), ("", {"method": "of-tomorrow"}), ("", {"method_config": {"knob": 3}})],
)
def test_an_onnx_file_that_does_not_describe_its_networks_gets_another_twin_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without: str, added: dict[str, object]
) -> None:
    model = onnx.load_model_from_string(ganmut_onnx())
    facts = {entry.key: entry.value for entry in model.metadata_props}
    description = {key: value for key, value in json.loads(facts["mien.description"]).items() if key != without} | added
    helper.set_model_props(model, facts | {"mien.description": json.dumps(description)})
    (tmp_path / "model.onnx").write_bytes(seal(model))

    twin = untrained(str(tmp_path / "model.onnx"))

    said = capsys.readouterr()
    assert twin.sha256 == untrained(DEFAULT).sha256 and not said.out
    assert "model.onnx" in said.err and DEFAULT in said.err and said.err.count("\n") == 1


def test_names_are_unique(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / side / "model").path for side in "ab"]

    names = [each.facts.name for each in open_contestants([*map(str, paths), "identity"])]

    assert names == ["model", "model-2", "identity"]


def test_a_title_is_what_tables_call_a_model(run: Path, tmp_path: Path) -> None:
    names = [each.facts.name for each in open_contestants([f"Both / MTCNN / 128={run}", str(run), "identity"])]
    assert names == ["Both / MTCNN / 128", "first", "identity"]
    # A file that has such a name is a file, and no title.
    odd = write_run(tmp_path / "steps=400").path
    assert [each.facts.name for each in open_contestants([str(odd)])] == ["steps=400"]
    assert split_title("GANmut=official-ganmut:a=b.ckpt") == ("GANmut", "official-ganmut:a=b.ckpt")


def test_what_a_model_cannot_express_is_known_before_it_is_asked(run: Path) -> None:
    (contestant,) = open_contestants([str(run)])

    assert can_express(contestant, Condition.polar(0.3, 1.0))
    assert not can_express(contestant, Condition.named("contempt"))


def test_the_identity_can_be_asked_for_every_expression() -> None:
    assert all(can_express(Identity(), Condition.named(name)) for name in VOCABULARY)
    assert can_express(Identity(), Condition.blend({"contempt": 1, "happy": 1}))
    walked, _ = walk_conditions(Identity(), VOCABULARY, Protocol(gamut_radii=(1.0,)))
    assert {name for condition in walked for name, _ in condition.shares} == set(VOCABULARY) - {"neutral"}


@pytest.mark.parametrize("text", ["nobody", "untrained:nobody", "folder:nowhere", "official-ganmut:missing.ckpt"])
def test_what_cannot_be_opened_is_said(text: str) -> None:
    with pytest.raises(MienError) as caught:
        open_contestants([text])
    assert caught.value.hint

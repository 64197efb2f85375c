"""Official checkpoints against replicas of the published networks: what is painted, read, refused and converted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from films_made import Brightener, Squares, scene, write_film
from official_made import (
    Tensors,
    critic_tensors,
    discriminate,
    gaussian_tensors,
    generate,
    generator_tensors,
    linear_tensors,
)
from torch import Tensor
from typer.testing import CliRunner

from mien.apps.cli import app
from mien.conditions import Condition
from mien.editing import Editor
from mien.editing.edits import make_edits
from mien.editing.film import edit_film
from mien.editing.reading import can_read, read_images
from mien.errors import ConditionError, WeightsError
from mien.expressions import BASIC, VOCABULARY
from mien.loading import open_model
from mien.official import OfficialModel, convert, load_official
from mien.spaces import DiscSpace, LabelSpace

PORTRAIT = Path(__file__).parent.parent / "assets" / "astronaut.png"


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


@pytest.fixture
def write(tmp_path: Path):
    def to(tensors: Any, name: str = "200000-G.ckpt") -> str:
        torch.save(tensors, tmp_path / name)
        return str(tmp_path / name)

    return to


def images(count: int = 2, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, side, side)).astype(np.float32)


def blue_first(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array[:, ::-1].copy())


def shown(model: OfficialModel, given: np.ndarray, codes: np.ndarray) -> np.ndarray:
    displacement, delta = model.render(given, codes)
    assert not displacement.any()
    return given + delta


# --- what is painted ------------------------------------------------------------------------------------------------


def test_linear_ganmut_paints_what_the_published_network_paints(write) -> None:
    tensors = linear_tensors()
    model = load_official(f"official-ganmut:{write(tensors)}")
    codes = np.array([[0.6, -0.2], [-0.1, 0.9]], np.float32)
    wanted = generate(tensors, blue_first(images()), torch.from_numpy(codes), blocks=2).numpy()[:, ::-1]
    assert np.abs(shown(model, images(), codes) - wanted).max() < 1e-5
    assert np.abs(shown(model, images(), codes) - wanted[:, ::-1]).max() > 0.1  # the colours are told apart


def test_stargan_paints_what_the_published_network_paints(write) -> None:
    tensors = generator_tensors(8)
    model = load_official(f"official-stargan:{write(tensors)}")
    space = model.space
    assert isinstance(space, LabelSpace)
    # RaFD's folders in the order of the alphabet: angry, contemptuous, disgusted, fearful, happy, neutral, sad, surprised.
    codes = np.stack([space.code(Condition.named("happy", 1.0)), space.code(Condition.named("surprise", 1.0))])
    assert codes.argmax(axis=1).tolist() == [4, 7]
    wanted = generate(tensors, torch.from_numpy(images()), torch.from_numpy(codes), blocks=2).numpy()
    assert np.abs(shown(model, images(), codes) - wanted).max() < 1e-5


def test_gaussian_ganmut_paints_the_centre_of_an_expression_at_intensity_1_and_of_neutral_at_0(write) -> None:
    tensors = gaussian_tensors()
    model = load_official(f"official-ganmut:{write(tensors)}")
    centres = torch.tanh(tensors["mu.weight"])
    for label, name in enumerate(BASIC):
        intensity = 0.0 if name == "neutral" else 1.0
        code = model.space.code(Condition.named(name, intensity))[None]
        wanted = generate(tensors, blue_first(images(1)), centres[label][None], blocks=2).numpy()[:, ::-1]
        assert np.abs(shown(model, images(1), code) - wanted).max() < 1e-4


def test_sizes_are_read_from_the_tensors_and_grey_networks_too(write) -> None:
    tensors = generator_tensors(4, width=4, blocks=1, channels=1)
    model = load_official(f"official-stargan:{write(tensors)},size=48")
    assert (model.image_channels, model.image_size, model.space.size) == (1, 48, 4)
    grey, code = images(1, 48)[:, :1], np.eye(4, dtype=np.float32)[:1]
    wanted = generate(tensors, torch.from_numpy(grey), torch.from_numpy(code), blocks=1).numpy()
    assert np.abs(shown(model, grey, code) - wanted).max() < 1e-5


# --- the space ------------------------------------------------------------------------------------------------------


def test_the_linear_space_has_the_learned_directions_in_affectnets_order(write) -> None:
    tensors = linear_tensors(8)
    space = load_official(f"official-ganmut:{write(tensors)}").space
    assert isinstance(space, DiscSpace) and space.expressions == VOCABULARY
    directions = F.normalize(tensors["axes.weight"], dim=1).numpy()
    for index, name in enumerate(VOCABULARY[1:]):
        np.testing.assert_allclose(space.code(Condition.named(name, 1.0)), directions[index], atol=1e-6)


# --- the critic -----------------------------------------------------------------------------------------------------


def test_the_critic_beside_reads_as_the_published_network_does(write) -> None:
    tensors = critic_tensors(7, places=2)
    path = write(linear_tensors())
    write(tensors, "200000-D.ckpt")
    model = load_official(f"official-ganmut:{path}")
    assert can_read(model) and model.image_size == 32
    scores, classes, places = discriminate(tensors, blue_first(images()), layers=4)
    probabilities, found = model.read(images())
    np.testing.assert_allclose(probabilities, classes.softmax(1), atol=1e-5)
    np.testing.assert_allclose(found, places / places.norm(dim=1, keepdim=True).clamp_min(1), atol=1e-5)
    np.testing.assert_allclose(model.realness(images()), scores.mean((1, 2, 3)), atol=1e-5)


def test_the_gaussian_critic_has_places_behind_its_classes(write) -> None:
    tensors = critic_tensors(9)
    tensors["conv2.weight"] *= 0.05  # so that the places lie on the plane
    critic = write(tensors, "other.ckpt")
    model = load_official(f"official-ganmut:{write(gaussian_tensors())},critic={critic}")
    _, head = discriminate(tensors, blue_first(images()), layers=4)
    probabilities, found = model.read(images())
    np.testing.assert_allclose(probabilities, head[:, :7].softmax(1), atol=1e-5)
    assert (head[:, 7:].abs() < 1).all()
    np.testing.assert_allclose(found, head[:, 7:], atol=1e-5)


def test_stargans_critic_takes_rgb(write) -> None:
    tensors = critic_tensors(4)
    path = write(generator_tensors(4), "9_400_G.pth")  # as older versions of the code named them
    write(tensors, "9_400_D.pth")
    _, classes = discriminate(tensors, torch.from_numpy(images()), layers=4)
    np.testing.assert_allclose(
        load_official(f"official-stargan:{path}").read(images())[0], classes.softmax(1), atol=1e-5
    )


def test_without_a_critic_reading_is_refused_and_edits_start_from_the_face_as_it_is(write) -> None:
    path = write(generator_tensors(7))
    model = load_official(f"official-stargan:{path},size=32")
    assert not can_read(model)
    with pytest.raises(WeightsError, match="came without its discriminator"):
        read_images(model, images())
    wanted = [Condition.named("happy", 1.0)]
    (automatic,), (direct,) = (make_edits(model, images()[0], wanted, start) for start in ("auto", "direct"))
    assert np.array_equal(automatic.delta, direct.delta)
    (taken_away,) = make_edits(model, images()[0], wanted, 1.0)
    assert not np.array_equal(automatic.delta, taken_away.delta)


def test_films_of_a_model_without_a_critic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unread(Brightener):
        can_read = False

        def read(self, images: np.ndarray) -> Any:
            raise AssertionError("nothing can be read")

    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    editor, happy = Editor(Unread()), Condition.named("happy", 0.8)
    film = write_film(tmp_path / "film.mp4", [scene({"red": (160.0, 120.0, 80.0)})] * 30)
    done = edit_film(editor, film, tmp_path / "out.mp4", happy, crf=0)
    assert done.frames == 30 and done.edited > 0
    with pytest.raises(ConditionError, match="no critic"):
        edit_film(editor, film, tmp_path / "kept.mp4", happy, start="keep")


def test_a_critic_can_be_left_out(write) -> None:
    path = write(linear_tensors())
    write(critic_tensors(5, places=2), "200000-D.ckpt")
    with pytest.raises(WeightsError, match="5 classes apart in images of 3 planes, its generator 7"):
        load_official(f"official-ganmut:{path}")
    assert load_official(f"official-ganmut:{path},critic=none").image_size == 128


# --- what is refused ------------------------------------------------------------------------------------------------


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_a_file_that_wants_code_to_be_run_is_refused_and_nothing_runs(write, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    path = write(linear_tensors() | {"bomb": _Bomb(target)})
    with pytest.raises(WeightsError, match="wants code to be run"):
        load_official(f"official-ganmut:{path}")
    assert not target.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert target.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "200000-G.ckpt"
    # The published files are older than torch 1.6 and its zipped format.
    torch.save(linear_tensors(), path, _use_new_zipfile_serialization=zipped)
    load_official(f"official-ganmut:{path}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match="damaged"):
        load_official(f"official-ganmut:{path}")


def test_an_old_torch_is_refused(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(linear_tensors())
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu121")
    with pytest.raises(WeightsError, match="CVE-2025-32434"):
        load_official(f"official-ganmut:{path}")
    monkeypatch.setattr(torch, "__version__", "2.10.0a0")
    load_official(f"official-ganmut:{path}")


def changed(**tensors: Tensor | None) -> Tensors:
    """Return a linear generator with some tensors replaced, or taken out."""
    names = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in (linear_tensors() | names).items() if tensor is not None}


@pytest.mark.parametrize(
    ("kind", "tensors", "options", "said"),
    [
        ("stargan", lambda: generator_tensors(5), "", "5 labels, .*CelebA's five are hair, sex and age"),
        ("stargan", lambda: generator_tensors(15), "", "15 labels"),
        ("stargan", lambda: generator_tensors(8), ",expressions=happy+sad", "2 expressions were given, .* 8 labels"),
        ("stargan", lambda: generator_tensors(4), ",expressions=happy+sad+joy+anger", "`happy` stands twice"),
        ("stargan", lambda: generator_tensors(4), ",size=130", "size `130`"),
        ("stargan", lambda: generator_tensors(4), ",names=a+b", "`names` is no option"),
        ("stargan", linear_tensors, "", "is a checkpoint of GANmut"),
        ("stargan", lambda: critic_tensors(4), "", "lacks the convolution"),
        ("ganmut", lambda: generator_tensors(2), "", "no space of GANmut's"),
        ("ganmut", lambda: linear_tensors(5), "", "5 labels"),
        ("ganmut", lambda: linear_tensors(3), ",expressions=happy+neutral+sad", "first expression is `happy`"),
        ("ganmut", lambda: generator_tensors(3) | {"axes.weight": torch.randn(6, 3)}, "", "space of 3 dimensions"),
        ("ganmut", lambda: generator_tensors(4) | {"axes.weight": torch.randn(6, 2)}, "", "takes no place on a plane"),
        ("ganmut", lambda: changed(from_rgb__weight=torch.zeros(3)), "", "after StarGAN v2"),
        ("ganmut", lambda: changed(main__4__bias=None), "", "`main.4.bias` is missing"),
        ("ganmut", lambda: changed(main__4__bias=torch.zeros(3)), "", r"shape \(3,\) instead of \(16,\)"),
        ("ganmut", lambda: changed(main__99__bias=torch.zeros(3)), "", "`main.99.bias` is not known"),
        ("ganmut", lambda: changed(main__4__bias=torch.full((16,), math.nan)), "", "not numbers"),
        ("ganmut", lambda: changed(main__4__bias=torch.zeros(16).int()), "", "torch.int32"),
        ("ganmut", lambda: {"state": linear_tensors()}, "", "no state dict"),
        ("ganmut", lambda: gaussian_tensors() | {"covariance_axes.weight": torch.zeros(7, 2)}, "", "no width"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(write, kind: str, tensors, options: str, said: str) -> None:
    with pytest.raises(WeightsError, match=said) as caught:
        load_official(f"official-{kind}:{write(tensors())}{options}")
    assert caught.value.hint and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["official-pix2pix:G.ckpt", "official-ganmut:", "official-ganmut:nowhere.ckpt"])
def test_a_specification_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(WeightsError):
        open_model(text)


def test_words_that_are_no_expressions_are_refused(write) -> None:
    with pytest.raises(ConditionError, match="Black_Hair"):
        load_official(f"official-stargan:{write(generator_tensors(2))},expressions=Black_Hair+Male")


def test_names_of_data_parallel_and_half_precision_are_read(write) -> None:
    tensors = linear_tensors()
    plain = load_official(f"official-ganmut:{write(tensors)}")
    wrapped = write({f"module.{name}": tensor for name, tensor in tensors.items()}, "w-G.ckpt")
    halved = write({n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}, "h-G.ckpt")
    code = np.array([[0.5, 0.5]], np.float32)
    wanted = shown(plain, images(1), code)
    assert np.array_equal(shown(load_official(f"official-ganmut:{wrapped}"), images(1), code), wanted)
    assert np.abs(shown(load_official(f"official-ganmut:{halved}"), images(1), code) - wanted).max() < 0.05


# --- conversion and use ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tensors", [linear_tensors, gaussian_tensors])
def test_a_converted_checkpoint_is_the_same_model_and_is_checked(write, tmp_path: Path, tensors) -> None:
    path = write(tensors())
    critic = write(critic_tensors(7, places=2) if tensors is linear_tensors else critic_tensors(9), "200000-D.ckpt")
    out = convert(f"official-ganmut:{path}", tmp_path / "out" / "official.safetensors")
    before, after = load_official(f"official-ganmut:{path}"), load_official(f"official-ganmut:{out}")
    codes = np.array([[0.3, 0.1], [0.0, -1.0]], np.float32)
    assert np.array_equal(shown(before, images(), codes), shown(after, images(), codes))
    for one, other in zip(before.read(images()), after.read(images()), strict=True):
        assert np.array_equal(one, other)
    assert (before.name, before.sha256, before.space) == (after.name, after.sha256, after.space)
    written = json.loads(out.with_suffix(".json").read_text())
    assert "commercially" in written["licence"] and written["files"]["critic"]["file"] == Path(critic).name
    with pytest.raises(WeightsError, match="official code") as caught:
        open_model(out)
    assert caught.value.hint == f"say `official-ganmut:{out}`"
    content = bytearray(out.read_bytes())
    content[-1] ^= 1
    out.write_bytes(content)
    with pytest.raises(WeightsError, match="does not match its hash"):
        load_official(f"official-ganmut:{out}")


def test_a_converted_stargan_keeps_its_names_and_size(write, tmp_path: Path) -> None:
    path = write(generator_tensors(3))
    out = convert(f"official-stargan:{path},expressions=sad+happy+neutral,size=64", tmp_path / "s.safetensors")
    model = load_official(f"official-stargan:{out}")
    assert (model.space.expressions, model.image_size) == (("sad", "happy", "neutral"), 64)
    with pytest.raises(WeightsError, match="is of official-stargan"):
        load_official(f"official-ganmut:{out}")


def test_edit_and_export_take_official_checkpoints(write, tmp_path: Path) -> None:
    model = f"official-ganmut:{write(linear_tensors())}"
    out = tmp_path / "edited.png"
    done = CliRunner().invoke(app, ["edit", str(PORTRAIT), "-e", "happy", "-m", model, "-o", str(out)])
    assert done.exit_code == 0 and out.is_file(), done.output
    assert "has no critic to read faces with" in done.stderr
    exported = tmp_path / "g.safetensors"
    done = CliRunner().invoke(app, ["export", model, "-o", str(exported)])
    assert done.exit_code == 0 and load_official(f"official-ganmut:{exported}").sha256 == load_official(model).sha256

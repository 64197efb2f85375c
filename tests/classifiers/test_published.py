"""torchvision's weights, made up here, do in our networks what they do in theirs; bad files are refused and not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mien.classifiers.networks import ExpressionNetwork, resnet18, vgg16_bn
from mien.classifiers.published import from_published, load_body, start_from, to_published
from mien.errors import MienError, RunError, WeightsError
from mien.files import file_sha256
from mien.runs import write_tensors

BUILDERS = {"resnet18": resnet18, "vgg16_bn": vgg16_bn}
#: As torchvision's documentation gives them.
MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def build(name: str, channels: int, seed: int = 0, **options: object) -> ExpressionNetwork:
    """Build a small network in evaluation mode, with statistics as if it had learned."""
    torch.manual_seed(seed)
    network = BUILDERS[name](image_channels=channels, **{"num_classes": 7, "width": 4, "hidden": (), **options}).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network


def first_maps(network: ExpressionNetwork, images: Tensor) -> Tensor:
    """Return what the first norm gives, without the border."""
    first = network.body[:2] if hasattr(network, "body") else nn.Sequential(network.conv1, network.bn1)  # type: ignore
    with torch.no_grad():
        return first(images)[..., 2:-2, 2:-2]


@pytest.mark.parametrize("name", BUILDERS)
def test_grey_images_get_the_answer_that_they_get_given_three_times(name: str) -> None:
    colour, grey = build(name, 3), build(name, 1, seed=1)
    assert load_body(grey, to_published(colour), imagenet=False) == []
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = colour.features(images.expand(-1, 3, -1, -1))
        assert torch.allclose(grey.features(images), expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BUILDERS)
def test_the_first_layer_takes_over_imagenets_normalisation(name: str, channels: int) -> None:
    theirs, ours = build(name, 3), build(name, channels, seed=1)
    assert load_body(ours, to_published(theirs)) == []
    images = torch.rand(2, channels, 64, 64) * 2 - 1
    as_theirs = ((images.expand(-1, 3, -1, -1) + 1) / 2 - MEAN) / DEVIATION
    assert torch.allclose(first_maps(ours, images), first_maps(theirs, as_theirs), atol=1e-4)
    assert not torch.allclose(first_maps(ours, images), first_maps(theirs, images.expand(-1, 3, -1, -1)), atol=0.1)


def test_the_head_stays_as_it_was() -> None:
    network = build("vgg16_bn", 3)
    before = {name: tensor.clone() for name, tensor in network.classifier.state_dict().items()}  # type: ignore[union-attr]
    assert load_body(network, to_published(build("vgg16_bn", 3, seed=1, num_classes=1000))) == []
    after = network.classifier.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_names_go_there_and_back() -> None:
    network = build("vgg16_bn", 3)
    assert {name.split(".")[0] for name in to_published(network)} == {"features", "classifier"}
    assert from_published(to_published(network), network).keys() == network.state_dict().keys()
    assert to_published(build("resnet18", 3)).keys() == build("resnet18", 3).state_dict().keys()


def test_another_width_and_another_stem_are_named_and_change_nothing() -> None:
    network = build("resnet18", 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert "layer4.1.conv2.weight" in load_body(network, build("resnet18", 3, width=8).state_dict())
    assert load_body(network, build("resnet18", 3, stem_stride=1).state_dict()) == ["conv1.weight"]
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_is_a_start(tmp_path: Path, suffix: str) -> None:
    theirs, path = build("resnet18", 3), tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(theirs.state_dict(), path)
    else:
        write_tensors(path, theirs.state_dict())
    ours = build("resnet18", 3, seed=1)
    assert start_from(ours, path) == file_sha256(path)
    assert torch.equal(ours.layer3[1].conv2.weight, theirs.layer3[1].conv2.weight)  # type: ignore[index, union-attr]
    assert torch.allclose(ours.conv1.weight, theirs.conv1.weight / (2 * DEVIATION))  # type: ignore[operator, arg-type]


def test_a_judges_own_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    first, path = build("vgg16_bn", 1), tmp_path / "judge.safetensors"
    write_tensors(path, to_published(first))
    path.with_suffix(".json").write_text(json.dumps({"classifier": {}}))
    second = build("vgg16_bn", 1, seed=1)
    start_from(second, path)
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(first.features(images), second.features(images))


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    with pytest.raises(WeightsError, match="wants code to be run"):
        start_from(build("resnet18", 3), tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "bomb.pth", weights_only=False)  # the bomb is a real one
    assert (tmp_path / "ran").exists()


def test_broken_files_get_one_clear_error_each(tmp_path: Path) -> None:
    network = build("resnet18", 3)

    def error(name: str) -> MienError:
        with pytest.raises((WeightsError, RunError)) as refused:
            start_from(network, tmp_path / name)
        assert refused.value.hint and "\n" not in str(refused.value)
        return refused.value

    assert "no file" in str(error("none.pth"))
    for name in ("half.pth", "half.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 no")
    assert "no plain state dict" in str(error("half.pth"))
    assert "no readable safetensors file" in str(error("half.safetensors"))
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds no state dict" in str(error("list.pth"))
    torch.save(build("resnet18", 3, width=8).state_dict(), tmp_path / "wide.pth")
    assert "`conv1.weight` is missing or of another shape" in str(error("wide.pth"))
    torch.save(build("vgg16_bn", 3).state_dict(), tmp_path / "vgg.pth")
    assert "does not fit" in str(error("vgg.pth"))
    tensors = build("resnet18", 3).state_dict()
    tensors["layer2.0.conv1.weight"][0, 0] = torch.nan
    torch.save(tensors, tmp_path / "nan.pth")
    assert "not numbers (in layer2.0.conv1.weight)" in str(error("nan.pth"))

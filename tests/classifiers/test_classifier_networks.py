"""The networks are the published ones: torchvision's names, shapes and parameter counts, and what each part computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mien.classifiers.networks import ExpressionNetwork, resnet18, resnet50, vgg16_bn
from mien.classifiers.published import to_published
from mien.networks import count_parameters

#: Written by hand from the layout that torchvision publishes: number of entries, then some of them with their shapes.
PUBLISHED = {
    "resnet18": (122, 11_689_512, {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.conv1.weight": (64, 64, 3, 3),
        "layer1.1.bn2.num_batches_tracked": (),
        "layer2.0.conv1.weight": (128, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_mean": (128,),
        "layer4.1.bn2.bias": (512,),
        "fc.weight": (1000, 512),
    }),
    "resnet50": (320, 25_557_032, {
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.2.conv1.weight": (64, 256, 1, 1),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer2.0.downsample.1.running_mean": (512,),
        "layer3.5.bn3.weight": (1024,),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "fc.bias": (1000,),
    }),
    "vgg16_bn": (97, 138_365_992, {
        "features.0.weight": (64, 3, 3, 3),
        "features.1.running_mean": (64,),
        "features.7.weight": (128, 64, 3, 3),
        "features.14.bias": (256,),
        "features.24.weight": (512, 256, 3, 3),
        "features.40.weight": (512, 512, 3, 3),
        "features.41.num_batches_tracked": (),
        "classifier.0.weight": (4096, 25088),
        "classifier.3.weight": (4096, 4096),
        "classifier.6.bias": (1000,),
    }),
}  # fmt: skip
BUILDERS = {"resnet18": resnet18, "resnet50": resnet50, "vgg16_bn": vgg16_bn}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_shapes_and_counts_are_torchvisions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.classifiers.networks._initialise", lambda network: None)  # slow on the meta device
    with torch.device("meta"):
        network = BUILDERS[name](image_channels=3, num_classes=1000)
    entries, parameters, some = PUBLISHED[name]
    shapes = {key: tuple(tensor.shape) for key, tensor in to_published(network).items()}
    assert len(shapes) == entries
    assert {key: shapes.get(key) for key in some} == some
    assert count_parameters(network) == parameters


def small(name: str, **options: object) -> ExpressionNetwork:
    torch.manual_seed(1)
    return BUILDERS[name](**{"image_channels": 1, "num_classes": 7, "width": 4, "hidden": (), **options}).eval()


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("resnet18", {}, 2),
        ("resnet18", {"stem_stride": 2}, 4),
        ("resnet18", {"stem_stride": 1}, 8),
        ("resnet50", {}, 2),
    ],
)
def test_the_last_maps_are_as_small_as_the_papers_say(name: str, options: dict[str, int], side: int) -> None:
    # 224 pixels become 7 in the papers: a 32nd. Of 64 pixels that is 2, and as much more as the stem shrinks less.
    network, seen = small(name, **options), []
    network.last_block().register_forward_hook(lambda module, given, maps: seen.append(maps.shape[-1]))
    with torch.no_grad():
        network(torch.zeros(1, 1, 64, 64))
    assert seen == [side]


def test_a_residual_block_adds_its_input() -> None:
    network = small("resnet18")
    block = network.layer1[0]  # type: ignore[index]
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x.relu())


def test_vgg_averages_its_last_maps() -> None:
    network, x = small("vgg16_bn", pooled=1), torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        maps = network.body(x)  # type: ignore[operator]
        assert maps.shape == (2, 32, 2, 2)
        assert torch.allclose(network.features(x), maps.mean((2, 3)))
        assert torch.equal(network.features(x), small("vgg16_bn", pooled=1).features(x))


@pytest.mark.parametrize("name", ["resnet18", "vgg16_bn"])
def test_dropout_leaves_out_while_learning_and_only_then(name: str) -> None:
    network = small(name, hidden=(6, 5), dropout=0.5)
    features = torch.randn(8, network.features(torch.zeros(1, 1, 32, 32)).shape[1])

    def logits() -> Tensor:
        return network.head(features)

    assert torch.equal(logits(), logits())
    network.train()
    assert not torch.equal(logits(), logits())


def test_the_head_of_a_resnet_is_its_dense_layers_by_hand() -> None:
    network = small("resnet18", hidden=(3,))
    v = torch.randn(2, 32)
    first, last = network.dense[0], network.fc  # type: ignore[index]
    by_hand = (v @ first.weight.T + first.bias).clamp_min(0) @ last.weight.T + last.bias  # type: ignore[union-attr]
    assert torch.allclose(network.head(v), by_hand, atol=1e-6)


@pytest.mark.parametrize("name", BUILDERS)
def test_last_block_and_head_are_parts_of_the_network(name: str) -> None:
    network = small(name, hidden=(6,))
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    block = {names[id(p)] for p in network.last_block().parameters()}
    head = {names[id(p)] for module in network.head_modules() for p in module.parameters()}
    if name == "vgg16_bn":  # the fifth group of convolutions: 34, 37 and 40, each with its norm
        assert {key.split(".")[1] for key in block} == {"34", "35", "37", "38", "40", "41"}
        assert {key.split(".")[0] for key in head} == {"classifier"}
    else:
        assert {key.split(".")[0] for key in block} == {"layer4"}
        assert head == {"dense.0.weight", "dense.0.bias", "fc.weight", "fc.bias"}

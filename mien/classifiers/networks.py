"""The architectures of expression classifiers: VGG16 with batch norm, ResNet18 and ResNet50.

Simonyan & Zisserman 2015 and He et al. 2016, layer for layer as torchvision builds them, so that its weights can be the
start (`mien.classifiers.published`). Three things can differ from there, for faces of 48 pixels and processors without a
GPU: the width of all layers, how much a ResNet's first layers shrink the image, and the dense layers before the last one.

Images are float NCHW in [-1, 1]. `features` gives the vector that the head reads: the layer `pool` of the metrics.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

#: What the widths of both papers are multiples of.
STANDARD_WIDTH = 64


class ExpressionNetwork(nn.Module, abc.ABC):
    """A network with a body, whose `features` are pooled, and a head of dense layers."""

    @abc.abstractmethod
    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the pooled activations of the last convolution, before any dense layer."""

    @abc.abstractmethod
    def head(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the logits of features."""

    @abc.abstractmethod
    def last_block(self) -> nn.Module:
        """Return the last block of convolutions: what is fine-tuned after the head."""

    @abc.abstractmethod
    def head_modules(self) -> Sequence[nn.Module]:
        """Return the modules that the head consists of."""

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of images."""
        return self.head(self.features(images))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., figure 5 left)."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of shortcut and convolutions, rectified."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (figure 5 right); the stride is the 3x3's, as in torchvision."""

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        after = channels * self.expansion
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = _shortcut(channels_in, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of shortcut and convolutions, rectified."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(channels_in: int, channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


class ResNet(ExpressionNetwork):
    """A residual network of four stages; `stem_stride` 4 is the papers' stem, 2 and 1 are for small images."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        *,
        image_channels: int,
        num_classes: int,
        width: int = STANDARD_WIDTH,
        stem_stride: int = 4,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if stem_stride == 4:
            self.conv1 = nn.Conv2d(image_channels, width, 7, 2, 3, bias=False)
        else:
            self.conv1 = nn.Conv2d(image_channels, width, 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self._pools = stem_stride == 4
        before = width
        stages: list[nn.Sequential] = []
        for stage, depth in enumerate(depths):
            channels = width * 2**stage
            blocks: list[nn.Module] = []
            for index in range(depth):
                blocks.append(block(before, channels, 2 if stage and index == 0 else 1))
                before = channels * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = dropout
        self.dense = nn.ModuleList()
        for size in hidden:
            self.dense.append(nn.Linear(before, size))
            before = size
        self.fc = nn.Linear(before, num_classes)
        _initialise(self)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the mean of the last stage over the image."""
        x = F.relu(self.bn1(self.conv1(images)))
        if self._pools:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean((2, 3))

    def head(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the logits of features."""
        for dense in self.dense:
            features = F.relu(dense(F.dropout(features, self.dropout, self.training)))
        return self.fc(F.dropout(features, self.dropout, self.training))

    def last_block(self) -> nn.Module:
        """Return the fourth stage."""
        return self.layer4

    def head_modules(self) -> Sequence[nn.Module]:
        """Return the dense layers."""
        return (self.dense, self.fc)


#: Configuration D of VGG: 16 layers with weights; widths in units of the first, `M` halves the image.
_VGG16 = (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M")


class VGG(ExpressionNetwork):
    """VGG16 with batch norm; `pooled` is the side to which the last maps are averaged, 7 in the paper."""

    def __init__(
        self,
        *,
        image_channels: int,
        num_classes: int,
        width: int = STANDARD_WIDTH,
        pooled: int = 7,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = image_channels
        for step in _VGG16:
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(before, step * width, 3, 1, 1), nn.BatchNorm2d(step * width), nn.ReLU(inplace=True)]
            before = step * width
        # torchvision calls these `features`, which here is the name of what they give; files have torchvision's names.
        self.body = nn.Sequential(*layers)
        self.pooled = pooled
        size = before * pooled**2
        dense: list[nn.Module] = []
        for units in hidden:
            dense += [nn.Linear(size, units), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            size = units
        if not hidden and dropout:
            dense.append(nn.Dropout(dropout))
        self.classifier = nn.Sequential(*dense, nn.Linear(size, num_classes))
        _initialise(self)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the last maps, averaged to `pooled` x `pooled` and flattened."""
        return F.adaptive_avg_pool2d(self.body(images), self.pooled).flatten(1)

    def head(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the logits of features."""
        return self.classifier(features)

    def last_block(self) -> nn.Module:
        """Return the layers between the last two poolings."""
        pools = [index for index, layer in enumerate(self.body) if isinstance(layer, nn.MaxPool2d)]
        return nn.Sequential(*list(self.body)[pools[-2] + 1 : pools[-1]])

    def head_modules(self) -> Sequence[nn.Module]:
        """Return the dense layers."""
        return (self.classifier,)


def _initialise(network: nn.Module) -> None:
    """Draw the weights as both papers' later practice does: He et al. 2015 for convolutions, small for dense layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def resnet18(**options: object) -> ResNet:
    """Build ResNet18."""
    return ResNet(BasicBlock, (2, 2, 2, 2), **options)  # type: ignore[arg-type]


def resnet50(**options: object) -> ResNet:
    """Build ResNet50."""
    return ResNet(Bottleneck, (3, 4, 6, 3), **options)  # type: ignore[arg-type]


def vgg16_bn(**options: object) -> VGG:
    """Build VGG16 with batch norm."""
    return VGG(**options)  # type: ignore[arg-type]

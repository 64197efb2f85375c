"""The settings of a classifier and of its training, each checked when it is made."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mien.classifiers.networks import ExpressionNetwork, resnet18, resnet50, vgg16_bn
from mien.errors import ConfigError
from mien.expressions import BASIC, parse_expression
from mien.settings import check_choices, config_from_mapping, require

#: The architectures by name.
NETWORKS = {"resnet18": resnet18, "resnet50": resnet50, "vgg16_bn": vgg16_bn}


@dataclass(frozen=True)
class ClassifierConfig:
    """What a classifier is made of; the defaults are the papers' networks."""

    architecture: Literal["resnet18", "resnet50", "vgg16_bn"] = "resnet18"
    """Which network."""
    expressions: tuple[str, ...] = BASIC
    """Names of the classes, in their order."""
    image_size: int = 224
    """Side of the square images in pixels."""
    image_channels: int = 3
    """1 for grey, 3 for RGB."""
    width: int = 64
    """Channels of the first layer; all others are multiples of it."""
    stem_stride: int = 4
    """How much a ResNet's first layers shrink the image: 4 as published, 2 or 1 for small faces; VGG has no such."""
    pooled: int = 1
    """Side to which VGG's last maps are averaged; 7 as published."""
    hidden: tuple[int, ...] = ()
    """Units of dense layers before the last one (seed 1 added one; VGG as published has 4096,4096)."""
    dropout: float = 0.0
    """Share of activations that are left out before a dense layer; in VGG not before the first of several."""

    def __post_init__(self) -> None:
        check_choices(self)
        names = tuple(parse_expression(name) for name in self.expressions)
        require(len(set(names)) == len(names) >= 2, "expressions", self.expressions, "two or more different names")
        object.__setattr__(self, "expressions", names)
        require(self.image_channels in (1, 3), "image_channels", self.image_channels, "1 (grey) or 3 (RGB)")
        require(self.stem_stride in (1, 2, 4), "stem_stride", self.stem_stride, "1, 2 or 4")
        require(self.width >= 1, "width", self.width, "1 or more")
        require(1 <= self.pooled <= 7, "pooled", self.pooled, "from 1 to 7")
        require(all(units >= 1 for units in self.hidden), "hidden", self.hidden, "1 or more each")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "at least 0 and below 1")
        require(self.image_size >= 32, "image_size", self.image_size, "32 or more: the networks halve it five times")

    def build(self) -> ExpressionNetwork:
        """Build the network with random weights."""
        own: dict[str, Any] = (
            {"pooled": self.pooled} if self.architecture == "vgg16_bn" else {"stem_stride": self.stem_stride}
        )
        return NETWORKS[self.architecture](
            image_channels=self.image_channels,
            num_classes=len(self.expressions),
            width=self.width,
            hidden=self.hidden,
            dropout=self.dropout,
            **own,
        )


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained; seed 1's choices are options."""

    epochs: int = 20
    """Passes over the training split."""
    batch_size: int = 64
    """Images in a batch."""
    learning_rate: float = 2e-3
    """Largest learning rate of AdamW."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    """`cosine` falls to zero over all epochs, `steps` by ten after half and three quarters of them."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero."""
    weight_decay: float = 0.02
    """AdamW's."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes."""
    soft_labels: bool = True
    """Learn annotators' votes where the data has them (FER+) and they do not contradict the label; else the label."""
    balance: float = 0.5
    """Images are drawn with weight count^-balance of their class: 0 as they come, 1 every class alike (seed 1)."""
    augmentation: Literal["none", "light", "strong"] = "strong"
    """Random rotation, shift, zoom, mirroring; `strong` also changes the light and covers a part of the face."""
    unfreeze_after: tuple[int, ...] = ()
    """Epochs after which the last block, then the whole body, begin to learn; until then they are frozen. Empty: all
    learns from the start. Seed 1 trained the head on an ImageNet body first, then the last block too: `5`."""
    seed: int = 0
    """From this and the step number follows everything random."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """`bf16-mixed` runs convolutions in bfloat16."""
    log_every: int = 50
    """Steps between lines of stats.jsonl."""
    checkpoint_every: int = 400
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("epochs", "log_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "2 or more: batch norm compares images")
        require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more")
        require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0, and finite")
        require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "0 or more, and finite")
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "at least 0 and below 1")
        require(0 <= self.balance <= 10, "balance", self.balance, "from 0 to 10")
        rising = list(self.unfreeze_after) == sorted(self.unfreeze_after) and min(self.unfreeze_after, default=1) >= 1
        require(
            rising and len(self.unfreeze_after) <= 2, "unfreeze_after", self.unfreeze_after, "one or two rising epochs"
        )
        require(abs(self.seed) < 2**63, "seed", self.seed, "a whole number of 63 bits")


@dataclass(frozen=True)
class JudgePreset:
    """A row of the table of what `mien train-judge` can train."""

    summary: str
    """What it is, in a line."""
    promise: str
    """What was measured with it, or that nothing was yet."""
    network: ClassifierConfig
    """What it is made of."""
    recipe: Recipe = field(default_factory=Recipe)
    """How it is trained."""


_NOT_YET = "not measured yet"

#: What `mien train-judge` starts from: the architectures as published, and sizes for small grey faces and few cores.
PRESETS: dict[str, JudgePreset] = {
    "resnet18": JudgePreset("ResNet18 as published, RGB, 224 px", _NOT_YET, ClassifierConfig("resnet18")),
    "resnet50": JudgePreset(
        "ResNet50 after Surani 2024, dense layer of 512 and dropout, RGB, 224 px",
        _NOT_YET,
        ClassifierConfig("resnet50", hidden=(512,), dropout=0.3),
    ),
    "vgg16_bn": JudgePreset(
        "VGG16 with batch norm as published, RGB, 224 px",
        _NOT_YET,
        ClassifierConfig("vgg16_bn", pooled=7, hidden=(4096, 4096), dropout=0.5),
    ),
    "resnet18-small": JudgePreset(
        "ResNet18 of half the width for grey faces of 48 px",
        "85 % of FER+'s majority labels on FER2013's validation faces, macro-F1 0.67 (24 epochs, 53 minutes of one core)",
        ClassifierConfig("resnet18", image_size=48, image_channels=1, width=32, stem_stride=2, dropout=0.3),
    ),
    "vgg16_bn-small": JudgePreset(
        "VGG16 with batch norm, three eighths of the width, for grey faces of 48 px",
        "85 % of the same, macro-F1 0.71 (18 epochs, balance=0.75, 51 minutes of one core)",
        ClassifierConfig("vgg16_bn", image_size=48, image_channels=1, width=24, dropout=0.3),
    ),
    "resnet18-guide": JudgePreset(
        "`resnet18-small` for faces of 64 px, to guide a generator (`mien train --guide`)",
        "80 % of the labels of 3316 validation faces of two data sets, macro-F1 0.62 (bfloat16, 14 minutes of 2 cores)",
        ClassifierConfig("resnet18", image_size=64, image_channels=1, width=32, stem_stride=2, dropout=0.3),
        Recipe(epochs=14, balance=0.75, seed=7),
    ),
}


def find_preset(name: str) -> JudgePreset:
    """Return a preset by name; an unknown one is a `ConfigError` that names the nearest."""
    if name not in PRESETS:
        raise ConfigError(f"unknown judge `{name}`", hint=f"{_guess(name, PRESETS)}known: {', '.join(PRESETS)}")
    return PRESETS[name]


def configure(name: str, overrides: Mapping[str, Any]) -> tuple[ClassifierConfig, Recipe]:
    """Return a preset's network and recipe, with single settings changed by name; the two have no name in common."""
    preset = find_preset(name)
    network, recipe = dataclasses.asdict(preset.network), dataclasses.asdict(preset.recipe)
    for setting in overrides:
        if setting not in network | recipe:
            raise ConfigError(
                f"unknown setting `{setting}`",
                hint=f"{_guess(setting, network | recipe)}of the network: {', '.join(network)}; "
                f"of the recipe: {', '.join(recipe)}",
            )
    network |= {setting: value for setting, value in overrides.items() if setting in network}
    recipe |= {setting: value for setting, value in overrides.items() if setting in recipe}
    return config_from_mapping(ClassifierConfig, network), config_from_mapping(Recipe, recipe)


def _guess(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`? " if near else ""

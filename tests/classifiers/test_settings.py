"""Settings are checked when they are made, presets build what they say, and unknown names are answered with the nearest."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from mien.classifiers.settings import PRESETS, ClassifierConfig, Recipe, configure, find_preset
from mien.errors import ConditionError, ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_a_network_that_answers(name: str) -> None:
    config, _ = configure(name, {"width": 4, "hidden": "8" if PRESETS[name].network.hidden else "", "image_size": 32})
    network = config.build().eval()
    with torch.no_grad():
        assert network(torch.zeros(2, config.image_channels, 32, 32)).shape == (2, 7)
    assert PRESETS[name].promise and PRESETS[name].summary


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"architecture": "resnet34"}, "architecture is 'resnet34'"),
        ({"expressions": ("happy",)}, "expressions"),
        ({"expressions": ("happy", "smile")}, "expressions"),  # the second is another word for the first
        ({"image_size": 31}, "image_size is 31"),
        ({"image_channels": 2}, "image_channels is 2"),
        ({"stem_stride": 3}, "stem_stride is 3"),
        ({"width": 0}, "width is 0"),
        ({"pooled": 8}, "pooled is 8"),
        ({"hidden": (0,)}, "hidden"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as refused:
        ClassifierConfig(**changes)
    assert "must be" in refused.value.hint


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"label_smoothing": 1}, "label_smoothing is 1"),
        ({"balance": -0.5}, "balance is -0.5"),
        ({"unfreeze_after": (5, 3)}, "unfreeze_after"),
        ({"unfreeze_after": (0,)}, "unfreeze_after"),
        ({"unfreeze_after": (1, 2, 3)}, "unfreeze_after"),
        ({"augmentation": "heavy"}, "augmentation is 'heavy'"),
        ({"seed": 2**63}, "seed"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as refused:
        Recipe(**changes)
    assert "must be" in refused.value.hint


def test_settings_of_both_kinds_are_changed_by_name() -> None:
    network, recipe = configure(
        "resnet50",
        {"epochs": "2", "hidden": "64,32", "unfreeze_after": "5", "soft_labels": "no", "expressions": "smile,sad"},
    )
    assert dataclasses.asdict(network) == dataclasses.asdict(PRESETS["resnet50"].network) | {
        "hidden": (64, 32), "expressions": ("happy", "sad"),
    }  # fmt: skip
    assert recipe == dataclasses.replace(PRESETS["resnet50"].recipe, epochs=2, unfreeze_after=(5,), soft_labels=False)


def test_network_and_recipe_have_no_name_in_common() -> None:
    names = [{field.name for field in dataclasses.fields(kind)} for kind in (ClassifierConfig, Recipe)]
    assert not names[0] & names[1]


def test_unknown_names_are_answered_with_the_nearest_of_both_kinds() -> None:
    for typed, meant in (("epoch", "epochs"), ("drop", "dropout"), ("stemstride", "stem_stride")):
        with pytest.raises(ConfigError, match=f"unknown setting `{typed}`") as refused:
            configure("resnet18", {typed: "1"})
        hint = refused.value.hint
        assert hint.startswith(f"did you mean `{meant}`? of the network: architecture, ")
        assert "; of the recipe: epochs, batch_size, " in hint
    with pytest.raises(ConfigError, match="unknown judge `resnet55`") as refused:
        find_preset("resnet55")
    assert refused.value.hint.startswith("did you mean `resnet50`? known: resnet18, ")
    with pytest.raises(ConfigError, match="epochs='many' is not a whole number"):
        configure("resnet18", {"epochs": "many"})
    with pytest.raises(ConditionError, match="unknown expression `bored`"):
        configure("resnet18", {"expressions": "happy,bored"})

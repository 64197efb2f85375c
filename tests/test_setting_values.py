"""Settings are checked by name, and are what was typed or read from JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest

from mien.errors import ConfigError, MienError
from mien.expressions import BASIC
from mien.methods import METHODS
from mien.methods.ganmut import GANmutConfig
from mien.settings import config_from_mapping
from mien.stepping import TrainConfig


@pytest.mark.parametrize(
    ("text", "value"),
    [("False", False), (" false ", False), ("0", False), ("no", False), ("True", True), ("yes", True)],
)
def test_official_bug_7_false_on_the_command_line_is_false(text: str, value: bool) -> None:
    """The official options are of `type=bool`, for which every text but the empty one is true."""
    assert config_from_mapping(GANmutConfig, {"soft_labels": text}).soft_labels is value
    assert config_from_mapping(TrainConfig, {"augmentation": text}).augmentation is value


def test_texts_become_what_their_fields_are() -> None:
    config = config_from_mapping(
        GANmutConfig,
        {"expressions": "Neutral, joy,angry", "betas": "0, 0.99", "image_size": "64", "learning_rate": "2e-4",
         "penalty": " r1 ", "critic_layers": 5.0, "noise": 0},
    )  # fmt: skip
    assert config.expressions == ("neutral", "happy", "anger")
    assert config.betas == (0.0, 0.99)
    assert (config.image_size, config.learning_rate, config.penalty, config.critic_layers) == (64, 2e-4, "r1", 5)
    assert isinstance(config.critic_layers, int)
    assert isinstance(config.noise, float)
    assert config_from_mapping(TrainConfig, {"steps": "2e6"}).steps == 2_000_000


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("soft_labels", "maybe", "yes or no"),
        ("critic_layers", "2.5", "whole number"),
        ("critic_layers", "many", "whole number"),
        ("critic_layers", "inf", "whole number"),
        ("critic_layers", math.nan, "whole number"),
        ("noise", "wide", "number"),
        ("noise", None, "number"),
        ("betas", "0.5,x", "number"),
    ],
)
def test_a_text_that_is_not_what_its_field_is_is_refused(name: str, value: Any, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=.* is not a") as error:
        config_from_mapping(GANmutConfig, {name: value})
    assert error.value.hint == f"give {name} as a {kind}"


def test_what_is_no_table_of_settings_is_refused() -> None:
    for value in ("no", 3, None, ["image_size"]):
        with pytest.raises(ConfigError, match="is no table of settings"):
            config_from_mapping(GANmutConfig, value)


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown setting `lamda_rec`") as error:
        config_from_mapping(GANmutConfig, {"lamda_rec": 1})
    assert error.value.hint.startswith("did you mean `lambda_rec`? known: adversarial, axes, ")


@pytest.mark.parametrize("method", METHODS)
def test_configurations_survive_their_own_json(method: str) -> None:
    config = METHODS[method].Config()
    assert config_from_mapping(type(config), asdict(config)) == config
    as_json = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    assert config_from_mapping(type(config), as_json) == config


def test_unknown_expressions_in_a_configuration_are_an_error_for_people() -> None:
    for value in ("", "neutral,happy,hungry"):
        with pytest.raises(MienError) as error:
            config_from_mapping(GANmutConfig, {"expressions": value})
        assert error.value.hint
    assert GANmutConfig().expressions == BASIC

"""Presets: every row is a configuration that can be trained, and a wrong name is answered with the nearest."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
import torch

from mien.errors import ConfigError
from mien.methods import METHODS
from mien.methods.base import Batch
from mien.methods.ganmut import GANmutConfig
from mien.methods.stargan import StarGANConfig
from mien.prepared import PreparedSet
from mien.presets import PRESETS, configure, find_preset, settings_beside
from mien.settings import config_from_mapping
from mien.training import TrainConfig, train


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_configures_a_method_that_can_be_built(name: str) -> None:
    preset = find_preset(name)
    method_config, train_config = configure(preset, {})
    with torch.device("meta"):
        method = METHODS[preset.method](method_config)
    assert isinstance(train_config, TrainConfig)
    assert preset.summary
    assert preset.promise
    assert train_config.batch_size > getattr(method_config, "num_free_codes", 0)
    side = method_config.image_size
    images = torch.zeros(2, method_config.image_channels, side, side, device="meta")
    assert len(method.get_submodule("critic")(images).heads[0]) == 2


@pytest.mark.parametrize("name", PRESETS)
def test_no_step_reads_a_value_of_its_device_or_mixes_it_with_the_processor(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's device without values: reading one raises there, and so do sums of a tensor there and one here.

    It does not notice what is copied there in a step, which a GPU may wait for, too.
    """
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # unknown to that device
    small = {"generator_channels": 8, "critic_channels": 8, "generator_blocks": 1, "batch_size": 24}
    preset = find_preset(name)
    config, loop = configure(preset, small)
    with torch.device("meta"):
        method = METHODS[preset.method](config)
        labels = torch.zeros(loop.batch_size, dtype=torch.long)
        images = torch.zeros(loop.batch_size, config.image_channels, config.image_size, config.image_size)
        inside = torch.zeros_like(images[:, :1], dtype=torch.bool) if config.hide_beyond else None
        batch = Batch(images, labels, torch.zeros(loop.batch_size, len(config.expressions)), inside=inside)
    moved = set()
    for step in (
        0,
        config.critic_steps * config.penalty_interval - 1,
    ):  # with and without a penalty, and the generator's
        for player, terms in method.updates(batch, step):
            total = torch.stack(list(terms.values())).sum()
            assert total.device.type == "meta"
            total.backward()
            moved.add(player)
    assert moved == set(method.players())
    assert all(parameter.grad is not None for parameter in method.generator.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_only_settings_that_exist_and_that_differ_from_the_default(name: str) -> None:
    preset = PRESETS[name]
    method_config, train_config = configure(preset, {})
    for settings, config in ((preset.method_settings, method_config), (preset.train_settings, train_config)):
        for key, value in settings.items():
            assert getattr(config, key) == value


def test_faithful_presets_are_the_papers_settings() -> None:
    assert configure(PRESETS["ganmut-affectnet"], {})[0] == GANmutConfig()
    loop = configure(PRESETS["ganmut-affectnet"], {})[1]
    assert (loop.steps, loop.batch_size, loop.balance, loop.augmentation) == (2_000_000, 16, 0.0, True)
    assert configure(PRESETS["stargan-fer2013"], {})[0] == StarGANConfig()


def test_stargan_trains_400_epochs_of_the_images_that_there_are() -> None:
    """3995 angry faces, not the 3395 that the paper prints: FER2013's training set has 28,709 in all."""
    angry, disgusted, afraid, happy, sad, surprised, neutral = 3995, 436, 4097, 7215, 4830, 3171, 4965
    assert angry + disgusted + afraid + happy + sad + surprised + neutral == 28_709
    loop = configure(PRESETS["stargan-fer2013"], {})[1]
    assert loop.batch_size == 8
    assert loop.steps == 400 * ((angry + happy + sad + surprised) // 8)


def test_settings_are_changed_by_name_wherever_they_belong() -> None:
    method_config, loop = configure(
        PRESETS["smoke"], {"steps": "10", "num_free_codes": "3", "augmentation": "no", "betas": "0,0.9"}
    )
    assert (loop.steps, loop.augmentation, loop.batch_size) == (10, False, 16)
    assert (method_config.num_free_codes, method_config.betas) == (3, (0.0, 0.9))
    assert configure(PRESETS["smoke"], {})[1].steps == 600  # the table is as it was


@pytest.mark.parametrize(("name", "guess"), [("smok", "smoke"), ("ganmut-fer2031", "ganmut-fer2013")])
def test_an_unknown_preset_is_answered_with_the_nearest(name: str, guess: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown preset `{name}`") as error:
        find_preset(name)
    assert error.value.hint.startswith(f"did you mean `{guess}`? known: stargan-fer2013, ")


def test_a_preset_like_no_other_gets_the_list() -> None:
    with pytest.raises(ConfigError) as error:
        find_preset("qqq")
    assert error.value.hint == f"known: {', '.join(PRESETS)}"


@pytest.mark.parametrize(
    ("name", "guess"), [("step", "steps"), ("lamda_rec", "lambda_rec"), ("batchsize", "batch_size")]
)
def test_an_unknown_setting_is_answered_with_the_nearest(name: str, guess: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting `{name}`") as error:
        configure(PRESETS["smoke"], {name: 1})
    assert error.value.hint.startswith(f"did you mean `{guess}`? known: ")


def test_a_value_out_of_range_is_an_error_for_people() -> None:
    for settings in ({"steps": "0"}, {"penalty": "r3"}, {"noise": "loud"}):
        with pytest.raises(ConfigError) as error:
            configure(PRESETS["smoke"], settings)
        assert error.value.hint


def test_costs_of_a_displacement_are_refused_where_the_generator_has_none_but_old_runs_may_have_them() -> None:
    for name in ("lambda_bend", "lambda_stretch", "lambda_fold", "lambda_conformal", "lambda_eyes", "lambda_nose"):
        with pytest.raises(ConfigError, match=f"{name} is 0.5") as error:
            configure(PRESETS["smoke"], {name: "0.5"})
        assert error.value.hint == f"{name} must be 0, unless the generator is `warp`"
        configure(PRESETS["smoke"], {name: "0.5", "generator": "warp"})
        assert config_from_mapping(GANmutConfig, {"generator": "residual", name: 0.5}).generator == "residual"
    faint = {"generator": "warp", "wipes": "yes", "lambda_streaks": "1", "max_light": "0.2"}
    with pytest.raises(ConfigError) as error:
        configure(PRESETS["smoke"], faint)
    assert error.value.hint == "lambda_streaks must be 0, unless max_light is above 0.2"
    configure(PRESETS["smoke"], {**faint, "max_light": "0.3"})


def test_the_smoke_preset_takes_its_first_steps(prepared: PreparedSet, tmp_path: Path) -> None:
    method_config, loop = configure(PRESETS["smoke"], {"steps": 2, "image_size": 16, "critic_layers": 2})
    run = train("smoke", PRESETS["smoke"].method, method_config, loop, prepared.path, tmp_path / "run")
    assert [line["step"] for line in run.stats()] == [2]
    assert {"critic/penalty", "generator/rec", "generator/info"} <= set(run.stats()[0])


def test_what_a_run_sets_beside_its_preset_makes_it_again_though_it_is_older_than_a_setting() -> None:
    preset = find_preset("ganmut-fer2013-cpu-polish")
    method, loop = configure(preset, {"seed": 7, "lambda_cls": 0.25})
    configuration = {"method_config": dataclasses.asdict(method), "train_config": dataclasses.asdict(loop)}
    assert sorted(settings_beside("ganmut-fer2013-cpu-polish", configuration)) == ["lambda_cls=0.25", "seed=7"]
    del configuration["method_config"]["mouth_light"]  # the run had none, which the preset now has
    assert "mouth_light=0.0" in settings_beside("ganmut-fer2013-cpu-polish", configuration)

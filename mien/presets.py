"""The table of presets: a name, what it trains, and the number that it promises.

`mien train PRESET` takes a row; `--set key=value` changes single settings; `--dry-run` prints the whole configuration.
Faithful rows keep to their paper; the others add what pays (docs/log.md tells what it paid).
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mien.errors import ConfigError
from mien.face_windows import MOUTH_INSIDE
from mien.methods import METHODS
from mien.methods.generator import check_effect
from mien.settings import config_from_mapping, setting_as_text
from mien.stepping import TrainConfig


@dataclass(frozen=True)
class Preset:
    """A configuration with a name."""

    summary: str
    """What it trains, in a line."""
    promise: str
    """The measured number that stands behind it, or that none has been measured yet."""
    method: str
    """Key of `mien.methods.METHODS`."""
    method_settings: Mapping[str, Any]
    """What differs from the method's defaults."""
    train_settings: Mapping[str, Any]
    """What differs from the loop's defaults."""
    guided: bool = False
    """Whether its settings were made for training with a guide (`mien train --guide`)."""


#: What pays, on a GPU as on a CPU: no five critic steps, lazy R1 on the mean patch, targets uniform over expressions,
#: votes as labels, axes that start apart, the warp generator with its regularity.
_OURS_FOR_ALL: Mapping[str, Any] = {
    "generator": "warp",
    "adversarial": "non-saturating",
    "penalty": "r1",
    "penalty_patches": "mean",
    "penalty_interval": 8,
    "lambda_penalty": 1.0,
    "critic_steps": 1,
    "soft_labels": True,
    "lambda_rec": 2.0,
    "rec_share": 0.75,
    "rec_ramp_steps": 1500,
    "lambda_bend": 0.5,
    "lambda_stretch": 0.4,
    "lambda_fold": 10.0,
    "lambda_mask": 2.5,
    "learning_rate": 4e-4,
    "betas": (0.5, 0.99),
}
_OURS: Mapping[str, Any] = {
    **_OURS_FOR_ALL,
    "targets": "uniform",
    "num_free_codes": 8,
    "free_radius": "uniform",
    "axes": "spread",
    "cycle": "coordinates",
}
#: The same for the Gaussian model: centres and widths that tell expressions apart from the first step on, more codes on
#: the centres, and places that the generator, too, has to make readable.
_OURS_GAUSSIAN: Mapping[str, Any] = {
    **_OURS_FOR_ALL,
    "codes_per_expression": 2,
    "centres": "spread",
    "initial_width": 0.1,
    "lambda_prediction": 0.5,
    "lambda_info_generator": 1.0,
}

#: A second part that starts from the first (`--init RUN`) and is meant to mend blotches, as such costs did in the weights
#: trained on a CPU: added light must be soft and on both sides, and costs more; the learning rate falls to zero.
_FINISH: Mapping[str, Any] = {
    "lambda_cls": 0.3,
    "lambda_rho": 0.6,
    "lambda_mask": 5.0,
    "lambda_edges": 7.0,
    "lambda_lopsided": 16.0,
    "mouth_light": 0.8,
    "lambda_bend": 1.5,
    "lambda_stretch": 1.2,
    "lambda_penalty": 0.5,
    "rec_ramp_steps": 0,
    "learning_rate": 2e-4,
}
#: The same with a class loss that asks for a share of the expression that grows with the radius, for an intensity that
#: rises evenly; it says itself what L_rho is for. Both sides of a face are edited alike, eyes keep their shape; a weaker
#: penalty lets the critic see spots that do not belong on a face, and cutout keeps it from asking for an expression in one
#: place, which bears a heavier class loss.
_EVEN: Mapping[str, Any] = {
    **_FINISH,
    "graded": 0.8,
    "lambda_cls": 0.75,
    "lambda_rho": 0.0,
    "lambda_mask": 7.5,
    "lambda_edges": 12.0,
    "lambda_lopsided": 0.0,
    "mouth_light": 0.6,
    "lambda_conformal": 8.0,
    "lambda_penalty": 0.05,
    "cutout": 0.4,
    "both_sides": True,
}
#: At twice the side, from networks of half of it (`--init`): what hides in few pixels is painted sharply then, so that
#: light and its edges cost more; the critic learns three times as fast, and does not see the streaks beyond the picture.
#: Bending is measured in pixels: four times as much of it costs what it did.
_TWICE: Mapping[str, Any] = {
    **_EVEN,
    "enhancers": 1,
    "graded": 1.0,
    "lambda_cls": 1.2,
    "lambda_bend": 6.0,
    "lambda_mask": 9.0,
    "lambda_edges": 36.0,
    "mouth_light": 0.45,
    "lambda_penalty": 0.1,
    "critic_rate": 3.0,
    "hide_beyond": True,
}
#: At 128 px: away from the mouth light is only shaded, since critics ask for spots that pass for wrinkles. Movement has to
#: do what spots did, and is kept smoother for that (by more bending too, of which each method has its own). At the mouth
#: detail can be wiped away, light costs what it does elsewhere, and a second critic looks at nothing else.
_AT_128: Mapping[str, Any] = {
    "image_size": 128,
    "lambda_stretch": 2.0,
    "lambda_mask": 6.0,
    "lambda_edges": 60.0,
    "lambda_spots": 160.0,
    "mouth_light": 0.0,
    "soft_light": 0.07,
    "wipes": True,
    "lambda_mouth": 2.0,
    "lambda_penalty": 0.05,
}
_FINE: Mapping[str, Any] = {**_TWICE, **_AT_128, "lambda_cls": 1.7, "lambda_bend": 16.0}
#: A guide knows rare expressions better than the critic: the critic's class loss, and what it asks for in small places, can
#: be weak then, and light may cost more where it is strong. What came with the guides' last parts: between the corners of
#: the mouth teeth may become as dark as an open mouth is, and are wiped away there; irises keep their shape.
_WITH_GUIDE: Mapping[str, Any] = {
    "lambda_guide": 1.0,
    "lambda_spots": 240.0,
    "max_light": 2.0,
    "mouth_shade": 0.85,
    "shade_width": 0.08,
    "lambda_streaks": 500.0,
    "lambda_eyes": 60.0,
}
#: GANmut's: smiles do not stay in sadness, shut lips stay shut in anger, noses do not grow in disgust, and fear paints no
#: dark corners of the mouth.
_GUIDED: Mapping[str, Any] = {
    **_FINE, **_WITH_GUIDE, "lambda_cls": 0.5, "lambda_detour": 16.0, "lambda_lips": 48.0, "lambda_nose": 60.0,
    "lambda_strokes": 16000.0,
}  # fmt: skip
_OURS_64: Mapping[str, Any] = {
    **_OURS, "image_size": 64, "image_channels": 1, "generator_channels": 48, "critic_layers": 5, "hide_beyond": True,
}  # fmt: skip
_GPU_LOOP: Mapping[str, Any] = {"batch_size": 64, "precision": "bf16-mixed", "balance": 0.5, "ema_decay": 0.999}

#: Small enough for two CPU cores.
_CPU_SIZES: Mapping[str, Any] = {
    "image_size": 52,
    "image_channels": 1,
    "generator_channels": 32,
    "generator_blocks": 4,
    "critic_channels": 40,
    "critic_layers": 4,
}
_CPU: Mapping[str, Any] = {**_OURS, **_CPU_SIZES, "lambda_cls": 0.75}
#: From the first step on: cutout, and a weaker penalty, bear a class loss that is asked for everywhere in the face.
_CUT_OUT: Mapping[str, Any] = {
    "lambda_cls": 1.5,
    "lambda_edges": 3.0,
    "lambda_conformal": 4.0,
    "lambda_penalty": 0.05,
    "mouth_light": 0.8,
    "cutout": 0.4,
}
#: A second part after that: softer light, both sides alike, eyes keep their shape.
_CUT_OUT_FINISH: Mapping[str, Any] = {
    **_CUT_OUT,
    "lambda_edges": 8.0,
    "lambda_mask": 5.0,
    "lambda_conformal": 8.0,
    "lambda_bend": 1.0,
    "lambda_stretch": 0.8,
    "rec_ramp_steps": 0,
    "both_sides": True,
}
#: Neutral beside the Zagreb students' four: without it a critic takes neutral faces for sad or angry ones, and asks for
#: nothing more.
_STARGAN_CPU: Mapping[str, Any] = {
    **_OURS_FOR_ALL,
    **_CPU_SIZES,
    **_CUT_OUT,
    "expressions": ("neutral", "anger", "happy", "sad", "surprise"),
    "targets": "uniform",
}
_GAUSSIAN_CPU: Mapping[str, Any] = {**_OURS_GAUSSIAN, **_CPU_SIZES, **_CUT_OUT, "hide_beyond": True}
_STARGAN_CPU_FINISH: Mapping[str, Any] = {**_STARGAN_CPU, **_CUT_OUT_FINISH, "learning_rate": 2e-4}
#: At twice the side, as `_TWICE`.
_STARGAN_CPU_TWICE: Mapping[str, Any] = {
    **_STARGAN_CPU_FINISH,
    "image_size": 104,
    "enhancers": 1,
    "lambda_cls": 2.4,
    "lambda_bend": 4.0,
    "lambda_mask": 10.0,
    "lambda_edges": 24.0,
    "mouth_light": 0.6,
    "lambda_penalty": 0.1,
    "critic_rate": 3.0,
    "hide_beyond": True,
}
#: At 128 px, as `_GUIDED`.
_STARGAN_CPU_GUIDED: Mapping[str, Any] = {
    **_STARGAN_CPU_TWICE, **_AT_128, **_WITH_GUIDE, "lambda_cls": 0.7, "lambda_bend": 12.0, "shade_width": MOUTH_INSIDE,
    "lambda_streaks": 2000.0,
}  # fmt: skip
_CPU_LOOP: Mapping[str, Any] = {"batch_size": 32, "balance": 0.75, "ema_decay": 0.998}

#: Nearly as often as the data has them: rare expressions come from FER2013 alone, whose faces are blurred at 128 px, and
#: critics are to see more of the sharp ones.
_AS_THEY_COME: Mapping[str, Any] = {"balance": 0.2}

#: What lets drawn faces be learned in a minute: few pixels and channels, small batches, large steps. The residual
#: generator, for with as many steps two thirds of its edits are recognised, and a third of the warp generator's.
_SMOKE: Mapping[str, Any] = {
    "image_size": 32,
    "image_channels": 1,
    "generator_channels": 16,
    "generator_blocks": 1,
    "critic_channels": 24,
    "critic_layers": 3,
    "learning_rate": 6e-4,
    "betas": (0.5, 0.99),
}
#: In place of the warp generator that the others have, and of its costs.
_PAINTS: Mapping[str, Any] = {
    "generator": "residual",
    "lambda_bend": 0.0,
    "lambda_stretch": 0.0,
    "lambda_fold": 0.0,
    "lambda_mask": 0.0,
}
_SMOKE_LOOP: Mapping[str, Any] = {
    "batch_size": 16,
    "ema_decay": 0.98,
    "log_every": 20,
    "sample_every": 200,
    "checkpoint_every": 200,
}

PRESETS: dict[str, Preset] = {
    "stargan-fer2013": Preset(
        summary="Zagreb's StarGAN: 4 expressions of FER2013, 48 px, 400 epochs, batch 8, logarithmic loss",
        promise="the paper gives pictures and no number; ours is not measured yet",
        method="stargan",
        method_settings={},
        train_settings={"steps": 960_400, "batch_size": 8, "augmentation": False, "checkpoint_every": 2000},
    ),
    "stargan-fer2013-cpu": Preset(
        summary="StarGAN on the same 4 expressions and neutral, 52 px, with what pays, for a CPU",
        promise="macro-F1 0.84 and 0.82 over the four by two judges, 300 edited neutral faces",
        method="stargan",
        method_settings=_STARGAN_CPU,
        train_settings={**_CPU_LOOP, "steps": 3500, "decay_share": 0.5},
    ),
    "stargan-fer2013-cpu-finish": Preset(
        summary="its second part, with --init RUN: softer light, both sides alike, eyes keep their shape",
        promise="macro-F1 0.85 and 0.84 over the four by two judges, 500 edited neutral faces (also chosen by 300)",
        method="stargan",
        method_settings=_STARGAN_CPU_FINISH,
        train_settings={**_CPU_LOOP, "steps": 900, "decay_share": 0.8, "ema_decay": 0.999},
    ),
    "stargan-mixed-cpu": Preset(
        summary="its third part, with --init MODEL, at 104 px, on FER2013 and faces in the wild together",
        promise="macro-F1 0.88 and 0.88 over the four by two judges after a part with lambda_cls=1.5; alone not measured",
        method="stargan",
        method_settings=_STARGAN_CPU_TWICE,
        train_settings={**_CPU_LOOP, "steps": 1400, "decay_share": 0.8, "ema_decay": 0.999},
    ),
    "stargan-mixed-128-cpu-guided": Preset(
        summary="its fourth part, with --init MODEL and --guide, at 128 px, as `ganmut-mixed-128-cpu-guided`",
        promise="macro-F1 0.84 and 0.86 over the four by two judges, as the last of four parts at 128 px",
        method="stargan",
        method_settings=_STARGAN_CPU_GUIDED,
        train_settings={**_CPU_LOOP, **_AS_THEY_COME, "steps": 1000, "decay_share": 0.8, "ema_decay": 0.999},
        guided=True,
    ),
    "ganmut-fer2013": Preset(
        summary="GANmut on FER2013, 7 expressions, 64 px, with what pays; for a GPU",
        promise="not measured yet",
        method="ganmut",
        method_settings=_OURS_64,
        train_settings={**_GPU_LOOP, "steps": 45_000},
    ),
    "ganmut-fer2013-finish": Preset(
        summary="its second part, with --init RUN: soft light, both sides alike, intensity rises evenly",
        promise="not measured yet",
        method="ganmut",
        method_settings={**_OURS_64, **_EVEN},
        train_settings={**_GPU_LOOP, "steps": 10_000, "decay_share": 0.7},
    ),
    "ganmut-mixed-128": Preset(
        summary="the same at 128 px, with --init of such a run and --guide, on two data sets together; for a GPU",
        promise="not measured yet",
        method="ganmut",
        method_settings={**_OURS_64, **_GUIDED},
        train_settings={**_GPU_LOOP, **_AS_THEY_COME, "steps": 12_000, "decay_share": 0.7},
        guided=True,
    ),
    "ganmut-fer2013-cpu": Preset(
        summary="GANmut on FER2013, 7 expressions, 52 px, for a CPU: expressions strong, at the price of blotches",
        promise="macro-F1 0.90 of 200 edited neutral faces, on which it was also chosen (real faces: 0.72)",
        method="ganmut",
        method_settings=_CPU,
        train_settings={**_CPU_LOOP, "steps": 3500},
    ),
    "ganmut-fer2013-cpu-finish": Preset(
        summary="its second part, with --init RUN: realism counts more, added light costs more",
        promise="macro-F1 0.90 of 500 edited neutral faces, on which it was also chosen (real faces: 0.72)",
        method="ganmut",
        method_settings={
            **_CPU, "lambda_cls": 0.4, "lambda_mask": 6.0, "lambda_penalty": 0.5, "rec_ramp_steps": 0,
        },
        train_settings={**_CPU_LOOP, "steps": 2000},
    ),
    "ganmut-fer2013-cpu-polish": Preset(
        summary="its third part, with --init MODEL: light must be soft and on both sides, except at the mouth",
        promise="macro-F1 0.72 and 0.79 by two judges, 300 edited neutral faces (also chosen by them); photos: 0.67, 0.69",
        method="ganmut",
        method_settings={**_CPU, **_FINISH},
        train_settings={**_CPU_LOOP, "steps": 1000, "decay_share": 1.0},
    ),
    "ganmut-fer2013-cpu-even": Preset(
        summary="its fourth part, with --init MODEL: soft light, both sides alike, intensity rises evenly",
        promise="macro-F1 0.83 and 0.89 by two judges, 500 edited neutral faces (also chosen by 300), last of four goes",
        method="ganmut",
        method_settings={**_CPU, **_EVEN},
        train_settings={**_CPU_LOOP, "steps": 1600, "decay_share": 0.8, "ema_decay": 0.999},
    ),
    "ganmut-mixed-cpu": Preset(
        summary="its fifth part, with --init MODEL, at 104 px, on FER2013 and faces in the wild together",
        promise="macro-F1 0.78 and 0.85 by two judges, 300 edited neutral faces (also chosen by them), last of two goes",
        method="ganmut",
        method_settings={**_CPU, **_TWICE, "image_size": 104},
        train_settings={**_CPU_LOOP, "steps": 2600, "decay_share": 0.8, "ema_decay": 0.999},
    ),
    "ganmut-mixed-128-cpu": Preset(
        summary="its sixth part, with --init MODEL, at 128 px: light is shaded, not painted, mouths are judged alone",
        promise="macro-F1 0.69 and 0.78 by two judges, 500 edited neutral faces, the last of eight parts at 128 px",
        method="ganmut",
        method_settings={**_CPU, **_FINE},
        train_settings={**_CPU_LOOP, **_AS_THEY_COME, "steps": 1500, "decay_share": 0.8, "ema_decay": 0.999},
    ),
    "ganmut-mixed-128-cpu-guided": Preset(
        summary="its seventh part, with --init MODEL and --guide: a classifier tells it what its edits look like",
        promise="macro-F1 0.78 and 0.87 by two judges, 500 edited neutral faces, the last of ten guided parts",
        method="ganmut",
        method_settings={**_CPU, **_GUIDED},
        train_settings={**_CPU_LOOP, **_AS_THEY_COME, "steps": 1800, "decay_share": 0.8, "ema_decay": 0.999},
        guided=True,
    ),
    "ganmut-affectnet": Preset(
        summary="GANmut's official setting: AffectNet, 7 expressions, 128 px RGB, two million steps",
        promise="Surani's combined set: F1 0.58 (ResNet50), FED 9.9; ours is not measured yet",
        method="ganmut",
        method_settings={},
        train_settings={"steps": 2_000_000, "batch_size": 16, "checkpoint_every": 2000, "sample_every": 20_000},
    ),
    "ganmut-gaussian-fer2013-cpu": Preset(
        summary="Gaussian GANmut on FER2013, 7 expressions, 52 px, for a CPU: a place and a width for each expression",
        promise="macro-F1 0.44 and 0.44 by two judges, 100 edited neutral faces",
        method="ganmut-gaussian",
        method_settings=_GAUSSIAN_CPU,
        train_settings={**_CPU_LOOP, "steps": 3500, "decay_share": 0.5},
    ),
    "ganmut-gaussian-fer2013-cpu-finish": Preset(
        summary="its second part, with --init RUN: expressions count more, softer light, both sides alike",
        promise="macro-F1 0.60 and 0.61 by two judges, 300 edited neutral faces",
        method="ganmut-gaussian",
        method_settings={
            **_GAUSSIAN_CPU, **_CUT_OUT_FINISH, "codes_per_expression": 3, "lambda_cls": 3.0, "lambda_prediction": 2.0,
            "learning_rate": 3e-4,
        },
        train_settings={**_CPU_LOOP, "steps": 2000, "decay_share": 0.6, "ema_decay": 0.999},
    ),
    "ganmut-gaussian-affectnet": Preset(
        summary="Gaussian GANmut's official setting: AffectNet, 7 expressions, 128 px RGB, two million steps",
        promise="the paper's tables were not at hand; ours is not measured yet",
        method="ganmut-gaussian",
        method_settings={},
        train_settings={"steps": 2_000_000, "batch_size": 16, "checkpoint_every": 2000, "sample_every": 20_000},
    ),
    "smoke": Preset(
        summary="GANmut on drawn faces, 32 px, a minute on a CPU: does everything work?",
        promise="axes 15 degrees apart (45 measured), intensity rises with radius, 50 % of edits recognised (68 measured)",
        method="ganmut",
        method_settings={
            **_OURS, **_SMOKE, **_PAINTS, "axes": "small", "num_free_codes": 4, "rec_share": 0.5,
            "rec_ramp_steps": 300, "lambda_cls": 0.5, "lambda_penalty": 5.0,
        },
        train_settings={**_SMOKE_LOOP, "steps": 600},
    ),
    "smoke-gaussian": Preset(
        summary="Gaussian GANmut on drawn faces, 32 px, a minute on a CPU",
        promise="intensity rises with the way from neutral, 50 % of edits recognised (81 to 84 measured; chance 14)",
        method="ganmut-gaussian",
        method_settings={
            **_OURS_GAUSSIAN, **_SMOKE, **_PAINTS, "codes_per_expression": 1, "rec_share": 0.5,
            "rec_ramp_steps": 300, "lambda_cls": 0.5, "lambda_penalty": 5.0,
        },
        train_settings={**_SMOKE_LOOP, "steps": 600},
    ),
    "smoke-stargan": Preset(
        summary="StarGAN on drawn faces, 4 expressions, 32 px, under a minute on a CPU",
        promise="60 % of edits recognised (96 measured; chance 25)",
        method="stargan",
        method_settings={**_SMOKE, "targets": "uniform", "lambda_rec": 5.0, "rec_share": 0.5},
        train_settings={**_SMOKE_LOOP, "steps": 400},
    ),
}  # fmt: skip


def find_preset(name: str) -> Preset:
    """Return a preset by name; an unknown one is a `ConfigError` that names the nearest."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        guess = f"did you mean `{near[0]}`? " if near else ""
        raise ConfigError(f"unknown preset `{name}`", hint=f"{guess}known: {', '.join(PRESETS)}")
    return PRESETS[name]


def settings_beside(name: str, configuration: Mapping[str, Any]) -> list[str]:
    """Return what a run's configuration (see `mien.runs`) sets beside its preset, as `key=value`.

    A setting that did not exist yet when the run was configured has its default there, whatever the preset says by now.
    """
    method_config, train_config = configure(find_preset(name), {})
    wanted = {**dataclasses.asdict(method_config), **dataclasses.asdict(train_config)}
    found = {**dataclasses.asdict(type(method_config)()), **dataclasses.asdict(TrainConfig())}
    found |= {**configuration["method_config"], **configuration["train_config"]}
    changed = {key: setting_as_text(value) for key, value in found.items()}
    return [f"{key}={value}" for key, value in changed.items() if value != setting_as_text(wanted[key])]


def configure(preset: Preset, overrides: Mapping[str, Any]) -> tuple[Any, TrainConfig]:
    """Return the method's and the loop's configuration of a preset, with single settings changed by name."""
    kind = METHODS[preset.method].Config
    loop_names = {field.name for field in dataclasses.fields(TrainConfig)}
    method_names = {field.name for field in dataclasses.fields(kind)}
    unknown = [name for name in overrides if name not in loop_names | method_names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], loop_names | method_names, n=1)
        guess = f"did you mean `{near[0]}`? " if near else ""
        raise ConfigError(
            f"unknown setting `{unknown[0]}`", hint=f"{guess}known: {', '.join(sorted(loop_names | method_names))}"
        )
    of_method = {**preset.method_settings, **{k: v for k, v in overrides.items() if k in method_names}}
    of_loop = {**preset.train_settings, **{k: v for k, v in overrides.items() if k in loop_names}}
    method_config, train_config = config_from_mapping(kind, of_method), config_from_mapping(TrainConfig, of_loop)
    check_effect(method_config)
    return method_config, train_config

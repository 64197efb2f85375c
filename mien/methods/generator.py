"""What every method says alike of its generator, and what keeps a warp generator's edits regular."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mien.edit_maps import Edit, blurred, warp
from mien.face_windows import MOUTH_INSIDE, eyes_window, mouth_window, nose_window
from mien.losses import (
    bending,
    conformal_distortion,
    detail_left,
    folding,
    light_asymmetry,
    light_edges,
    light_energy,
    strain,
    stretching,
)
from mien.networks import MAX_LIGHT, ResidualGenerator, WarpGenerator
from mien.settings import require
from mien.warping import WIPED_SHARE


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """What every method says alike of its generator, of what keeps a warp generator's edits regular, and of what its critic
    is shown of them."""

    generator: Literal["residual", "warp"] = "residual"
    """`residual`: StarGAN's, as official. `warp`: ours, displacement + mask + residual."""
    generator_channels: int = 64
    """Channels of the generator's first layer."""
    generator_blocks: int = 6
    """Residual blocks of the generator."""
    both_sides: bool = False
    """Edits are the mean of a face's and of its mirror image's, mirrored (warp generator): nothing is lopsided."""
    soft_light: float = 0.0
    """Added light is blurred over this share of the side, except at the mouth (warp generator): shading, and no spots."""
    max_light: float = MAX_LIGHT
    """The largest light that can be added to a pixel, or taken, in half ranges (warp generator): with 0.8 bright teeth
    never become the dark of an open mouth, with 2 they may. `--init` may name networks with another."""
    wipes: bool = False
    """Detail at the mouth may be wiped away before light is added (warp generator); `--init` may name networks without."""
    enhancers: int = 0
    """How many times the side was doubled since networks of this size (warp generator): each adds layers round them, which
    `--init` of the smaller ones fills so that nothing changes at first."""
    lambda_bend: float = 0.0
    """Weight of the displacement's bending energy (warp generator)."""
    lambda_stretch: float = 0.0
    """Weight of the displacement's stretching (warp generator): keeps the head its shape."""
    lambda_fold: float = 0.0
    """Weight of the displacement's folds (warp generator)."""
    lambda_conformal: float = 0.0
    """Weight of the displacement's conformal distortion away from the mouth (warp generator): an iris is to stay round."""
    lambda_eyes: float = 0.0
    """Weight of the conformal distortion at the irises, not squared (warp generator): small ones count there (faces as
    `mien prepare` aligns them)."""
    lambda_nose: float = 0.0
    """Weight of the displacement's squared strain at the nose (warp generator): it moves, and neither grows nor shrinks
    (faces as `mien prepare` aligns them)."""
    lambda_mask: float = 0.0
    """Weight of the mean absolute light that is added: keeps it to what a movement cannot do."""
    lambda_spots: float = 0.0
    """Weight of the mean squared light that is added: shading rather than spots."""
    lambda_edges: float = 0.0
    """Weight of the added light's total variation: shading rather than streaks."""
    lambda_lopsided: float = 0.0
    """Weight of light that is added to one half of the face only."""
    mouth_light: float = 0.0
    """By what share added light counts less at the mouth in these four costs (mask, spots, edges, lopsided; faces as `mien
    prepare` aligns them)."""
    mouth_shade: float = 0.0
    """By what share light that is taken counts less in them between the corners of the mouth: teeth may become dark, and
    corners are not to."""
    shade_width: float = MOUTH_INSIDE
    """Half the width, as a share of the side, of where `mouth_shade` counts: where it ends dark corners begin to cost."""
    lambda_streaks: float = 0.0
    """Weight of bright detail that stays where light darkens what lies between the corners of the mouth by more than 0.2,
    the more the darker (`wipes`): teeth that are to become the dark of an open mouth leave streaks otherwise."""
    cutout: float = 0.0
    """Side of a square that is hidden from the critic, as a share of the image's: in what it learns from and judges, not in
    its penalty nor where it reads a photo's place."""
    hide_beyond: bool = False
    """Hide from the critic, in the same places, what lies beyond the picture that a face was cut from: where `mien prepare`
    repeated its last pixels. What is shown of an image ends where its own picture ends, or another's."""
    lambda_mouth: float = 0.0
    """Weight of how real a second critic finds the mouth, which is all it sees (faces as `mien prepare` aligns them)."""
    lambda_guide: float = 1.0
    """Weight of the classification loss by the frozen classifiers that `--guide` names; without any it means nothing."""
    critic_rate: float = 1.0
    """The critic's learning rate as a multiple of the generator's (two time-scale update rule, Heusel et al. 2017)."""

    def build_generator(self, image_channels: int, code_size: int) -> ResidualGenerator | WarpGenerator:
        """Return a new generator for images of so many channels and codes of so many numbers."""
        sizes = (image_channels, code_size, self.generator_channels, self.generator_blocks)
        if self.generator == "residual":
            return ResidualGenerator(*sizes)
        light = {"soft_light": self.soft_light, "max_light": self.max_light, "wipes": self.wipes}
        return WarpGenerator(*sizes, both_sides=self.both_sides, enhancers=self.enhancers, **light)


def warp_terms(config: GeneratorSettings, images: Float[Tensor, "n c h w"], edit: Edit) -> dict[str, Tensor]:
    """Return the weighted terms that keep a warp generator's edits of images regular; those of weight zero are left out."""
    light = edit.delta
    height, width = light.shape[-2:]
    if config.mouth_light:
        light = light * (1 - config.mouth_light * mouth_window(height, width, light.device))
    if config.mouth_shade:
        inside = mouth_window(height, width, light.device, config.shade_width)
        light = torch.where(light.mean(1, keepdim=True) < 0, light * (1 - config.mouth_shade * inside), light)
    field = edit.displacement
    terms = {
        "bend": (config.lambda_bend, lambda: bending(field)),
        "stretch": (config.lambda_stretch, lambda: stretching(field)),
        "fold": (config.lambda_fold, lambda: folding(field)),
        "conformal": (config.lambda_conformal, lambda: conformal_distortion(field, 1 - _at(mouth_window, field))),
        "eyes": (config.lambda_eyes, lambda: conformal_distortion(field, _at(eyes_window, field), power=1)),
        "nose": (config.lambda_nose, lambda: strain(field, _at(nose_window, field))),
        "mask": (config.lambda_mask, lambda: light.abs().mean()),
        "spots": (config.lambda_spots, lambda: light_energy(light)),
        "edges": (config.lambda_edges, lambda: light_edges(light)),
        "lopsided": (config.lambda_lopsided, lambda: light_asymmetry(light)),
    }
    if (wipe := edit.wipe) is not None:
        terms["streaks"] = (config.lambda_streaks, lambda: detail_left(_streaks(images, edit), wipe))
    return {name: weight * loss() for name, (weight, loss) in terms.items() if weight}


def mouth_distance(
    images: Float[Tensor, "n c h w"], others: Float[Tensor, "n c h w"], share: float = 0.0
) -> Float[Tensor, " n"]:
    """Return the mean absolute difference of two images at the mouth, up to what is finer than a share of the side."""
    height, width = images.shape[-2:]
    window = mouth_window(height, width, images.device, _MOUTH_AND_ROUND)
    difference = images.float() - others.float()
    return ((blurred(difference, share) if share else difference).abs() * window).mean((1, 2, 3)) / window.mean()


#: Half the width of a mouth and of what moves beside it, as a share of the side.
_MOUTH_AND_ROUND = 0.22
#: Darkness and bright detail are averaged over this share of the side.
_STREAK_SHARE = 0.03
#: Less darkness than this, in half ranges, is a lip's shading.
_FAINT_SHADE = 0.2


@torch.no_grad()
def _streaks(images: Float[Tensor, "n c h w"], edit: Edit) -> Float[Tensor, "n 1 h w"]:
    """Return how much bright detail lies where an edit darkens the inside of the mouth: darkness times brightness."""
    height, width = images.shape[-2:]
    taken = torch.relu(-edit.delta.float().mean(1, keepdim=True))
    shade = torch.relu(blurred(taken, _STREAK_SHARE) - _FAINT_SHADE)
    moved = warp(images, edit.displacement).mean(1, keepdim=True)
    bright = blurred(torch.relu(moved - blurred(moved, WIPED_SHARE)), _STREAK_SHARE)
    return shade * bright * mouth_window(height, width, images.device, MOUTH_INSIDE)


def _at(
    window: Callable[[int, int, torch.device], Tensor], field: Float[Tensor, "n 2 h w"]
) -> Float[Tensor, "h-1 w-1"]:
    """Return a window as large as a displacement's Jacobian."""
    height, width = field.shape[-2:]
    return window(height - 1, width - 1, field.device)


def check_generator(config: Any) -> None:
    """Check those fields of a method's configuration that say what its generator is."""
    require(0 <= config.enhancers <= 4, "enhancers", config.enhancers, "from 0 to 4")
    least = 4 * 2**config.enhancers
    fits = config.image_size % least == 0 and config.image_size >= 2 * least
    after = f" with enhancers={config.enhancers}, each of which doubles it" if config.enhancers else ""
    require(fits, "image_size", config.image_size, f"a multiple of {least}, from {2 * least}{after}")
    require(0 <= config.soft_light <= 0.25, "soft_light", config.soft_light, "from 0 to 0.25")
    require(0 < config.max_light <= 2, "max_light", config.max_light, "above 0 and at most 2")
    if config.generator != "warp":
        for name, none in (
            ("enhancers", 0),
            ("both_sides", False),
            ("soft_light", 0),
            ("max_light", MAX_LIGHT),
            ("wipes", False),
        ):
            value = getattr(config, name)
            require(value == none, name, value, f"{'no' if none is False else none}, unless the generator is `warp`")
    for name in ("mouth_light", "mouth_shade"):
        require(0 <= getattr(config, name) <= 1, name, getattr(config, name), "from 0 to 1")
    require(0 < config.shade_width <= 0.5, "shade_width", config.shade_width, "above 0 and at most 0.5")
    require(
        config.wipes or not config.lambda_streaks, "lambda_streaks", config.lambda_streaks, "0, unless wipes are on"
    )


def check_effect(config: GeneratorSettings) -> None:
    """Raise `ConfigError` for costs of what the generator has not, movement or so much darkness: they would have no effect.

    Of what is configured anew; a run of before may have had them.
    """
    for name in ("lambda_bend", "lambda_stretch", "lambda_fold", "lambda_conformal", "lambda_eyes", "lambda_nose"):
        none = config.generator == "warp" or not getattr(config, name)
        require(none, name, getattr(config, name), "0, unless the generator is `warp`")
    seen = config.max_light > _FAINT_SHADE or not config.lambda_streaks
    require(seen, "lambda_streaks", config.lambda_streaks, f"0, unless max_light is above {_FAINT_SHADE:g}")

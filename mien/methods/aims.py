"""What a GANmut's edits can be held to beside labels: four terms that no paper has.

Labels know of expressions what photos of them have in common, and that is not always what one face should get: sad faces
may show teeth, so that a smile may stay in sadness; anger shows them, so that they are painted on shut lips. `detour` and
`lips` aim at other edits of the same generator instead, `anchor` at those of the model that a run goes on from; neither
comes to meet an edit, which alone learns. `strokes` is a cost of the light that an edit takes. All are weighted, and added
to what the generator learns from (`EditAims`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.edit_maps import Edit, apply_edit
from mien.expressions import NEUTRAL, parse_expression
from mien.methods.base import Batch
from mien.methods.disc_codes import Draw, codes_of, directions
from mien.methods.generator import GeneratorSettings, mouth_distance
from mien.settings import require

#: Share of the side up to which a detour is compared: it warps twice, which blurs. And up to which lips are, warped once.
_SEEN, _LIPS_SEEN = 0.02, 0.01
#: How strong an edit is whose mouth another one gets, as a share of that one's radius.
_LIPS_SHARE = 0.75


@dataclass(frozen=True, kw_only=True)
class AimSettings(GeneratorSettings):
    """Settings of what edits are held to beside labels."""

    lambda_detour: float = 0.0
    """Weight of how far the mouth after an edit is from that of the same edit by way of the neutral face: a smile is not to
    stay in sadness (faces as `mien prepare` aligns them)."""
    detour_to: tuple[str, ...] = ("sad", "surprise")
    """The expressions that this is asked of, as far as `expressions` has them: `fear` may keep the teeth of a smile."""
    lambda_lips: float = 0.0
    """Weight of how far mouths of neutral faces, edited to `lips_of`, are from those of weaker edits to `lips_as`: lips,
    which neutral faces have shut as a rule, are to be pressed, since teeth that are not there would have to be painted
    (faces as `mien prepare` aligns them)."""
    lips_of: tuple[str, ...] = ("anger",)
    """The expressions that this is asked of, as far as `expressions` has them."""
    lips_as: str = "sad"
    """The expression whose mouths they get; where `expressions` lacks it, nothing is asked."""
    lambda_strokes: float = 0.0
    """Weight of the mean fourth power of the light that edits to `strokes_of` take: shading costs next to nothing, dark
    strokes cost much."""
    strokes_of: tuple[str, ...] = ("fear",)
    """The expressions that this is asked of, as far as `expressions` has them: open mouths of `surprise` are to be dark."""
    lambda_anchor: float = 0.0
    """Weight of how far all other edits, to neutral apart, are from those of the model that a run goes on from (`--init`):
    what is learned of some expressions is not to change the rest. The others are those that none of `lambda_detour`,
    `lambda_lips` and `lambda_strokes` is about, where these are above zero."""


def check_aims(config: Any) -> None:
    """Check a configuration's `AimSettings`, and take other names of expressions for those of the vocabulary."""
    others = config.expressions[1:]
    asked = {name: getattr(config, name) for name in ("detour_to", "lips_of", "strokes_of")}
    named = {name: tuple(parse_expression(word) for word in words) for name, words in asked.items()}
    for name, words in asked.items():
        require(NEUTRAL not in named[name], name, words, "expressions other than neutral")
    free: set[str] = set()
    for name, weight in (("detour_to", config.lambda_detour), ("strokes_of", config.lambda_strokes)):
        by_default = named[name] == getattr(AimSettings, name)  # a set may lack those
        known = by_default or not weight or bool(set(named[name]) & set(others))
        require(known, name, asked[name], f"one or more of {', '.join(others)}")
        free |= set(named[name]) if weight else set()
    held = bool(set(others) - free)
    told = "0 where all are in `detour_to` or `strokes_of`"
    require(held or not config.lambda_anchor, "lambda_anchor", config.lambda_anchor, told)

    model = parse_expression(config.lips_as)
    by_default = (named["lips_of"], model) == (AimSettings.lips_of, AimSettings.lips_as)
    require(model != NEUTRAL, "lips_as", config.lips_as, "an expression other than neutral")
    if config.lambda_lips and not by_default:
        require(model in others, "lips_as", config.lips_as, f"one of {', '.join(others)}, or lambda_lips 0")
        rest = [name for name in others if name != model]
        told = f"one or more of {', '.join(rest)} beside lips_as={model}"
        require(bool(set(named["lips_of"]) & set(rest)), "lips_of", asked["lips_of"], told)
    for name, names in (*named.items(), ("lips_as", model)):
        object.__setattr__(config, name, names)


class Asked(NamedTuple):
    """Edits as a step made them, and what else can be had of their generator."""

    batch: Batch
    draw: Draw
    codes: Float[Tensor, "n 2"]
    """z: where each image was brought."""
    edit: Edit
    edited: Float[Tensor, "n c h w"]
    """y: what came of it."""
    axes: Float[Tensor, "axes 2"]
    """The axes of the expressions, as they are learned now."""
    edit_to: Callable[[Tensor, Tensor], Tensor]
    """Images at codes, as the generator edits them now."""
    all_rows: bool
    """Whether edits that do not count are computed, too: a GPU would have to wait for which do, and compiled code is made
    for batches of one size."""

    def worth_computing(self, counted: Bool[Tensor, " n"]) -> Int[Tensor, " m"] | slice:
        """Return the rows that are counted, or all of them."""
        return slice(None) if self.all_rows else counted.nonzero()[:, 0]


class EditAims(nn.Module):
    """The terms of `AimSettings`; nothing of it is part of a method's state."""

    _detoured: Tensor
    """Which of the expressions `detour_to` names, (k,)."""
    _pressed: Tensor
    """Which of the expressions get the mouths of `lips_as`, (k,)."""
    _shaded: Tensor
    """Which of the expressions `strokes_of` names, (k,)."""
    anchor: Callable[[Tensor, Draw], Tensor] | None = None
    """Images as the generator that a run went on from edits them (`hold`)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        known = set(config.expressions)
        pressed = (known & set(config.lips_of)) - {config.lips_as} if config.lips_as in known else set()
        detoured, shaded = known & set(config.detour_to), known & set(config.strokes_of)
        for buffer, names in (("_detoured", detoured), ("_pressed", pressed), ("_shaded", shaded)):
            marked = [name in names for name in config.expressions]
            self.register_buffer(buffer, torch.tensor(marked), persistent=False)
        self.detours = config.lambda_detour > 0 and bool(detoured)
        self.presses = config.lambda_lips > 0 and bool(pressed)
        self.shades = config.lambda_strokes > 0 and bool(shaded)

    def terms(self, asked: Asked) -> dict[str, Tensor]:
        """Return the weighted terms, but those of weight zero and those that ask nothing of these expressions."""
        config = self.config
        terms = {}
        if self.detours:
            terms["detour"] = config.lambda_detour * self.detour(asked)
        if self.presses:
            terms["lips"] = config.lambda_lips * self.lips(asked)
        if self.shades:
            terms["strokes"] = config.lambda_strokes * self.strokes(asked)
        if config.lambda_anchor:
            terms["anchor"] = config.lambda_anchor * self.drift(asked)
        return terms

    def detour(self, asked: Asked) -> Float[Tensor, ""]:
        """Return how far mouths are from those of the same edits by way of the neutral face.

        Counted are the labelled codes of `detour_to`, for faces that show something else and are not neutral; the mean is
        over all images. A generator leaves a smile in sadness, since there are sad faces that show teeth. After its own
        neutral edit it does not, and what comes of that is what it is to do at once.
        """
        batch, draw, edited = asked.batch, asked.draw, asked.edited
        counted = ~draw.free & self._detoured[draw.labels] & (batch.labels != 0) & (batch.labels != draw.labels)
        rows = asked.worth_computing(counted)
        x, z, counts = batch.images[rows], asked.codes[rows].detach(), counted[rows]
        if not len(x):
            return edited.sum() * 0.0
        with torch.no_grad():
            aim = asked.edit_to(asked.edit_to(x, torch.zeros_like(z)), z)
        return (mouth_distance(edited[rows], aim, _SEEN) * counts).sum() / len(counted)

    def lips(self, asked: Asked) -> Float[Tensor, ""]:
        """Return how far the mouths of neutral faces are from those of weaker edits to `lips_as`.

        Counted are the labelled codes of `lips_of`, for faces with the label neutral; the mean is over all images.
        Classifiers know anger by its teeth. Behind shut lips there are none to move, and what a generator makes of lips
        instead looks wrong.
        """
        batch, edited = asked.batch, asked.edited
        counted = self._shut(asked)
        rows = asked.worth_computing(counted)
        x, radius, counts = batch.images[rows], asked.draw.radius[rows, None], counted[rows]
        if not len(x):
            return edited.sum() * 0.0
        with torch.no_grad():
            axis = directions(asked.axes)[self.config.expressions.index(self.config.lips_as)]
            aim = asked.edit_to(x, _LIPS_SHARE * radius * axis)
        return (mouth_distance(edited[rows], aim, _LIPS_SEEN) * counts).sum() / len(counted)

    def _shut(self, asked: Asked) -> Bool[Tensor, " n"]:
        """Return which edits `lips` is about."""
        return ~asked.draw.free & self._pressed[asked.draw.labels] & (asked.batch.labels == 0)

    def strokes(self, asked: Asked) -> Float[Tensor, ""]:
        """Return the mean fourth power of the light that is taken, in half ranges.

        Counted are the labelled codes of `strokes_of`; the mean is over all images. A generator paints fear by a few dark
        pixels at the corners of the mouth, of which costs of all light say next to nothing.
        """
        taken = torch.relu(-asked.edit.delta.float())
        counted = ~asked.draw.free & self._shaded[asked.draw.labels]
        return ((taken**4).mean((1, 2, 3)) * counted).mean()

    def hold(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Take generator and axes, as a method's state calls them, for the anchor."""
        still = self.config.build_generator(self.config.image_channels, 2).requires_grad_(False).eval()
        inside = "generator."
        still.load_state_dict({name[len(inside) :]: each for name, each in tensors.items() if name.startswith(inside)})
        still.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        axes = tensors["axes"].to(device)

        def before(images: Tensor, draw: Draw) -> Tensor:
            with torch.no_grad():
                return apply_edit(images, still(images, codes_of(draw, axes)))

        self.anchor = before  # a function: a network would be a part of the state

    def drift(self, asked: Asked) -> Float[Tensor, ""]:
        """Return how far edits are from those of the model that the run went on from.

        Counted are the labelled codes but neutral ones, which a detour goes by, those of `detour_to` and `strokes_of`, and
        those that `lips` counts, where these terms have a weight; the mean is over all images. It is the mean absolute
        difference, and that at the mouth, where most goes wrong, once more. The model of before is asked at its own axes.
        """
        assert self.anchor is not None  # `mien.training` sees to that
        draw, edited = asked.draw, asked.edited
        counted = ~draw.free & (draw.labels != 0)
        if self.config.lambda_detour:
            counted = counted & ~self._detoured[draw.labels]
        if self.config.lambda_lips:
            counted = counted & ~self._shut(asked)
        if self.config.lambda_strokes:
            counted = counted & ~self._shaded[draw.labels]
        before = self.anchor(asked.batch.images, draw)
        far = (edited - before).abs().mean((1, 2, 3)) + mouth_distance(edited, before)
        return (far * counted).mean()

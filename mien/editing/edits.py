"""Where an edit starts from: the face as it is, its neutral self, or its own place in the space.

A generator learned to bring any face to a code, but from a face that already shows something strong it often stops half
way: a smile stays in the surprise. So an edit may first take away the expression that is there, which is an edit to the
centre of the space, and then give the new one; both are composed to a single edit, so that the photo's pixels are fetched
once. docs/log.md has the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from mien.editing.model import ExpressionModel
from mien.editing.reading import FaceReading, can_read, read_images
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.spaces import Condition, DiscSpace
from mien.warping import EditMaps, apply, compose, scale

#: `auto` takes away as much of the expression as the critic sees, `direct` nothing; `keep` moves from where the face
#: stands in the space by the condition as a step. A number from 0 to 1 says how much is taken away. Where a model has
#: no critic, `auto` is `direct`.
Start = Literal["auto", "direct", "keep"]
STARTS: tuple[str, ...] = get_args(Start)


def parse_start(word: str) -> Start:
    """Return where edits start from; `ConditionError` for another word."""
    if word not in STARTS:
        raise ConditionError(f"an edit cannot start from `{word}`", hint=f"give one of {', '.join(STARTS)}")
    return word  # type: ignore[return-value]


def check_start(model: ExpressionModel, start: Start) -> None:
    """Raise `ConditionError` where a model cannot start from there, before a film or a camera is opened for it."""
    if parse_start(start) != "keep":
        return
    if not isinstance(model.space, DiscSpace):
        raise ConditionError("this model's space is no disc to move on", hint="start from `auto` or `direct`")
    if not can_read(model):
        raise ConditionError("this model has no critic to read faces with", hint="start from `auto` or `direct`")


def make_edits(
    model: ExpressionModel, image: np.ndarray, conditions: Sequence[Condition], start: Start | float = "auto"
) -> list[EditMaps]:
    """Return the edit of one image, float32 (c, h, w) in [-1, 1], for each of the conditions.

    The edit of a blend is the weighted sum of the edits of its parts (`Condition.parts`), since the disc may hold a third
    expression between two. Only `keep`, which moves on the disc, takes the blend's place there. Raises `ConditionError`
    where the space cannot express a condition, or has no centre to move from for `keep`.
    """
    start = parse_start(start) if isinstance(start, str) else start
    recipes = [[(1.0, condition)] if start == "keep" else condition.parts() for condition in conditions]
    codes = np.stack([model.space.code(part) for recipe in recipes for _, part in recipe])
    if start == "keep":
        codes = _moved(model, image, codes)
    share = _taken_away(model, image, start)
    if share == 0:
        return _mixed(recipes, _rendered(model, image, codes))
    neutral = model.space.code(Condition.named(NEUTRAL, 0.0))
    first = scale(_rendered(model, image, neutral[None])[0], share)
    levels = apply((image.transpose(1, 2, 0) + 1) * 127.5, first)
    mixed = _mixed(recipes, _rendered(model, levels.transpose(2, 0, 1) / 127.5 - 1, codes))
    return [compose(first, second) for second in mixed]


def _mixed(recipes: Sequence[Sequence[tuple[float, Condition]]], parts: Sequence[EditMaps]) -> list[EditMaps]:
    """Return an edit for each recipe, of the edits of all their parts in order."""
    remaining = iter(parts)
    mixed = []
    for recipe in recipes:
        scaled = [scale(next(remaining), weight) for weight, _ in recipe]
        mixed.append(EditMaps(sum(each.displacement for each in scaled), sum(each.delta for each in scaled)))  # type: ignore[arg-type]
    return mixed


def _taken_away(model: ExpressionModel, image: np.ndarray, start: Start | float) -> float:
    """Return how much of the expression that is there is taken away first, 0 to 1; none by a model without neutral."""
    if not isinstance(start, str):
        if not 0 <= start <= 1:
            raise ConditionError(f"an edit cannot start from {start}", hint="give a share from 0 to 1")
        return float(start) if NEUTRAL in model.space.expressions else 0.0
    if start != "auto" or NEUTRAL not in model.space.expressions or not can_read(model):
        return 0.0
    return _read(model, image).intensity


def _moved(model: ExpressionModel, image: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the codes as steps from where the face stands, pulled back to the rim where they leave the disc."""
    space, standing = model.space, _read(model, image).code
    if not isinstance(space, DiscSpace) or standing is None:
        raise ConditionError(
            "this model's space has no place to move from", hint="`keep` needs a disc; start from `auto` or `direct`"
        )
    moved = space.points(codes) + standing
    return space.codes(moved / np.maximum(1.0, np.hypot(moved[:, :1], moved[:, 1:])))


def _read(model: ExpressionModel, image: np.ndarray) -> FaceReading:
    return read_images(model, image[None])[0]


def _rendered(model: ExpressionModel, image: np.ndarray, codes: np.ndarray) -> list[EditMaps]:
    images = np.repeat(image[None].astype(np.float32), len(codes), axis=0)
    return [EditMaps(displacement, delta) for displacement, delta in zip(*model.render(images, codes), strict=True)]

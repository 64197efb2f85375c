"""Where an edit starts from: the face as it is, its neutral self, or its own place in the space.

A generator learned to bring any face to a code, but from a face that already shows something strong it often stops half
way: a smile stays in the surprise. So an edit may first take away, in part, what is there and not asked for, which is an
edit to the centre of the space, and then give the new one; both are composed to a single edit, so that the photo's pixels
are fetched once. docs/log.md has the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Literal, get_args

import numpy as np

from mien.conditions import Condition
from mien.editing.model import ExpressionModel
from mien.editing.reading import FaceReading, can_read, read_images
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.spaces import DiscSpace, Space, check_condition
from mien.warping import EditMaps, apply, compose, half_window, mix, scale, weighted

#: `auto` takes away what the critic sees and is not asked for, but for a part that grows with what is asked for
#: (`taken_by_auto`), `neutral` all that the face expresses, `direct` nothing; `keep` moves from where the face stands in
#: the space by the condition as a step. A number from 0 to 1 says how much is taken away. Where a model has no critic,
#: `auto` is `direct`.
Start = Literal["auto", "neutral", "direct", "keep"]
#: What is seen in a face, by whom and when ever: probabilities of expressions by name.
Seen = Mapping[str, float]
#: What `auto` leaves of it where a whole expression is asked for. With half left edits are closer to photos than with
#: nothing left, and at 0.9 judges see the new expression more often; of what a neutral face shows nothing is left.
_LEFT = 0.5
STARTS: tuple[str, ...] = get_args(Start)
#: The starts of which a figure of places can be drawn, which holds no steps.
FIGURE_STARTS: tuple[str, ...] = tuple(start for start in STARTS if start != "keep")


def parse_start(word: str, among: Sequence[str] = STARTS) -> Start:
    """Return where edits start from; `ConditionError` for another word."""
    if word not in among:
        what = "a figure of places" if word in STARTS else "an edit"
        raise ConditionError(f"{what} cannot start from `{word}`", hint=f"give one of {', '.join(among)}")
    return word  # type: ignore[return-value]


def reads_first(start: Start | float) -> bool:
    """Return whether it matters for an edit from there what the critic sees in the face."""
    return start in ("auto", "keep")


def in_words(wanted: object) -> str:
    """Say what was asked for, of all faces or, by number, of each."""
    if isinstance(wanted, Mapping):
        return "; ".join(f"face {number}: {wanted[number]}" for number in sorted(wanted))
    return str(wanted)


def check_wish(model: ExpressionModel, condition: Condition, start: Start) -> None:
    """Raise `ConditionError` where a model cannot give a face a condition from there."""
    check_start(model, start)
    check_condition(model.space, condition, as_step=start == "keep")


def check_start(model: ExpressionModel, start: Start) -> None:
    """Raise `ConditionError` where a model cannot start from there, before a film or a camera is opened for it."""
    if parse_start(start) == "neutral" and NEUTRAL not in model.space.expressions:
        raise ConditionError("this model has no neutral face to start from", hint="start from `auto` or `direct`")
    if start != "keep":
        return
    if not isinstance(model.space, DiscSpace):
        raise ConditionError("this model's space is no disc to move on", hint="start from `auto` or `direct`")
    if not can_read(model):
        raise ConditionError("this model has no critic to read faces with", hint="start from `auto` or `direct`")


def make_edits(
    model: ExpressionModel, image: np.ndarray, conditions: Sequence[Condition], start: Start | Seen | float = "auto"
) -> list[EditMaps]:
    """Return the edit of one image, float32 (c, h, w) in [-1, 1], for each of the conditions.

    The edit of a blend is the weighted sum of the edits of its parts (`Condition.parts`), since the disc may hold a third
    expression between two. Only `keep`, which moves on the disc, takes the blend's place there. Where the halves of a face
    are to differ, each has the edit that the whole face would have. `start` may also be what is seen in the face, for
    `auto` to take away: probabilities by name. Raises `ConditionError` where the space cannot express a condition, or has
    no centre to move from for `keep`.
    """
    wholes = [whole for condition in conditions for _, whole in condition.by_half()]
    edits = iter(_whole_edits(model, image, wholes, start))
    return [_joined([(half, next(edits)) for half, _ in condition.by_half()]) for condition in conditions]


def _whole_edits(
    model: ExpressionModel, image: np.ndarray, conditions: Sequence[Condition], start: Start | Seen | float
) -> list[EditMaps]:
    """Return `make_edits` of conditions without halves."""
    start = parse_start(start) if isinstance(start, str) else start
    recipes = [[(1.0, condition)] if start == "keep" else condition.parts() for condition in conditions]
    codes = np.stack([model.space.code(part) for recipe in recipes for _, part in recipe])
    if start == "keep":
        codes = _moved(model, image, codes)
    if start == "neutral":
        check_start(model, "neutral")
        start = 1.0
    elif start == "auto":
        start = _read(model, image).expressions if _takes_away(model) else {}
    elif isinstance(start, Mapping):
        _check_seen(model.space, start)
    shares = [_taken_away(model.space, start, condition) for condition in conditions]
    bases = _without(model, image, shares)
    images = [bases[share][1] for share, recipe in zip(shares, recipes, strict=True) for _ in recipe]
    mixed = _mixed(recipes, _rendered(model, np.stack(images), codes))
    first = [bases[share][0] for share in shares]
    return [edit if before is None else compose(before, edit) for before, edit in zip(first, mixed, strict=True)]


def _joined(parts: Sequence[tuple[str | None, EditMaps]]) -> EditMaps:
    """Return one edit of those of the halves of a face; of the whole face, that itself."""
    if parts[0][0] is None:
        return parts[0][1]
    return mix([weighted(edit, half_window(edit.delta.shape[1], half == "lower")) for half, edit in parts])


def taken_by_auto(space: Space, seen: Mapping[str, float], condition: Condition) -> float:
    """Return how much of what a face expresses `auto` takes away before an edit, 0 to 1, of what is not asked for.

    For a neutral face that is all, for an expression in full half, and between the two so much between. `seen` has
    probabilities by name. What is asked for stays, as much of it as is asked for: a smile that is to be a smile need not
    be made anew.
    """
    if condition.angle_radians is not None and isinstance(space, DiscSpace):
        wanted = space.neighbours(space.point(condition))
    else:
        wanted = {name: condition.intensity * share for name, share in condition.shares}
    beside = sum(max(0.0, p - wanted.get(name, 0.0)) for name, p in seen.items() if name != NEUTRAL)
    asked = sum(share for name, share in wanted.items() if name != NEUTRAL)
    return (1.0 - _LEFT * asked) * min(1.0, beside)


def _takes_away(model: ExpressionModel) -> bool:
    return NEUTRAL in model.space.expressions and can_read(model)


def _mixed(recipes: Sequence[Sequence[tuple[float, Condition]]], parts: Sequence[EditMaps]) -> list[EditMaps]:
    """Return an edit for each recipe, of the edits of all their parts in order."""
    remaining = iter(parts)
    return [mix([scale(next(remaining), weight) for weight, _ in recipe]) for recipe in recipes]


def _taken_away(space: Space, start: Start | Seen | float, condition: Condition) -> float:
    """Return how much of the expression that is there is taken away first, 0 to 1; none by a model without neutral."""
    if isinstance(start, Mapping):
        return round(taken_by_auto(space, start, condition), 3) if NEUTRAL in space.expressions else 0.0
    if isinstance(start, str):  # `direct` and `keep`
        return 0.0
    if not 0 <= start <= 1:
        raise ConditionError(f"an edit cannot start from {start}", hint="give a share from 0 to 1")
    return float(start) if NEUTRAL in space.expressions else 0.0


def _check_seen(space: Space, seen: Seen) -> None:
    for name, probability in seen.items():
        known = name in space.expressions and isinstance(probability, Real) and math.isfinite(probability)
        if not known:
            hint = f"give finite numbers by name, of {', '.join(space.expressions)}"
            raise ConditionError(f"nobody can see {probability!r} of {name!r} in a face", hint=hint)


def _without(
    model: ExpressionModel, image: np.ndarray, shares: Sequence[float]
) -> dict[float, tuple[EditMaps | None, np.ndarray]]:
    """Return for each share the edit that takes away so much of what a face expresses, and the image after it.

    For 0 there is no edit, and the image as it is.
    """
    bases: dict[float, tuple[EditMaps | None, np.ndarray]] = {0.0: (None, image)}
    if any(shares):
        neutral = model.space.code(Condition.named(NEUTRAL, 0.0))
        (whole,) = _rendered(model, image[None], neutral[None])
        levels = (image.transpose(1, 2, 0) + 1) * 127.5
        for share in set(shares) - {0.0}:
            edit = scale(whole, share)
            bases[share] = edit, apply(levels, edit).transpose(2, 0, 1) / 127.5 - 1
    return bases


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


def _rendered(model: ExpressionModel, images: np.ndarray, codes: np.ndarray) -> list[EditMaps]:
    rendered = model.render(images.astype(np.float32), codes)
    return [EditMaps(*maps) for maps in zip(*rendered, strict=True)]

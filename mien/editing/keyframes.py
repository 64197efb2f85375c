"""Conditions that change over time: keyframes, and what lies between them.

Between two keyframes the place in the model's space moves evenly from one to the other: on a disc in a straight line, which
passes near neutral where the two lie opposite each other; among labels, and from or to blends, by shares. Before the first
keyframe and after the last one nothing changes.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.conditions import HALVES, Condition, parse_wish
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.spaces import DiscSpace, Space, check_condition

_EXAMPLE = "for example `--at 0:neutral --at 2.5:surprise@0.9`"


@dataclass(frozen=True)
class Keyframe:
    """A condition at one moment."""

    seconds: float
    """When, from the start of the film."""
    condition: Condition
    """What the face shall express then."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ConditionError(f"a keyframe at {self.seconds:g} s is in no film", hint=_EXAMPLE)

    @staticmethod
    def parse(text: str, intensity: float = 0.9) -> Keyframe:
        """Read `2.5:surprise@0.9`, `4:happy:0.6,surprise:0.4` or, for an angle in degrees, `1:135@0.5`.

        `intensity` holds where the text names none.
        """
        time, _, wish = text.partition(":")
        refusal = ConditionError(f"`{text}` is no `SECONDS:EXPRESSION@INTENSITY`", hint=_EXAMPLE)
        try:
            seconds = float(time)
        except ValueError:
            raise refusal from None
        return Keyframe(seconds, parse_wish(wish, intensity, refusal))


@dataclass(frozen=True)
class Keyframes:
    """Conditions over time."""

    frames: tuple[Keyframe, ...]
    """At least one, in the order of their times."""

    def __post_init__(self) -> None:
        if not self.frames:
            raise ConditionError("there are no keyframes", hint=_EXAMPLE)
        for before, after in zip(self.frames, self.frames[1:], strict=False):
            if after.seconds <= before.seconds:
                same = after.seconds == before.seconds
                raise ConditionError(
                    f"there are two keyframes at {after.seconds:g} s"
                    if same
                    else f"the keyframe at {after.seconds:g} s comes after the one at {before.seconds:g} s",
                    hint="give keyframes in the order of their times, one for each",
                )

    @staticmethod
    def constant(condition: Condition) -> Keyframes:
        """Ask for one condition all the time."""
        return Keyframes((Keyframe(0.0, condition),))

    @staticmethod
    def parse(texts: Sequence[str], intensity: float = 0.9) -> Keyframes:
        """Read keyframes as the command line takes them."""
        return Keyframes(tuple(Keyframe.parse(text, intensity) for text in texts))

    def at(self, seconds: float, space: Space) -> Condition:
        """Return the condition at a moment, in the terms of a model's space."""
        after = bisect.bisect_right([frame.seconds for frame in self.frames], seconds)
        if after == 0 or after == len(self.frames):
            return self.frames[min(after, len(self.frames) - 1)].condition
        before, following = self.frames[after - 1], self.frames[after]
        share = (seconds - before.seconds) / (following.seconds - before.seconds)
        return between(before.condition, following.condition, share, space)

    def check(self, space: Space, as_steps: bool = False) -> None:
        """Raise `ConditionError` where a space cannot express one of the conditions, or what lies between two.

        `as_steps`: they are to be steps on the disc (`mien.spaces.check_condition`).
        """
        for frame in self.frames:
            check_condition(space, frame.condition, as_steps)
        for before, after in zip(self.frames, self.frames[1:], strict=False):
            between(before.condition, after.condition, 0.5, space)

    def __str__(self) -> str:
        if len(self.frames) == 1:
            return str(self.frames[0].condition)
        return ", ".join(f"{frame.seconds:g} s: {frame.condition}" for frame in self.frames)


def as_keyframes(wanted: Condition | Keyframes) -> Keyframes:
    """Return keyframes as they are, and a condition as one that holds all the time."""
    return Keyframes.constant(wanted) if isinstance(wanted, Condition) else wanted


def between(first: Condition, second: Condition, share: float, space: Space) -> Condition:
    """Return the condition at `share` (0 to 1) of the way from one to another: on the disc, or else from code to code.

    From a blend, and to one, shares and intensity change evenly, since blends have no place on the disc. A blend and an
    angle have nothing between them, which is a `ConditionError`; nor have two conditions of which one leaves a half of the
    face as it is that the other changes.
    """
    if first.halves or second.halves:
        return _between_halves(first, second, share, space)
    if first.blended or second.blended:
        return _between_blends(first, second, share)
    if isinstance(space, DiscSpace):
        x, y = (1.0 - share) * space.point(first).astype(np.float64) + share * space.point(second).astype(np.float64)
        return Condition.polar(math.atan2(y, x), min(1.0, math.hypot(x, y)))
    code = (1.0 - share) * space.code(first).astype(np.float64) + share * space.code(second).astype(np.float64)
    total = float(code.sum())  # 1 where the labels include neutral, else the intensity
    if total <= 0:
        return Condition.named(space.expressions[0], 0.0)
    return Condition.blend(dict(zip(space.expressions, code / total, strict=True)), min(1.0, total))


def _between_halves(first: Condition, second: Condition, share: float, space: Space) -> Condition:
    """Return what lies between two conditions half by half; neither may leave a half as it is that the other changes."""
    ways = {}
    for half in HALVES:
        before, after = first.half(half), second.half(half)
        if (before is None) != (after is None):
            raise ConditionError(
                f"between `{first}` and `{second}` the {half} half of the face has no way to go",
                hint="say at both keyframes what it shall express, or at neither",
            )
        if before is not None and after is not None:
            try:
                ways[half] = between(before, after, share, space)
            except ConditionError as error:
                raise ConditionError(f"{half} half: {error}", hint=error.hint) from None
    return Condition.of_halves(**ways)


def _between_blends(first: Condition, second: Condition, share: float) -> Condition:
    """Return shares and intensity evenly between two conditions by name; neutral is any of them at intensity 0."""
    ways = []
    for condition in (first, second):
        if condition.angle_radians is not None and condition.intensity > 0:
            raise ConditionError(
                f"between `{first}` and `{second}` there is nothing: a blend is no place on the disc",
                hint="give names, or angles, at both keyframes",
            )
        names = {name: part for name, part in condition.shares if name != NEUTRAL}
        ways.append((names, condition.intensity * sum(names.values())))
    (before, low), (after, high) = ways
    before, after = before or after, after or before  # from neutral the expression only grows
    totals = [sum(names.values()) for names in (before, after)]
    weights = {
        name: (1.0 - share) * before.get(name, 0.0) / totals[0] + share * after.get(name, 0.0) / totals[1]
        for name in {**before, **after}
    }
    return Condition.blend(weights, min(1.0, (1.0 - share) * low + share * high))

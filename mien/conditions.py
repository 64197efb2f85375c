"""What a person asks a face to express: expressions with shares and an intensity, or a point of the disc.

The upper and the lower half of a face may be asked for different expressions. A model's space (`mien.spaces`) turns
conditions into the numbers that it was trained on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mien.errors import ConditionError
from mien.expressions import NEUTRAL, parse_expression
from mien.wording import expression_of, parse_words

#: Brows, eyes and forehead; mouth, cheeks and chin.
HALVES = ("upper", "lower")
_EXAMPLE = "for example `happy:0.6,surprise:0.4`"
_HALVES_EXAMPLE = "for example `upper=sad/lower=happy@0.5`; a half that is not named stays as it is"


@dataclass(frozen=True)
class Condition:
    """What a face should express; made by `named`, `blend`, `polar`, `of_halves` or `parse`.

    One of three is set: `shares` (names with weights above zero, summing to 1), `angle_radians` or `halves`.
    """

    shares: tuple[tuple[str, float], ...]
    """Expressions and their shares; empty where an angle or halves are given."""
    intensity: float
    """How far from neutral, 0 to 1: the radius rho of the disc; of halves, the greater one."""
    angle_radians: float | None = None
    """Direction theta on the disc, where the caller gives it directly."""
    halves: tuple[tuple[str, Condition], ...] = ()
    """What the halves of the face (`HALVES`) shall express, each by itself; one that is not named stays as it is."""

    def __post_init__(self) -> None:
        _check_intensity(self.intensity)
        if self.angle_radians is not None and not math.isfinite(self.angle_radians):
            raise ConditionError(f"angle {self.angle_radians} is not a finite number", hint="give degrees, e.g. 135")
        if sum((bool(self.shares), self.angle_radians is not None, bool(self.halves))) != 1:
            raise ConditionError(
                "a condition has either expressions, an angle or halves",
                hint="make it with `Condition.named`, `blend`, `polar`, `of_halves` or `parse`",
            )

    @staticmethod
    def named(expression: str, intensity: float = 0.9) -> Condition:
        """Ask for one expression by name."""
        return Condition(((parse_expression(expression), 1.0),), intensity)

    @staticmethod
    def blend(weights: Mapping[str, float], intensity: float = 0.9) -> Condition:
        """Ask for a mixture; weights are positive and are scaled to sum to 1."""
        names = [(parse_expression(name), float(weight)) for name, weight in weights.items()]
        total = sum(weight for _, weight in names)
        if not names or not math.isfinite(total) or total <= 0 or any(weight < 0 for _, weight in names):
            raise ConditionError("a blend needs weights above zero", hint="for example `happy:0.6,surprise:0.4`")
        return Condition(tuple((name, weight / total) for name, weight in names if weight > 0), intensity)

    @staticmethod
    def polar(angle_radians: float, intensity: float) -> Condition:
        """Ask for a point of the disc: direction theta in radians, radius rho."""
        angle = float(angle_radians)
        return Condition((), intensity, angle % (2 * math.pi) if math.isfinite(angle) else angle)

    @staticmethod
    def of_halves(*, upper: Condition | None = None, lower: Condition | None = None) -> Condition:
        """Ask for something else of the upper half of the face (brows, eyes) than of the lower one (mouth, cheeks, chin).

        A half for which nothing is given stays as it is. The same for both is asked of the whole face.
        """
        halves = tuple((name, half) for name, half in zip(HALVES, (upper, lower), strict=True) if half is not None)
        if not halves or any(not isinstance(half, Condition) or half.halves for _, half in halves):
            raise ConditionError("half a face needs an expression of its own", hint=_HALVES_EXAMPLE)
        if upper == lower:
            return halves[0][1]
        return Condition((), max(half.intensity for _, half in halves), halves=halves)

    @staticmethod
    def parse(text: str, intensity: float = 0.9) -> Condition:
        """Read what the command line reads: `happy`, `happy@0.5`, `happy:0.6,surprise:0.4`, `upper=sad/lower=happy@0.5`.

        Or in words, `a bit fearful, mostly surprised` (`mien.wording`). `intensity` holds where the text names none.
        """
        return parse_wish(text, intensity, ConditionError(f"`{text}` names no expression", hint=_EXAMPLE))

    @staticmethod
    def _of_shares(text: str, intensity: float) -> Condition:
        """Read `happy:0.6,surprise:0.4`."""
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, colon, weight = part.partition(":")
            if colon and name.strip().lower() in HALVES:
                raise ConditionError(
                    f"`{part.strip()}` does not say what half a face shall express", hint=_HALVES_EXAMPLE
                )
            try:
                known = expression_of(name)
                weights[known] = weights.get(known, 0.0) + (float(weight) if colon else 1.0)
            except ConditionError:
                if len(name.split()) < 2:
                    raise
                hint = f"{_EXAMPLE}, or all of it in words"
                raise ConditionError(f"`{part.strip()}` is not `name:share`", hint=hint) from None
            except ValueError:
                raise ConditionError(f"`{part.strip()}` is not `name:share`", hint=_EXAMPLE) from None
        condition = Condition.blend(weights, intensity)
        if "," not in text:
            _, _, weight = text.partition(":")
            raise ConditionError(
                f"`{text}` is one expression: a share of nothing else means nothing",
                hint=f"for a weaker one say its intensity: `--intensity {weight}`, or `{next(iter(weights))}@{weight}`",
            )
        return condition

    @staticmethod
    def _of_words(text: str, intensity: float, told: bool) -> Condition:
        """Read `happy`, `happy,sad` or `a bit fearful, mostly surprised`; `told` says that a number gives the intensity."""
        words = parse_words(text)
        if words.intensity is None:
            return Condition.blend(words.weights, intensity)
        if told and words.alone:
            hint = f"leave one of them out, for example `{','.join(words.weights)}@{intensity:g}`"
            raise ConditionError(f"`{text.strip()}` and @ say twice how strong", hint=hint)
        return Condition.blend(words.weights, intensity if told else words.intensity)

    def by_half(self) -> tuple[tuple[str | None, Condition], ...]:
        """Return what the halves of the face shall express, by name; of the whole face, that alone, under None."""
        return self.halves or ((None, self),)

    def half(self, name: str) -> Condition | None:
        """Return what `upper` or `lower` half of the face shall express; None where it is to stay as it is."""
        if name not in HALVES:
            raise ConditionError(f"a face has no {name} half", hint=f"say {' or '.join(HALVES)}")
        return dict(self.halves).get(name) if self.halves else self

    def changed(self, change: Callable[[Condition], Condition]) -> Condition:
        """Return what a function makes of this condition, or of each half's."""
        return (
            Condition.of_halves(**{name: change(half) for name, half in self.halves}) if self.halves else change(self)
        )

    def at_intensity(self, intensity: float) -> Condition:
        """Return the same at another intensity; of halves, the weaker one keeps its share of the stronger one's."""
        if not self.halves:
            return dataclasses.replace(self, intensity=intensity)
        share = {name: half.intensity / self.intensity if self.intensity else 1.0 for name, half in self.halves}
        scaled = {name: half.at_intensity(intensity * share[name]) for name, half in self.halves}
        return Condition.of_halves(**scaled)

    @property
    def blended(self) -> bool:
        """Whether more than one expression is asked for, neutral apart."""
        return sum(name != NEUTRAL for name, _ in self.shares) > 1

    def parts(self) -> list[tuple[float, Condition]]:
        """Return the single conditions whose edits, so much of each, are the edit that a blend asks for.

        Their weights are the shares divided by their Euclidean norm (0.71 and 0.71 of two equal ones): edits of different
        expressions are about as different as unrelated ones, and add up as these do. Neutral's share takes from the
        intensity. Whatever is no blend is its own one part.
        """
        if not self.blended:
            return [(1.0, self)]
        outward = {name: share for name, share in self.shares if name != NEUTRAL}
        norm, intensity = math.hypot(*outward.values()), self.intensity * min(1.0, sum(outward.values()))
        return [(share / norm, Condition.named(name, intensity)) for name, share in outward.items()]

    def to_json(self) -> dict[str, Any]:
        """Describe the condition as pages send it: `expression` or `angle` (degrees) with `intensity`, or each half."""
        if self.halves:
            return {name: half.to_json() for name, half in self.halves}
        strength = {"intensity": round(self.intensity, 2)}
        if self.angle_radians is not None:
            return {"angle": round(math.degrees(self.angle_radians), 1), **strength}
        names = ",".join(name if share == 1 else f"{name}:{share:.3g}" for name, share in self.shares)
        return {"expression": names, **strength}

    def __str__(self) -> str:
        if self.halves:
            return ", ".join(f"{name} half {half}" for name, half in self.halves)
        if self.angle_radians is not None:
            return f"{math.degrees(self.angle_radians):.0f} deg @ {self.intensity:.3g}"
        return "+".join(n if s == 1 else f"{n}:{s:.2g}" for n, s in self.shares) + f" @ {self.intensity:.3g}"


def parse_wish(text: str, intensity: float, refusal: ConditionError) -> Condition:
    """Read `surprise`, `surprise@0.9`, `happy:0.6,surprise:0.4@0.8`, `upper=sad/lower=happy@0.5` or, in degrees, `135@0.5`.

    `intensity` holds where the text names none. Raises `refusal` for what has another form, and `ConditionError` for names
    and numbers that mean nothing.
    """
    _check_intensity(intensity)
    if "=" in text:
        return _parse_halves(text, intensity)
    wanted, at, strength = text.partition("@")
    try:
        intensity = float(strength) if at else intensity
    except ValueError:
        wanted = ""
    if not wanted.strip():
        raise refusal
    try:
        degrees = float(wanted)
    except ValueError:
        return (
            Condition._of_shares(wanted, intensity)
            if ":" in wanted
            else Condition._of_words(wanted, intensity, bool(at))
        )
    if 0 < abs(degrees) < 1 and not at:
        raise ConditionError(
            f"`{wanted.strip()}` alone would be an angle, of less than a degree",
            hint=f"say whose intensity it is, `sad@{wanted.strip()}`, or an angle in degrees, `135@0.5`",
        )
    return Condition.polar(math.radians(degrees), intensity)


def _check_intensity(intensity: float) -> None:
    if not (math.isfinite(intensity) and 0.0 <= intensity <= 1.0):
        raise ConditionError(f"intensity {intensity:g} is out of range", hint="give a number from 0 to 1")


def _parse_halves(text: str, intensity: float) -> Condition:
    """Read `upper=sad/lower=happy@0.5`, one half or both."""
    halves: dict[str, Condition] = {}
    for part in text.split("/"):
        name, equals, wish = (piece.strip() for piece in part.partition("="))
        name = name.lower()
        if name not in HALVES or not equals or "=" in wish:
            raise ConditionError(f"`{text}` does not say what half a face shall express", hint=_advice(text))
        if name in halves:
            raise ConditionError(f"`{text}` says twice what the {name} half shall express", hint=_HALVES_EXAMPLE)
        refusal = ConditionError(f"`{part.strip()}` names no expression", hint=_HALVES_EXAMPLE)
        halves[name] = parse_wish(wish, intensity, refusal)
    return Condition.of_halves(**halves)


def _advice(text: str) -> str:
    """Return what to say instead, where names of expressions have numbers: with `happy=0.5` an intensity is meant."""
    weights: dict[str, float] = {}
    with contextlib.suppress(ValueError, ConditionError):
        for part in text.split(","):
            name, _, number = part.partition("=")
            weights[expression_of(name)] = float(number)
            _check_intensity(weights[expression_of(name)])
        if len(weights) == 1:
            return "for an intensity say `{}@{:g}`".format(*weights.popitem())
        return f"for a blend say `{','.join(f'{name}:{share:g}' for name, share in weights.items())}`"
    return _HALVES_EXAMPLE

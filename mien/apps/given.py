"""Turn what was typed into values: conditions, thresholds, settings, options of a dataset's reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.errors import ConditionError

_SWITCHES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def condition(expression: str | None, angle: float | None, intensity: float) -> Any:
    """Return the `Condition` of names or of an angle in degrees, of which exactly one must be given."""
    import math

    from mien.conditions import Condition
    from mien.errors import ConditionError

    if (expression is None) == (angle is None):
        raise ConditionError("give either --expression or --angle", hint="for example `--expression happy`")
    if angle is not None:
        return Condition.polar(math.radians(angle), intensity)
    return Condition.parse(expression or "", intensity)


#: A face's number, and perhaps a moment of a film, before the wish.
_FACE = re.compile(r"\s*([0-9]{1,6})\s*(?:@([^:]*))?")
_FOR_FACES = "for example `--for 1:happy --for 2:sad@0.5`"
FOR_MOMENTS = "for example `--for 1@0:neutral --for 1@2.5:surprise@0.9 --for 2:sad`"


def wishes(texts: list[str], intensity: float) -> dict[int, Any]:
    """Return the `Condition` of each face, by its number from 1, of `FACE:NAMES@INTENSITY`."""
    from mien.errors import ConditionError

    found: dict[int, Any] = {}
    for text in texts:
        refusal = ConditionError(f"`--for {text}` is no FACE:NAMES@INTENSITY", hint=f"{_FOR_FACES}; faces count from 1")
        number, moment, wanted = _of_one_face(text, intensity, refusal)
        if moment is not None:
            raise ConditionError(f"`--for {text}` names a time, which only films have", hint=_FOR_FACES)
        if number in found:
            raise ConditionError(f"--for says twice what face {number} shall express", hint=_FOR_FACES)
        found[number] = wanted
    return found


def film_wishes(texts: list[str], intensity: float) -> dict[int, Any]:
    """Return the `Keyframes` of each face, by its number from 1.

    Of `FACE:NAMES@INTENSITY`, all the time, and `FACE@SECONDS:NAMES@INTENSITY`, of which a face may have several.
    """
    from mien.editing.keyframes import Keyframe, Keyframes
    from mien.errors import ConditionError

    form, hint = "FACE:NAMES@INTENSITY or FACE@SECONDS:NAMES@INTENSITY", f"{FOR_MOMENTS}; faces count from 1"
    found: dict[int, Any] = {}
    always: set[int] = set()
    for text in texts:
        refusal = ConditionError(f"`--for {text}` is no {form}", hint=hint)
        number, moment, wanted = _of_one_face(text, intensity, refusal)
        if number in always or (moment is None and number in found):
            raise ConditionError(f"--for says twice what face {number} shall express", hint=FOR_MOMENTS)
        if moment is None:
            always.add(number)
        before = found[number].frames if number in found else ()
        try:
            found[number] = Keyframes((*before, Keyframe(moment or 0.0, wanted)))
        except ConditionError as error:
            order = f"give each face's times in order, one for each; {FOR_MOMENTS}"
            raise ConditionError(f"face {number}: {error}", hint=order) from None
    return found


def _of_one_face(text: str, intensity: float, refusal: ConditionError) -> tuple[int, float | None, Any]:
    """Return whom `--for` means, when in a film if it says so, and what that face shall express; else raise `refusal`."""
    from mien.conditions import parse_wish

    face, _, wish = text.partition(":")
    match = _FACE.fullmatch(face)
    if match is None or int(match[1]) < 1:
        raise refusal
    try:
        moment = None if match[2] is None else float(match[2])
    except ValueError:
        raise refusal from None
    return int(match[1]), moment, parse_wish(wish, intensity, refusal)


def wish_of(expression: str | None, angle: float | None, intensity: float, face: str, by_face: list[str] | None) -> Any:
    """Return the `Condition` of the faces that --face chooses, or those of single faces by number."""
    if not by_face:
        return condition(expression, angle, intensity)
    check_alone(expression, angle, face)
    return wishes(by_face, intensity)


def check_alone(expression: str | None, angle: float | None, face: str) -> None:
    """Raise `ConditionError` where --for is not the only one to say which faces shall express what."""
    from mien.errors import ConditionError

    if expression is not None or angle is not None or face != "all":
        raise ConditionError("--for stands for --expression, --angle and --face", hint=_FOR_FACES)


def numbers(text: str, option: str) -> list[float]:
    """Split comma-separated numbers, each from 0 to 1, as an option took them."""
    from mien.errors import ConfigError

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 <= value <= 1 for value in values):
        raise ConfigError(
            f"`{option} {text}` is no list of numbers from 0 to 1", hint=f"for example `{option} 0.9,0.4`"
        )
    return list(dict.fromkeys(values))


def settings(pairs: list[str], option: str) -> dict[str, str]:
    """Split `key=value` pairs, as an option took them."""
    from mien.errors import ConfigError

    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"`{option} {pair}` is not key=value", hint=f"for example `{option} KEY=VALUE`")
        settings[key.strip()] = value.strip()
    return settings


def reader_options(dataset: str, settings: dict[str, str]) -> dict[str, Any]:
    """Turn `--option`s into arguments of the dataset's reader, of the type that its defaults have."""
    import inspect

    from mien.datasets import READERS
    from mien.errors import ConfigError

    known = {name: p.default for name, p in inspect.signature(READERS[dataset]).parameters.items() if name != "source"}
    chosen: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"`{dataset}` has no option `{name}`", hint=f"known: {', '.join(known)}")
        if isinstance(known[name], bool):
            if value.lower() not in _SWITCHES:
                raise ConfigError(f"{name}={value} is neither yes nor no", hint=f"for example {name}=no")
            chosen[name] = _SWITCHES[value.lower()]
            continue
        try:
            chosen[name] = int(value) if isinstance(known[name], int) else value
        except ValueError:
            raise ConfigError(f"{name}={value} is no whole number", hint=f"for example {name}={known[name]}") from None
    return chosen


def span(text: str, option: str) -> tuple[float, float]:
    """Return the two numbers of `FROM:TO`; a single one stands for both."""
    from mien.errors import ConfigError

    first, _, last = text.partition(":")
    try:
        return float(first), float(last or first)
    except ValueError:
        raise ConfigError(f"`{option} {text}` is no FROM:TO", hint=f"for example `{option} 0.6:1`") from None

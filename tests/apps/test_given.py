"""What was typed, turned into values."""

from __future__ import annotations

import math

import pytest

from mien.apps.given import film_wishes, reader_options, wishes
from mien.conditions import Condition
from mien.editing.keyframes import Keyframe, Keyframes
from mien.errors import ConditionError, ConfigError


@pytest.mark.parametrize(
    ("typed", "value"), [("no", False), ("false", False), ("0", False), ("Yes", True), ("1", True)]
)
def test_switches_of_a_reader(typed: str, value: bool) -> None:
    assert reader_options("affectnet", {"boxes": typed}) == {"boxes": value}
    assert reader_options("affectnet", {"contempt": typed})["contempt"] is value


def test_options_take_the_type_of_their_default() -> None:
    typed = {"every": "5", "rule": "seed", "annotations": "1"}
    assert reader_options("affwild2", typed) == {"every": 5, "rule": "seed", "annotations": "1"}


@pytest.mark.parametrize(
    ("dataset", "option", "value", "message"),
    [
        ("affectnet", "boxes", "maybe", "neither yes nor no"),
        ("affwild2", "every", "five", "no whole number"),
        ("rafdb", "boxes", "no", "has no option"),
    ],
)
def test_what_does_not_fit_is_said(dataset: str, option: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        reader_options(dataset, {option: value})
    assert error.value.hint


def test_wishes_of_single_faces() -> None:
    typed = ["2:surprise@0.6", "1:happy:0.6,sad:0.4", "12: 135@0.5"]
    assert wishes(typed, 0.8) == {
        2: Condition.named("surprise", 0.6),
        1: Condition.parse("happy:0.6,sad:0.4", 0.8),
        12: Condition.polar(math.radians(135), 0.5),
    }


def test_wishes_of_halves_of_single_faces() -> None:
    halves = Condition.of_halves(upper=Condition.parse("sad:0.6,fear:0.4", 0.8), lower=Condition.named("happy", 0.3))
    assert wishes(["2:upper=sad:0.6,fear:0.4/lower=happy@0.3"], 0.8) == {2: halves}
    (path,) = film_wishes(["1@2.5:upper=sad"], 0.8).values()
    assert path.frames[0].condition == Condition.of_halves(upper=Condition.named("sad", 0.8))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["happy"], "`--for happy` is no FACE:NAMES@INTENSITY"),
        (["happy:1"], "is no FACE"),
        (["0:happy"], "is no FACE"),
        (["-1:happy"], "is no FACE"),
        (["1:"], "`--for 1:` is no FACE"),
        (["1:happy@much"], "`--for 1:happy@much` is no FACE"),
        (["9" * 5000 + ":happy"], "is no FACE"),
        (["\u0661:happy"], "is no FACE"),
        (["1:hapy"], "unknown expression `hapy`"),
        (["1:happy", "2:sad", "1:sad"], "says twice what face 1 shall express"),
        (["1@2:happy"], "`--for 1@2:happy` names a time, which only films have"),
    ],
)
def test_a_wish_that_is_none_is_said(typed: list[str], message: str) -> None:
    with pytest.raises(ConditionError, match=message) as error:
        wishes(typed, 0.9)
    assert error.value.hint


def test_wishes_of_single_faces_of_a_film_may_have_moments() -> None:
    sad, happy = Condition.named("sad", 0.8), Condition.named("happy", 0.5)
    assert film_wishes(["2:sad", "1@0:sad", "1@ 2.5:happy@0.5", "3@4:135"], 0.8) == {
        2: Keyframes.constant(sad),
        1: Keyframes((Keyframe(0.0, sad), Keyframe(2.5, happy))),
        3: Keyframes((Keyframe(4.0, Condition.polar(math.radians(135), 0.8)),)),
    }


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["1@:happy"], "`--for 1@:happy` is no FACE:NAMES@INTENSITY or FACE@SECONDS:NAMES@INTENSITY"),
        (["1@soon:happy"], "is no FACE"),
        (["@2:happy"], "is no FACE"),
        (["0@2:happy"], "is no FACE"),
        (["1@2"], "is no FACE"),
        (["1@2:"], "is no FACE"),
        (["1@-2:happy"], "face 1: a keyframe at -2 s is in no film"),
        (["1@nan:happy"], "in no film"),
        (["1@2:hapy"], "unknown expression `hapy`"),
        (["1@2:happy", "1:sad"], "says twice what face 1 shall express"),
        (["1:happy", "1@2:sad"], "says twice what face 1 shall express"),
        (["1@2:happy", "2:sad", "1@2:sad"], "face 1: there are two keyframes at 2 s"),
        (["1@2:happy", "2@2:sad", "2@1:sad"], "face 2: the keyframe at 1 s comes after the one at 2 s"),
    ],
)
def test_a_wish_for_a_film_that_is_none_is_said(typed: list[str], message: str) -> None:
    with pytest.raises(ConditionError, match=message) as error:
        film_wishes(typed, 0.9)
    assert error.value.hint and ("--for 1@2.5:surprise" in error.value.hint or "unknown" in message)

"""Conditions: what a person types or says in Python, by name, angle, blend and half of the face."""

from __future__ import annotations

import math

import pytest

from mien.apps.pages import condition_of
from mien.conditions import Condition, parse_wish
from mien.errors import ConditionError

SAD, HAPPY = Condition.named("sad", 0.9), Condition.named("happy", 0.5)


def test_a_blend_is_scaled_to_shares() -> None:
    assert Condition.blend({"joy": 3, "surprised": 1, "sad": 0}, 0.5) == Condition(
        (("happy", 0.75), ("surprise", 0.25)), 0.5
    )


def test_text_of_the_command_line_is_read() -> None:
    assert Condition.parse("happy", 0.7) == Condition.named("happy", 0.7)
    assert Condition.parse("happy:0.6, surprise:0.4") == Condition.blend({"happy": 0.6, "surprise": 0.4})
    assert Condition.parse("happy,sad") == Condition.blend({"happy": 1, "sad": 1})
    assert Condition.parse("happy@0.5") == HAPPY
    assert Condition.parse("135@0.5") == Condition.polar(math.radians(135), 0.5)


@pytest.mark.parametrize(
    "text", ["", "happy:", "happy:much", "happy:0", "happy:-1,sad:2", "happy:nan", "sad:inf", "hapy"]
)
def test_text_that_means_nothing_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ConditionError) as error:
        Condition.parse(text)
    assert error.value.hint


@pytest.mark.parametrize("intensity", [-0.1, 1.1, math.nan, math.inf])
def test_intensity_is_from_0_to_1(intensity: float) -> None:
    with pytest.raises(ConditionError, match="out of range"):
        Condition.named("happy", intensity)


@pytest.mark.parametrize("text", ["happy@0.5", "upper=sad@0.5", "135@0.5"])
def test_an_intensity_that_no_text_uses_is_checked_all_the_same(text: str) -> None:
    with pytest.raises(ConditionError, match="intensity 7 is out of range"):
        Condition.parse(text, 7.0)


@pytest.mark.parametrize("angle", [math.nan, math.inf, -math.inf])
def test_an_angle_must_be_a_number(angle: float) -> None:
    with pytest.raises(ConditionError, match="not a finite number"):
        Condition.polar(angle, 0.5)


def test_conditions_print_as_people_write_them() -> None:
    assert str(Condition.named("happy")) == "happy @ 0.9"
    assert str(Condition.parse("happy:3,sad:1", 0.5)) == "happy:0.75+sad:0.25 @ 0.5"
    assert str(Condition.polar(math.pi / 2, 0.25)) == "90 deg @ 0.25"


def test_the_parts_of_a_blend_by_hand() -> None:
    assert Condition.named("sad", 0.7).parts() == [(1.0, Condition.named("sad", 0.7))]
    assert Condition.polar(1.0, 0.7).parts() == [(1.0, Condition.polar(1.0, 0.7))]
    half = Condition.blend({"sad": 1, "neutral": 1}, 0.8)
    assert not half.blended and half.parts() == [(1.0, half)]
    parts = Condition.blend({"sad": 3, "fear": 4, "neutral": 7}, 0.8).parts()
    assert [weight for weight, _ in parts] == pytest.approx([0.6, 0.8])
    assert [(part.shares, part.intensity) for _, part in parts] == [
        ((("sad", 1.0),), pytest.approx(0.4)),
        ((("fear", 1.0),), pytest.approx(0.4)),
    ]


def test_a_share_of_nothing_else_is_no_intensity() -> None:
    with pytest.raises(ConditionError, match="means nothing") as error:
        Condition.parse("happy:0.3")
    assert error.value.hint == "for a weaker one say its intensity: `--intensity 0.3`, or `happy@0.3`"


# --- halves of a face --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("upper=sad", Condition.of_halves(upper=SAD)),
        ("lower=happy@0.5", Condition.of_halves(lower=HAPPY)),
        ("upper=sad/lower=happy@0.5", Condition.of_halves(upper=SAD, lower=HAPPY)),
        (" lower = happy@0.5 / upper=sad ", Condition.of_halves(upper=SAD, lower=HAPPY)),
        (
            "upper=sad:1,fear:3@0.4/lower=135",
            Condition.of_halves(
                upper=Condition.blend({"sad": 1, "fear": 3}, 0.4), lower=Condition.polar(math.radians(135), 0.9)
            ),
        ),
        ("upper=happy@0.5/lower=happy@0.5", HAPPY),
        ("Upper=Sad", Condition.of_halves(upper=SAD)),
    ],
)
def test_halves_are_read_as_they_are_typed(text: str, wanted: Condition) -> None:
    assert Condition.parse(text) == wanted
    assert parse_wish(text, 0.9, ConditionError("refused")) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("left=sad", "`left=sad` does not say what half"),
        ("upper=", "`upper=` names no expression"),
        ("upper=sad/", "`upper=sad/` does not say"),
        ("upper=sad/happy", "`upper=sad/happy` does not say"),
        ("upper=sad,lower=happy", "`upper=sad,lower=happy` does not say"),
        ("upper=sad/upper=happy", "twice what the upper half"),
        ("upper=hapy", "unknown expression `hapy`"),
        ("upper=sad@2", "out of range"),
        ("upper=sad@much", "`upper=sad@much` names no expression"),
        ("=sad", "`=sad` does not say"),
        ("upper:sad", "`upper:sad` does not say what half"),
        ("happy,lower:sad", "`lower:sad` does not say what half"),
    ],
)
def test_halves_that_mean_nothing_are_refused_with_a_hint(text: str, says: str) -> None:
    with pytest.raises(ConditionError, match=says) as error:
        Condition.parse(text)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("smile=0.50", "happy@0.5`"),
        ("happy=0.5,sad=0.25", "happy:0.5,sad:0.25`"),
        ("happy=lots", "upper=sad/"),
        ("happy=50", "upper=sad/"),
        ("happy=nan", "upper=sad/"),
        ("x=1", "upper=sad/"),
        ("upper=sad/happy=0.5", "upper=sad/"),
        ("happy=0.5/sad=0.5", "upper=sad/"),
    ],
)
def test_who_means_an_intensity_is_told_how_it_is_said(text: str, hint: str) -> None:
    with pytest.raises(ConditionError, match="does not say what half") as error:
        Condition.parse(text)
    assert f"`{hint}" in error.value.hint


@pytest.mark.parametrize("text", ["0.5", "-0.5", "upper=0.5", "upper=sad/lower=0.5"])
def test_less_than_a_degree_is_an_intensity_that_was_meant(text: str) -> None:
    with pytest.raises(ConditionError, match="would be an angle, of less than a degree") as caught:
        Condition.parse(text)
    assert "sad@" in caught.value.hint
    for angle in (0, 1, -1, 359.5):
        assert Condition.parse(str(angle)) == Condition.polar(math.radians(angle), 0.9)
    assert Condition.parse("0.5@0.3") == Condition.polar(math.radians(0.5), 0.3)  # with an intensity it can be no other


def test_a_condition_has_one_form_and_a_face_two_halves() -> None:
    halves = Condition.of_halves(upper=SAD).halves
    for given in (
        ((), 0.5, None, ()),
        (SAD.shares, 0.5, 1.0, ()),
        (SAD.shares, 0.5, None, halves),
        ((), 0.5, 1.0, halves),
    ):
        with pytest.raises(ConditionError, match="either expressions, an angle or halves"):
            Condition(*given)
    with pytest.raises(ConditionError, match="no uper half"):
        SAD.half("uper")


def test_halves_of_halves_and_no_halves_are_refused() -> None:
    with pytest.raises(ConditionError):
        Condition.of_halves()
    for half in (Condition.of_halves(lower=SAD), "sad"):
        with pytest.raises(ConditionError, match="of its own"):
            Condition.of_halves(upper=half)  # type: ignore[arg-type]


def test_what_halves_say_of_themselves() -> None:
    both = Condition.of_halves(upper=SAD, lower=HAPPY)
    assert str(both) == "upper half sad @ 0.9, lower half happy @ 0.5"
    assert both.intensity == 0.9 and both.by_half() == (("upper", SAD), ("lower", HAPPY))
    assert (both.half("upper"), both.half("lower")) == (SAD, HAPPY)
    assert Condition.of_halves(lower=HAPPY).half("upper") is None
    assert SAD.half("upper") == SAD and SAD.by_half() == ((None, SAD),)


def test_halves_keep_their_proportion_at_another_intensity() -> None:
    both = Condition.of_halves(upper=SAD, lower=HAPPY)
    weaker = both.at_intensity(0.45)
    assert [half.intensity for _, half in weaker.halves] == pytest.approx([0.45, 0.25])
    assert [half.intensity for _, half in both.at_intensity(0.0).at_intensity(0.6).halves] == [0.6, 0.6]
    assert SAD.at_intensity(0.2) == Condition.named("sad", 0.2)


def test_a_change_reaches_each_half() -> None:
    def louder(condition: Condition) -> Condition:
        return condition.at_intensity(1.0)

    assert SAD.changed(louder) == Condition.named("sad", 1.0)
    both = Condition.of_halves(upper=SAD, lower=HAPPY).changed(louder)
    assert both == Condition.parse("upper=sad/lower=happy", 1.0)


def test_what_a_page_is_told_comes_back_as_the_same_condition() -> None:
    both = Condition.of_halves(
        upper=Condition.blend({"sad": 1, "fear": 3}, 0.4), lower=Condition.polar(math.pi / 2, 0.2)
    )
    told = {"upper": {"expression": "sad:0.25,fear:0.75", "intensity": 0.4}, "lower": {"angle": 90.0, "intensity": 0.2}}
    assert both.to_json() == told and condition_of(told) == both
    assert HAPPY.to_json() == {"expression": "happy", "intensity": 0.5} and condition_of(HAPPY.to_json()) == HAPPY

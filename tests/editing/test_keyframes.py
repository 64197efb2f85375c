"""Keyframes: between two of them the code moves evenly, in every space; what is out of order is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.conditions import Condition
from mien.editing.keyframes import Keyframe, Keyframes, between
from mien.errors import ConditionError
from mien.expressions import BASIC
from mien.spaces import DiscSpace, LabelSpace

DISC = DiscSpace(BASIC, tuple(0.3 + i * math.pi / 3 for i in range(6)))
LABELS = LabelSpace(BASIC)
WITHOUT_NEUTRAL = LabelSpace(BASIC[1:])


@pytest.mark.parametrize(
    ("text", "seconds", "condition"),
    [
        ("0:neutral", 0.0, Condition.named("neutral", 0.7)),
        ("2.5:surprise@0.9", 2.5, Condition.named("surprise", 0.9)),
        ("4:happy:0.6,surprise:0.4@1", 4.0, Condition.blend({"happy": 0.6, "surprise": 0.4}, 1.0)),
        ("1:135@0.5", 1.0, Condition.polar(math.radians(135), 0.5)),
        ("1:angry", 1.0, Condition.named("anger", 0.7)),
    ],
)
def test_keyframes_are_read_as_they_are_typed(text: str, seconds: float, condition: Condition) -> None:
    assert Keyframe.parse(text, 0.7) == Keyframe(seconds, condition)


@pytest.mark.parametrize(
    "text", ["happy", "x:happy", "1:", ":happy", "1:happy@", "1:happy@much", "1:hapy", "-1:happy", "nan:sad", "1:sad@2"]
)
def test_what_is_no_keyframe_is_refused(text: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Keyframe.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((1.0, 0.5), "at 0.5 s comes after the one at 1 s"),
        ((1.0, 1.0), "two keyframes at 1 s"),
        ((0.0, 2.0, 1.0), "comes after"),
    ],
)
def test_keyframes_out_of_order_are_one_clear_error(times: tuple[float, ...], said: str) -> None:
    with pytest.raises(ConditionError, match=said) as caught:
        Keyframes(tuple(Keyframe(time, Condition.named("happy")) for time in times))
    assert "order" in caught.value.hint
    with pytest.raises(ConditionError, match="no keyframes"):
        Keyframes(())


@pytest.mark.parametrize("space", [DISC, LABELS, WITHOUT_NEUTRAL], ids=["disc", "labels", "labels without neutral"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_code_moves_in_a_straight_line(space, share: float) -> None:
    first, second = Condition.named("happy", 0.4), Condition.named("fear", 1.0)
    code = space.code(between(first, second, share, space))
    assert code == pytest.approx((1 - share) * space.code(first) + share * space.code(second), abs=1e-6)


def test_a_film_goes_from_keyframe_to_keyframe() -> None:
    frames = Keyframes.parse(["1:happy@0.8", "3:neutral", "4:anger@1"])
    happy, anger = DISC.code(Condition.named("happy", 0.8)), DISC.code(Condition.named("anger", 1.0))
    expected = {0: happy, 1: happy, 2: happy / 2, 3: 0 * happy, 3.25: anger / 4, 4: anger, 99: anger}
    for seconds, code in expected.items():
        assert DISC.code(frames.at(seconds, DISC)) == pytest.approx(code, abs=1e-6), seconds
    # Opposites: the way leads through neutral.
    opposite = Keyframes.parse(["0:0@1", "1:180@1"])
    assert np.hypot(*DISC.code(opposite.at(0.5, DISC))) == pytest.approx(0, abs=1e-6)


def test_without_intensity_a_space_without_neutral_stays_at_zero() -> None:
    none = between(Condition.named("happy", 0.0), Condition.named("sad", 0.0), 0.5, WITHOUT_NEUTRAL)
    assert not WITHOUT_NEUTRAL.code(none).any()


def test_what_the_space_cannot_express_is_refused_beforehand() -> None:
    with pytest.raises(ConditionError, match="conditioned on names"):
        Keyframes.parse(["0:neutral", "1:90"]).check(LABELS)
    Keyframes.parse(["0:neutral", "1:90"]).check(DISC)
    assert str(Keyframes.parse(["0:neutral", "1:90@0.5"])) == "0 s: neutral @ 0.9, 1 s: 90 deg @ 0.5"


def test_to_and_from_blends_shares_and_intensity_change_evenly() -> None:
    blend = "happy:0.5,surprise:0.5"
    film = Keyframes.parse(["0:neutral", f"1:{blend}@0.8", "2:happy@0.4", "3:40@0"])
    film.check(DISC)
    assert film.at(1.0, DISC) == Condition.parse(blend, 0.8)
    assert film.at(0.5, DISC) == Condition.parse(blend, 0.4)  # from neutral it only grows
    between_them = film.at(1.5, DISC)
    assert dict(between_them.shares) == pytest.approx({"happy": 0.75, "surprise": 0.25})
    assert between_them.intensity == pytest.approx(0.6)
    almost = film.at(2.0 - 1e-6, DISC)  # arrives where the next keyframe is
    assert dict(almost.shares)["happy"] == pytest.approx(1, abs=1e-5) and almost.intensity == pytest.approx(
        0.4, abs=1e-5
    )
    calm = Keyframes.parse([f"0:{blend},neutral:1@0.8", f"1:{blend}@0.8"])
    assert calm.at(0.5, DISC).intensity == pytest.approx(0.6)
    with pytest.raises(ConditionError, match="a blend is no place on the disc"):
        Keyframes.parse([f"0:{blend}", "1:135@0.5"]).check(DISC)


def test_halves_go_their_own_ways() -> None:
    begin, end = Condition.parse("upper=sad@0.4/lower=happy@0.2"), Condition.parse("upper=sad@0.8/lower=happy@1")
    middle = between(begin, end, 0.25, DISC)
    assert [half for half, _ in middle.halves] == ["upper", "lower"]
    for half, wanted in (("upper", Condition.named("sad", 0.5)), ("lower", Condition.named("happy", 0.4))):
        asked = middle.half(half)
        assert asked is not None and np.allclose(DISC.code(asked), DISC.code(wanted), atol=1e-6)


def test_a_whole_face_becomes_halves_and_half_a_face_goes_alone() -> None:
    from_neutral = between(Condition.named("neutral", 0.0), Condition.parse("upper=sad@1/lower=happy@1"), 0.5, DISC)
    assert from_neutral.half("lower") == between(
        Condition.named("neutral", 0.0), Condition.named("happy", 1), 0.5, DISC
    )
    alone = between(Condition.parse("upper=sad@0.2"), Condition.parse("upper=sad@0.6"), 0.5, LABELS)
    upper = alone.half("upper")
    assert alone.half("lower") is None and upper is not None
    assert np.allclose(LABELS.code(upper), LABELS.code(Condition.named("sad", 0.4)))


@pytest.mark.parametrize("first", ["happy", "lower=happy", "upper=sad/lower=happy"])
def test_a_half_that_is_left_alone_has_no_way_to_what_it_shall_express(first: str) -> None:
    path = Keyframes((Keyframe(0.0, Condition.parse(first)), Keyframe(1.0, Condition.parse("upper=sad"))))
    with pytest.raises(ConditionError, match="half of the face has no way to go") as error:
        path.check(DISC)
    assert "both keyframes" in error.value.hint


def test_which_half_has_no_way_is_said() -> None:
    begin, end = Condition.parse("upper=sad,fear/lower=happy"), Condition.parse("upper=135@0.4/lower=happy")
    with pytest.raises(ConditionError, match="upper half: between `sad"):
        between(begin, end, 0.5, DISC)

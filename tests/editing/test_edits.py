"""Where edits start from, and how faces are read, against a model whose answers are worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from mien.conditions import Condition
from mien.editing.edits import make_edits, taken_by_auto
from mien.editing.reading import read_images
from mien.errors import ConditionError
from mien.spaces import DiscSpace, LabelSpace, Space
from mien.warping import EditMaps, apply, half_window, weighted

DISC = DiscSpace(("neutral", "happy", "sad"), (0.0, math.pi / 2))  # happy to the right, sad upwards
SIZE = 16


@dataclass
class Painter:
    """A model whose edits only add light: it paints a face of brightness b to the brightness of the code.

    Brightness is 10 levels for the centre, and one level more for each hundredth of x; it moves `reach` of the way there,
    as a generator does that stops half way.
    """

    probabilities: tuple[float, ...] = (0.4, 0.6, 0.0)
    space: Space = DISC
    reach: float = 1.0
    image_size: int = SIZE
    image_channels: int = 1
    name: str = "painter"
    sha256: str = "0" * 64
    description: dict = field(default_factory=dict)

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = (10 + 100 * codes[:, 0]) / 127.5 - 1
        delta = self.reach * (wanted[:, None, None, None] - images)
        return np.zeros((len(images), 2, SIZE, SIZE), np.float32), delta.astype(np.float32)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(np.float32(self.probabilities), (len(images), 1)), np.zeros((len(images), 2), np.float32)


def grey(levels: float) -> np.ndarray:
    return np.full((1, SIZE, SIZE), levels / 127.5 - 1, np.float32)


def brightness_after(model: Painter, levels: float, condition: Condition, start) -> float:
    (edit,) = make_edits(model, grey(levels), [condition], start)
    return float(apply(np.full((SIZE, SIZE, 1), levels, np.float32), edit).mean())


def test_direct_is_one_pass():
    assert brightness_after(Painter(reach=0.5), 200, Condition.named("happy", 1.0), "direct") == pytest.approx(
        155, abs=0.01
    )


def test_what_was_there_is_taken_away_first():
    """Half way from 200 to 10 is 105, half way on to 110 is 107.5."""
    happy = Condition.named("happy", 1.0)
    assert brightness_after(Painter(reach=0.5), 200, happy, 1.0) == pytest.approx(107.5, abs=0.01)
    # `neutral` says the same of every face, also of one in which nobody sees anything, and of what is asked for.
    calm = Painter(probabilities=(1.0, 0.0, 0.0), reach=0.5)
    assert brightness_after(calm, 200, happy, "neutral") == pytest.approx(107.5, abs=0.01)


def test_auto_takes_away_what_the_critic_sees_and_is_not_asked_for():
    """The critic sees happy by 0.6; of that half goes for a whole sad: 0.3 of the way from 200 to 105 is 171.5, half way
    to 10 is 90.75.
    """
    sad = Condition.named("sad", 1.0)
    assert brightness_after(Painter(reach=0.5), 200, sad, "auto") == pytest.approx(90.75, abs=0.01)
    happy = Condition.named("happy", 1.0)  # all that is there is asked for: as `direct`
    assert brightness_after(Painter(reach=0.5), 200, happy, "auto") == pytest.approx(155, abs=0.01)
    # 0.4 more is there than 0.2, and 0.9 of that goes: 0.36 of the way to 105 is 165.8, half way on to 30 is 97.9
    weaker = Condition.named("happy", 0.2)
    assert brightness_after(Painter(reach=0.5), 200, weaker, "auto") == pytest.approx(97.9, abs=0.01)
    # All 0.6 goes for a neutral face: 0.6 of the way to 105 is 143, half way on to 10 is 76.5
    assert brightness_after(Painter(reach=0.5), 200, Condition.named("neutral", 0), "auto") == pytest.approx(
        76.5, abs=0.01
    )
    neutral_face = Painter(probabilities=(1.0, 0.0, 0.0), reach=0.5)
    assert brightness_after(neutral_face, 200, sad, "auto") == pytest.approx(105, abs=0.01)  # as `direct`


def test_each_condition_starts_from_what_it_leaves_of_the_face():
    model, conditions = Painter(reach=0.5), [Condition.named("happy", 0.2), Condition.parse("sad,happy", 0.5)]
    together = make_edits(model, grey(200), conditions, "auto")
    for condition, edit in zip(conditions, together, strict=True):
        (alone,) = make_edits(model, grey(200), [condition], "auto")
        assert np.array_equal(edit.delta, alone.delta)


def test_what_is_not_asked_for_by_hand():
    seen = {"neutral": 0.1, "happy": 0.6, "sad": 0.3}
    for condition, beside, goes in (
        (Condition.named("happy", 1.0), 0.3, 0.5),
        (Condition.named("happy", 0.5), 0.1 + 0.3, 0.75),
        (Condition.named("sad", 0.2), 0.6 + 0.1, 0.9),
        (Condition.named("sad", 0.0), 0.9, 1.0),
        (Condition.named("neutral", 0.9), 0.9, 1.0),
        (Condition.parse("happy,sad", 0.8), 0.2, 0.6),
        (Condition.parse("happy,neutral", 0.8), 0.2 + 0.3, 0.8),  # half of it is neutral: 0.4 happy
        (Condition.polar(math.pi / 4, 0.8), 0.2, 0.6),  # half way between happy and sad: 0.4 of each
    ):
        assert taken_by_auto(DISC, seen, condition) == pytest.approx(beside * goes), str(condition)
    by_hand = {"happy": 0.9, "sad": 0.9}  # no probabilities: more than all cannot go
    assert taken_by_auto(DISC, by_hand, Condition.named("neutral", 0.0)) == 1.0


def test_keep_moves_from_where_the_face_stands():
    """The face stands at 0.6 to the right; a step of 0.3 more leads to 0.9, one of 0.8 to the rim."""
    for step, levels in ((0.3, 100), (0.8, 110)):
        assert brightness_after(Painter(), 200, Condition.named("happy", step), "keep") == pytest.approx(
            levels, abs=0.01
        )
    # 0.6 right and 0.8 up is on the rim; nothing is pulled back
    assert brightness_after(Painter(), 200, Condition.named("sad", 0.8), "keep") == pytest.approx(70, abs=0.01)


def test_a_blend_adds_the_edits_of_its_parts_and_not_what_lies_between_them():
    """From 100, happy at 0.5 leads down by 40 and sad by 90; 0.6 and 0.8 are shares of 3 and 4 over their norm."""
    blend = Condition.blend({"happy": 3, "sad": 4}, 0.5)
    assert brightness_after(Painter(), 100, blend, "direct") == pytest.approx(100 - 0.6 * 40 - 0.8 * 90, abs=0.01)
    # A neutral share draws both inwards: at 0.25 a fifth of the ways to 35 and to 10 is 13 and 18 levels.
    calmer = Condition.blend({"happy": 3, "sad": 4, "neutral": 7}, 0.5)
    after = brightness_after(Painter(reach=0.2), 100, calmer, "direct")
    assert after == pytest.approx(100 - 0.6 * 13 - 0.8 * 18, abs=0.01)
    pure = Condition.blend({"happy": 1, "neutral": 1}, 0.5)  # no blend of two: the disc's own way inwards
    assert brightness_after(Painter(), 100, pure, "direct") == pytest.approx(35, abs=0.01)
    # `keep` moves on the disc, to the blend's direction there.
    moved = brightness_after(
        Painter(probabilities=(1.0, 0.0, 0.0)), 100, Condition.blend({"happy": 1, "sad": 1}), "keep"
    )
    assert moved == pytest.approx(10 + 100 * 0.9 * math.sqrt(0.5), abs=0.01)


def test_expressions_that_lie_opposite_each_other_blend_too():
    opposite = DiscSpace(("neutral", "happy", "sad"), (0.0, math.pi))
    blend = Condition.blend({"happy": 1, "sad": 1}, 0.1)  # 110 at x = 1, so 20 and 0 at x = 0.1 and -0.1
    after = brightness_after(Painter(space=opposite), 30, blend, "direct")
    assert after == pytest.approx(30 - math.sqrt(0.5) * (10 + 30), abs=0.01)
    with pytest.raises(ConditionError, match="opposite"):
        brightness_after(Painter(space=opposite), 30, blend, "keep")


def test_a_space_of_names_has_no_place_to_move_from_but_a_neutral_to_start_from():
    class Names(Painter):
        def render(self, images, codes):
            return super().render(images, codes @ np.array([[0.0, 0], [1, 0], [0, 0]], np.float32))

    model = Names(space=LabelSpace(("neutral", "happy", "sad")), reach=0.5)
    # Brightness is that of the share of happy: 0.3 of the way to 105 is 171.5, half way on to 10 is 90.75.
    assert brightness_after(model, 200, Condition.named("sad", 1.0), "auto") == pytest.approx(90.75, abs=0.01)
    with pytest.raises(ConditionError, match="no place to move from"):
        make_edits(model, grey(200), [Condition.named("happy")], "keep")
    no_neutral = Names(space=LabelSpace(("anger", "happy", "sad")), reach=0.5)
    assert brightness_after(no_neutral, 200, Condition.named("happy", 1.0), "auto") == pytest.approx(155, abs=0.01)
    with pytest.raises(ConditionError, match="no neutral face to start from"):
        make_edits(no_neutral, grey(200), [Condition.named("happy")], "neutral")


@pytest.mark.parametrize("start", ["sideways", -0.1, 1.5, math.nan])
def test_an_unknown_start_is_refused(start):
    with pytest.raises(ConditionError, match="cannot start from"):
        make_edits(Painter(), grey(200), [Condition.named("happy")], start)


def test_a_reading_weighs_the_directions_by_what_the_critic_sees():
    (reading,) = read_images(Painter(probabilities=(0.2, 0.4, 0.4)), grey(0)[None])
    assert reading.expressions == pytest.approx({"neutral": 0.2, "happy": 0.4, "sad": 0.4})
    assert reading.intensity == pytest.approx(0.8)
    assert reading.angle_degrees == pytest.approx(45.0)
    assert reading.code == pytest.approx(0.8 / math.sqrt(2) * np.ones(2))
    (reading,) = read_images(Painter(probabilities=(0.1, 0.2, 0.7)), grey(0)[None])
    assert (reading.expression, reading.confidence) == ("sad", pytest.approx(0.7))
    assert reading.to_json()["angle_degrees"] == pytest.approx(math.degrees(math.atan2(0.7, 0.2)), abs=0.05)


def test_a_neutral_face_stands_in_the_centre_and_has_no_direction():
    (reading,) = read_images(Painter(probabilities=(1.0, 0.0, 0.0)), grey(0)[None])
    assert reading.intensity == 0 and not reading.code.any() and reading.angle_degrees is None


def test_a_space_of_names_has_no_place_to_read():
    (reading,) = read_images(Painter(space=LabelSpace(("neutral", "happy", "sad"))), grey(0)[None])
    assert reading.code is None and reading.angle_degrees is None and reading.intensity == pytest.approx(0.6)


# --- halves of a face --------------------------------------------------------------------------------------------


def rows_after(model: Painter, levels: float, condition: Condition, start: object = "direct") -> np.ndarray:
    (edit,) = make_edits(model, grey(levels), [condition], start)  # type: ignore[arg-type]
    return apply(np.full((SIZE, SIZE, 1), levels, np.float32), edit)[:, 5, 0]


def test_each_half_has_the_edit_that_the_whole_face_would_have() -> None:
    """The painter makes happy 110 and neutral 10; the halves meet between 0.46 and 0.62 of the height."""
    rows = rows_after(Painter(), 60, Condition.parse("upper=happy@1/lower=neutral@0"))
    assert rows[:7] == pytest.approx(np.full(7, 110), abs=0.01) and rows[10:] == pytest.approx(np.full(6, 10), abs=0.01)
    assert (np.diff(rows[6:11]) < 0).all()
    middle = (8 + 0.5) / SIZE
    share = (middle - 0.46) / 0.16
    assert rows[8] == pytest.approx(110 - 100 * share**2 * (3 - 2 * share), abs=0.01)


def test_a_half_that_is_not_named_stays_as_it_is_to_the_bit() -> None:
    (edit,) = make_edits(Painter(), grey(60), [Condition.parse("lower=happy")], "direct")
    assert not edit.delta[:, :7].any() and edit.delta[:, 10:].all()
    rows = rows_after(Painter(), 60, Condition.parse("upper=happy@1"))
    assert (rows[10:] == 60).all() and rows[:7] == pytest.approx(np.full(7, 110), abs=0.01)


def test_what_is_there_is_taken_away_from_each_half_for_itself() -> None:
    """Of a face that stops half way and is seen as happy, a happy half starts from itself, a sad one from less of it."""
    model, seen = Painter(reach=0.5), {"happy": 1.0}
    whole = {name: rows_after(model, 200, Condition.named(name, 1.0), seen)[0] for name in ("happy", "sad")}
    rows = rows_after(model, 200, Condition.parse("upper=happy/lower=sad", 1.0), seen)
    assert whole["happy"] == pytest.approx(155, abs=0.01) and whole["sad"] < 150
    assert rows[0] == pytest.approx(whole["happy"]) and rows[-1] == pytest.approx(whole["sad"])


def test_halves_and_whole_faces_in_one_batch_and_as_steps() -> None:
    conditions = [
        Condition.named("happy", 1.0),
        Condition.parse("upper=happy@1/lower=sad@1"),
        Condition.named("sad", 1.0),
    ]
    for start in ("direct", "auto", "neutral", "keep"):
        happy, halves, sad = make_edits(Painter(), grey(60), conditions, start)  # type: ignore[arg-type]
        assert np.allclose(halves.delta[:, :7], happy.delta[:, :7]) and np.allclose(
            halves.delta[:, 10:], sad.delta[:, 10:]
        )


def test_a_half_is_neither_moved_nor_wiped_where_it_is_not_named() -> None:
    ones = EditMaps(*(np.ones((count, SIZE, SIZE), np.float32) for count in (2, 1, 1)))
    for lower, (kept, left) in ((True, (slice(10, None), slice(7))), (False, (slice(7), slice(10, None)))):
        windowed = weighted(ones, half_window(SIZE, lower))
        for each in windowed:
            assert each is not None and (each[:, kept] == 1).all() and not each[:, left].any()


@pytest.mark.parametrize("seen", [{"hapy": 1.0}, {"happy": "much"}, {"happy": math.nan}])
def test_what_cannot_have_been_seen_is_refused(seen: dict) -> None:
    with pytest.raises(ConditionError, match="nobody can see"):
        make_edits(Painter(), grey(60), [Condition.named("sad", 1.0)], seen)

"""Expressions in everyday words, against amounts worked out by hand."""

from __future__ import annotations

import pytest

from mien import Condition
from mien.errors import ConditionError
from mien.expressions import ADVERBS, BASIC, VOCABULARY, compound_name
from mien.wording import expression_of, parse_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a bit fearful, mostly surprised", "fear:0.3+surprise:0.7 @ 0.8"),
        ("A bit of fear, MOSTLY surprise", "fear:0.3+surprise:0.7 @ 0.8"),
        ("happy", "happy @ 0.8"),
        ("slightly happy", "happy @ 0.3"),
        ("just a little bit sad", "sad @ 0.3"),
        ("a little angry", "anger @ 0.3"),
        ("very sad", "sad @ 0.9"),
        ("extremely disgusted", "disgust @ 1"),
        ("mostly happy", "happy @ 0.7"),
        ("happy and surprised", "happy:0.5+surprise:0.5 @ 0.8"),
        ("happy, a bit surprised", "happy:0.7+surprise:0.3 @ 0.8"),
        ("surprised with a hint of fear", "surprise:0.82+fear:0.18 @ 0.8"),  # 0.7 and 0.15
        ("slightly fearful but slightly sad", "fear:0.5+sad:0.5 @ 0.3"),
        ("very happy, a bit surprised", "happy:0.75+surprise:0.25 @ 0.9"),
        ("mostly neutral, a bit sad", "neutral:0.7+sad:0.3 @ 0.8"),
        ("fearfully surprised", "fear:0.5+surprise:0.5 @ 0.8"),
        ("slightly fearfully surprised", "fear:0.5+surprise:0.5 @ 0.3"),
        ("appalled, a bit sad", "disgust:0.35+anger:0.35+sad:0.3 @ 0.8"),
        ("terrified", "fear @ 1"),
        ("annoyed", "anger @ 0.4"),
        ("very annoyed", "anger @ 0.454"),  # 0.4 * (0.9 / 0.7) ** 0.5 = 0.4 * 1.1339
        ("a bit terrified", "fear @ 0.655"),  # (0.3 / 0.7) ** 0.5
        ("very terrified", "fear @ 1"),
        ("terrified and amazed", "fear:0.5+surprise:0.5 @ 1"),
        ("mostly annoyed, a bit sad", "anger:0.7+sad:0.3 @ 0.8"),
        ("happy, happy, sad", "happy:0.67+sad:0.33 @ 0.8"),
        ("a bit fearful, mostly surprised@0.5", "fear:0.3+surprise:0.7 @ 0.5"),
        ("slightly sad, slightly afraid@0.5", "sad:0.5+fear:0.5 @ 0.5"),
        ("terrified:1,happy:3", "fear:0.25+happy:0.75 @ 0.8"),
        ("upper=a bit sad/lower=very happy", "upper half sad @ 0.3, lower half happy @ 0.9"),
    ],
)
def test_words_are_amounts(text: str, expected: str) -> None:
    assert str(Condition.parse(text, 0.8)) == expected


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("not happy", "not happy"),
        ("a bit grumpy, mostly sad", "grumpy"),
        ("a bit", "a bit"),
        ("very", "very"),
        ("happy and", ""),
        ("of", "of"),
        ("happily", "happily"),
        ("happily sadly", "sadly"),
        ("very very", "very"),
        ("candid", "candid"),
    ],
)
def test_other_words_are_refused_by_name(text: str, unknown: str) -> None:
    with pytest.raises(ConditionError) as refused:
        Condition.parse(text)
    assert str(refused.value) == f"unknown expression `{unknown}`" and "known: neutral, happy" in refused.value.hint


def test_how_strong_is_said_once() -> None:
    with pytest.raises(ConditionError, match="`slightly happy` and @ say twice how strong") as refused:
        Condition.parse("slightly happy@0.5")
    assert refused.value.hint == "say one of them: `happy@0.5`"


def test_the_names_of_mixtures_are_read_as_they_are_written() -> None:
    """Every name that a figure gives to a mixture, from `mien.expressions.compound_name`."""
    for first in ADVERBS:
        for second in ADVERBS:
            if first != second:
                assert parse_words(compound_name(first, second)).weights == {first: 0.35, second: 0.35}


def test_words_never_mean_what_a_model_has_no_name_for() -> None:
    for word in ("serene", "furious", "astonished", "glad", "contemptuous", "Scornful ", *BASIC):
        assert expression_of(word) in VOCABULARY

"""The vocabulary: other people's words and numbers become ours, and a wrong word is answered with the nearest."""

from __future__ import annotations

import pytest

from mien.errors import ConditionError
from mien.expressions import (
    AFFECTNET_ORDER,
    AFFWILD2_ORDER,
    ALIASES,
    BASIC,
    FER2013_ORDER,
    FERPLUS_ORDER,
    RAFDB_ORDER,
    VOCABULARY,
    compound_name,
    parse_expression,
)


def test_every_name_and_alias_is_understood_in_any_case_and_spacing() -> None:
    for name in VOCABULARY:
        assert parse_expression(f" {name.upper()}\n") == name
    for alias, name in ALIASES.items():
        assert name in VOCABULARY
        assert parse_expression(alias.title()) == name


@pytest.mark.parametrize(
    ("word", "guess"), [("hapy", "happy"), ("suprise", "surprise"), ("angri", "anger"), ("hapiness", "happy")]
)
def test_an_unknown_word_is_answered_with_the_nearest(word: str, guess: str) -> None:
    with pytest.raises(ConditionError, match=f"unknown expression `{word}`") as error:
        parse_expression(word)
    assert error.value.hint.startswith(f"did you mean `{guess}`? known: neutral, happy")


def test_what_a_model_does_not_know_is_unknown_and_never_suggested() -> None:
    with pytest.raises(ConditionError) as error:
        parse_expression("contempt", BASIC)
    assert "did you mean `contempt`" not in error.value.hint
    assert "contempt" not in error.value.hint.partition("known:")[2]


def test_empty_and_senseless_words_are_refused() -> None:
    for word in ("", "   ", "0", "xyzzy"):
        with pytest.raises(ConditionError, match="unknown expression"):
            parse_expression(word)


def test_numbers_of_the_datasets_mean_what_their_publishers_say() -> None:
    """The maps between datasets, as independent loaders of them write them out."""

    def to_affectnet(order: tuple[str | None, ...]) -> dict[int, int]:
        return {i: AFFECTNET_ORDER.index(name) for i, name in enumerate(order) if name in AFFECTNET_ORDER and name}

    assert to_affectnet(FER2013_ORDER) == {0: 6, 1: 5, 2: 4, 3: 1, 4: 2, 5: 3, 6: 0}
    assert to_affectnet(RAFDB_ORDER) == {1: 3, 2: 4, 3: 5, 4: 1, 5: 2, 6: 6, 7: 0}
    assert to_affectnet(AFFWILD2_ORDER) == {0: 0, 1: 6, 2: 5, 3: 4, 4: 1, 5: 2, 6: 3}
    assert to_affectnet(FERPLUS_ORDER) == {0: 0, 1: 1, 2: 3, 3: 2, 4: 6, 5: 5, 6: 4, 7: 7}
    assert AFFECTNET_ORDER[:8] == VOCABULARY
    assert AFFECTNET_ORDER[8:] == (None, None, None)  # none, uncertain, no face


def test_compound_names_are_those_of_the_literature() -> None:
    assert compound_name("fear", "surprise") == "fearfully surprised"
    assert compound_name("happy", "disgust") == "happily disgusted"
    for first in VOCABULARY[1:]:
        for second in VOCABULARY[1:]:
            assert " " in compound_name(first, second)

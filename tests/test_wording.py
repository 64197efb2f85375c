"""Expressions in everyday words, against amounts worked out by hand."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from mien import Condition
from mien.errors import ConditionError
from mien.expressions import ADVERBS, compound_name
from mien.wording import expression_of, parse_words

DOCS = Path(__file__).parent.parent / "docs" / "editing.md"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a bit fearful, mostly surprised", "fear:0.3+surprise:0.7 @ 0.8"),
        ("A bit of fear, MOSTLY surprise", "fear:0.3+surprise:0.7 @ 0.8"),
        ("happy", "happy @ 0.8"),
        ("with a smile.", "happy @ 0.8"),
        ("“just a little bit sad”", "sad @ 0.3"),
        ("only just slightly angry!", "anger @ 0.3"),
        ("'some fear?'", "fear @ 0.8"),
        ("the sad look…", "sad @ 0.8"),
        ("an angry expression", "anger @ 0.8"),
        ('"sad", "a bit happy"', "sad:0.7+happy:0.3 @ 0.8"),
        ("sad – a bit happy", "sad:0.7+happy:0.3 @ 0.8"),
        ("very sad, but a bit angry", "sad:0.77+anger:0.23 @ 1"),
        ("very slightly happy", "happy @ 0.3"),
        ("very very sad", "sad @ 1"),
        ("a hint of a smile", "happy @ 0.15"),
        ("happy and surprised", "happy:0.5+surprise:0.5 @ 0.8"),
        ("happy, a bit surprised", "happy:0.7+surprise:0.3 @ 0.8"),
        ("surprised with a hint of fear", "surprise:0.82+fear:0.18 @ 0.8"),  # 0.7 and 0.15
        ("slightly fearful but slightly sad", "fear:0.5+sad:0.5 @ 0.3"),
        ("very happy, a bit surprised", "happy:0.77+surprise:0.23 @ 1"),
        ("very sad, and a bit angry", "sad:0.77+anger:0.23 @ 1"),
        ("very sad; a bit angry", "sad:0.77+anger:0.23 @ 1"),
        ("mostly neutral, a bit sad", "neutral:0.7+sad:0.3 @ 0.8"),
        ("happy, happy, sad", "happy:0.67+sad:0.33 @ 0.8"),
        # An amount holds over `and`, and over nothing else.
        ("a bit sad and angry", "sad:0.5+anger:0.5 @ 0.3"),
        ("a bit sad & angry & fearful", "sad:0.33+anger:0.33+fear:0.33 @ 0.3"),
        ("mostly sad and angry, a bit surprised", "sad:0.41+anger:0.41+surprise:0.18 @ 0.8"),
        ("a bit sad and terrified", "sad:0.23+fear:0.77 @ 1"),
        ("a bit sad, angry", "sad:0.3+anger:0.7 @ 0.8"),
        ("a bit sad, and angry", "sad:0.3+anger:0.7 @ 0.8"),
        ("terrified and sad", "fear:0.59+sad:0.41 @ 0.8"),  # 1 and 0.7: the word's own strength is its own
        ("mostly sad and a bit happy and angry", "sad:0.54+happy:0.23+anger:0.23 @ 0.8"),
        # A share is one of a mixture, which leaves the rest to others; alone, it is how strong.
        ("happy, mostly surprised", "happy:0.3+surprise:0.7 @ 0.8"),
        ("mostly sad and terrified", "sad:0.7+fear:0.3 @ 0.8"),
        ("80% happy, sad, fearful", "happy:0.8+sad:0.1+fear:0.1 @ 0.8"),
        ("half terrified, half happy", "fear:0.5+happy:0.5 @ 0.8"),
        ("100% happy, sad", "happy:0.91+sad:0.091 @ 0.8"),  # a tenth is left to what is named at all
        ("mostly very happy", "happy @ 0.7"),
        ("5% happy", "happy @ 0.05"),
        ("50 % terrified", "fear @ 0.5"),
        ("50% of joy", "happy @ 0.5"),
        ("half angry, half sad", "anger:0.5+sad:0.5 @ 0.8"),
        ("half happy", "happy @ 0.5"),
        ("mostly happy", "happy @ 0.7"),
        ("70% happy", "happy @ 0.7"),
        ("70% surprise, 20% fear and 10% anger", "surprise:0.7+fear:0.2+anger:0.1 @ 0.8"),
        ("50% a bit sad", "sad @ 0.15"),
        ("mostly annoyed", "anger @ 0.28"),
        ("mostly annoyed, a bit sad", "anger:0.7+sad:0.3 @ 0.8"),
        # Compound expressions are equal shares of one part.
        ("fearfully surprised", "fear:0.5+surprise:0.5 @ 0.8"),
        ("a sad smile", "sad:0.5+happy:0.5 @ 0.8"),
        ("joyful surprise", "happy:0.5+surprise:0.5 @ 0.8"),
        ("a slightly sad-looking face", "sad @ 0.3"),
        ("slightly fearfully surprised", "fear:0.5+surprise:0.5 @ 0.3"),
        ("terrified surprise", "fear:0.5+surprise:0.5 @ 1"),
        ("furious anger", "anger @ 1"),
        ("gloomy sadness", "sad @ 0.4"),
        ("fearfully amazed", "fear:0.5+surprise:0.5 @ 1"),
        ("appalled, a bit sad", "disgust:0.35+anger:0.35+sad:0.3 @ 0.8"),
        # Words that are strong or weak by themselves.
        ("terrified", "fear @ 1"),
        ("annoyed", "anger @ 0.4"),
        ("very annoyed", "anger @ 0.632"),  # 0.4 ** 0.5
        ("a bit terrified", "fear @ 0.655"),  # (0.3 / 0.7) ** 0.5
        ("very terrified", "fear @ 1"),
        ("terrified and amazed", "fear:0.5+surprise:0.5 @ 1"),
        # Numbers beside words.
        ("a bit fearful, mostly surprised@0.5", "fear:0.3+surprise:0.7 @ 0.5"),
        ("slightly sad, slightly afraid@0.5", "sad:0.5+fear:0.5 @ 0.5"),
        ("terrified:1,happy:3", "fear:0.25+happy:0.75 @ 0.8"),
        ("upper=a bit sad/lower=very happy", "upper half sad @ 0.3, lower half happy @ 1"),
    ],
)
def test_words_are_amounts(text: str, expected: str) -> None:
    assert str(Condition.parse(text, 0.8)) == expected


def test_the_table_of_the_documentation_is_true() -> None:
    rows = re.findall(r"^\| (.+) \| ([0-9.]+)(, as a share)? \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 7
    for phrases, amount, share in rows:
        if phrases.startswith("no word"):
            assert parse_words("sad, a bit happy").weights == {"sad": float(amount), "happy": 0.3}
            continue
        for phrase in phrases.split(", "):
            found = parse_words(f"{phrase} sad, a bit happy")
            assert found.weights == {"sad": float(amount), "happy": 0.3}, phrase
            assert (found.intensity is None) == bool(share), phrase
            if not share:
                assert parse_words(f"{phrase} sad").intensity == float(amount), phrase


@pytest.mark.parametrize(
    ("name", "weak", "plain", "strong"),
    [
        ("happy", "serene content contented pleased amused", "happy joy smiling joyful cheerful glad grinning",
         "ecstatic overjoyed delighted elated thrilled beaming laughing ecstasy delight"),
        ("sad", "pensive gloomy wistful downcast", "sad sadness unhappy sorrowful",
         "grieving heartbroken devastated miserable desperate grief despair"),
        ("surprise", "puzzled", "surprised startled",
         "amazed astonished astounded shocked stunned amazement astonishment shock"),
        ("fear", "apprehensive worried anxious uneasy nervous worry anxiety", "afraid scared fearful frightened",
         "terrified panicked horrified petrified terror horror panic"),
        ("disgust", "", "disgusted", "loathing revolted repulsed nauseated"),
        ("anger", "annoyed irritated cross displeased annoyance", "angry mad", "enraged furious livid raging rage fury"),
        ("contempt", "", "contemptuous", "scornful"),
    ],
)  # fmt: skip
def test_words_name_expressions(name: str, weak: str, plain: str, strong: str) -> None:
    for words, amount in ((weak, 0.4), (plain, None), (strong, 1.0)):
        for word in words.split():
            assert parse_words(word) == parse_words(word.upper())
            assert (parse_words(word).weights.keys(), parse_words(word).intensity) == ({name}, amount), word
            assert expression_of(f" {word.title()} ") == name


def test_compound_expressions_have_words_of_their_own() -> None:
    for word, names in (("awed", "fear surprise"), ("appalled", "disgust anger"), ("hateful", "anger disgust")):
        assert parse_words(word).weights == dict.fromkeys(names.split(), 0.5)


def test_the_names_of_mixtures_are_read_as_they_are_written() -> None:
    """Every name that a figure gives to a mixture, from `mien.expressions.compound_name`."""
    for first, second in itertools.permutations(ADVERBS, 2):
        assert parse_words(compound_name(first, second)).weights == {first: 0.5, second: 0.5}


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("not happy", "`not` is no amount of `happy`", "`happy@0.5`"),
        ("a bit less angry", "`less` is no amount of `angry`", "a number"),
        ("0% happy", "`0%` is no amount of `happy`", "a number"),
        ("101% happy", "`101%` is no amount of `happy`", "a number"),
        ("a face", "unknown expression `face`", "known: neutral"),
        ("hyper surprised", "`hyper` is no amount of `surprised`", "`slightly`"),
        ("very much appalled", "`much` is no amount of `appalled`", "`slightly`"),
        ("a bit grumpy, mostly sad", "unknown expression `grumpy`", "known: neutral, happy"),
        ("a bit", "`a bit` does not say of what", "mostly surprised"),
        ("a bit of", "`a bit of` does not say of what", "mostly surprised"),
        ("50%", "`50%` does not say of what", "mostly surprised"),
        ("very, very sad", "`very` does not say of what", "mostly surprised"),
        ("happy or sad", "`happy or` is no amount of `sad`", "a number"),
        ("none happy", "`none` is no amount of `happy`", "a number"),
        ("a kind smile", "`kind` is no amount of `smile`", "a number"),
        ("terrified=0.5", "does not say what half", "`fear@0.5`"),
        ("candy ", "unknown expression `candy`", "known"),
        ("very", "`very` does not say of what", "mostly surprised"),
        ("happily", "unknown expression `happily`", "did you mean"),
        ("smiling broadly", "unknown expression `smiling broadly`", "known: neutral"),
        ("happy and", "`happy and` names no expression before or after", "a bit fearful"),
        ("sad,", "`sad,` names no expression before or after", "a bit fearful"),
        ("a bit sad, happy:0.3", "`a bit sad` is not `name:share`", "or all of it in words"),
        ("a bit sad:0.5,happy:0.5", "`a bit sad:0.5` is not `name:share`", "or all of it in words"),
        ("furious:0.5", "a share of nothing else means nothing", "`anger@0.5`"),
        (
            "awed:0.5",
            "`awed` is a mixture of fear and surprise, and no single",
            "for how strong it is say `awed@0.5`",
        ),
        (
            "Awed:0.5,happy:0.5",
            "`awed` is a mixture of fear and surprise, and no single",
            "beside a share name both, `fear:0.25,surprise:0.25`",
        ),
        ("slightly happy@0.5", "`slightly happy` and @ say twice how strong", "for example `happy@0.5`"),
        ("terrified@0.7", "`terrified` and @ say twice how strong", "for example `fear@0.7`"),
        ("a bit awed@0.9", "`a bit awed` and @ say twice how strong", "for example `fear,surprise@0.9`"),
    ],
)
def test_other_words_are_refused_by_name(text: str, error: str, hint: str) -> None:
    with pytest.raises(ConditionError) as refused:
        Condition.parse(text)
    assert error in str(refused.value) and hint in refused.value.hint

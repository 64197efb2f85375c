"""The vocabulary of expressions, and how each published dataset numbers it.

One order everywhere, AffectNet's: neutral, happy, sad, surprise, fear, disgust, anger, and contempt where a dataset has
it. Datasets keep their own numbers on disk; the maps below turn them into names of this vocabulary when they are read.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from mien.errors import ConditionError

NEUTRAL = "neutral"

#: The seven expressions that every dataset of the field shares, in AffectNet's order.
BASIC = (NEUTRAL, "happy", "sad", "surprise", "fear", "disgust", "anger")

#: All names of the vocabulary; `contempt` is optional in every dataset and method.
VOCABULARY = (*BASIC, "contempt")

#: Names in the order of the dataset's own integers; None: an integer that carries no expression and is dropped.
FER2013_ORDER = ("anger", "disgust", "fear", "happy", "sad", "surprise", NEUTRAL)
FERPLUS_ORDER = (NEUTRAL, "happy", "surprise", "sad", "anger", "disgust", "fear", "contempt", None, None)
AFFECTNET_ORDER = (*VOCABULARY, None, None, None)
RAFDB_ORDER = (None, "surprise", "fear", "disgust", "happy", "sad", "anger", NEUTRAL)
AFFWILD2_ORDER = (NEUTRAL, "anger", "disgust", "fear", "happy", "sad", "surprise", None)

#: Other words that people and dataset folders use for the same expression.
ALIASES: Mapping[str, str] = {
    "afraid": "fear",
    "anger": "anger",
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "joy": "happy",
    "mad": "anger",
    "neutrality": NEUTRAL,
    "none": NEUTRAL,
    "sadness": "sad",
    "scared": "fear",
    "smile": "happy",
    "smiling": "happy",
    "surprised": "surprise",
}

#: The adverb and the adjective of each expression, for compound names such as `happily surprised`.
ADVERBS: Mapping[str, str] = {
    "happy": "happily", "sad": "sadly", "surprise": "surprisedly", "fear": "fearfully", "disgust": "disgustedly",
    "anger": "angrily", "contempt": "contemptuously",
}  # fmt: skip
_ADJECTIVES = {
    "happy": "happy", "sad": "sad", "surprise": "surprised", "fear": "fearful", "disgust": "disgusted",
    "anger": "angry", "contempt": "contemptuous",
}  # fmt: skip


def parse_expression(word: str, known: Sequence[str] = VOCABULARY) -> str:
    """Return the vocabulary's name for a word that a person or a dataset wrote, whatever its case.

    Raises `ConditionError` with the known names, and the nearest of them, where the word is not one.
    """
    name = word.strip().lower()
    name = ALIASES.get(name, name)
    if name in known:
        return name
    near = difflib.get_close_matches(name, [*known, *(a for a, n in ALIASES.items() if n in known)], n=1)
    guess = f"did you mean `{ALIASES.get(near[0], near[0])}`? " if near else ""
    of_all = "; a model may lack some (`mien info`)" if known is VOCABULARY else ""
    raise ConditionError(f"unknown expression `{word}`", hint=f"{guess}known: {', '.join(known)}{of_all}")


def compound_name(first: str, second: str) -> str:
    """Name the mixture of two expressions as psychology does (Du, Tao & Martinez 2014): `fearfully surprised`.

    `second` is the stronger share: the noun of the mixture.
    """
    return f"{ADVERBS[first]} {_ADJECTIVES[second]}"

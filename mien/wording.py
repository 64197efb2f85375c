"""Expressions in everyday words: `a bit fearful, mostly surprised`, `fearfully surprised`, `furious`.

English only, and only phrases that name expressions and how much of each; whatever else is said is refused by name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mien.expressions import ADVERBS, parse_expression

#: What a plain word counts as beside others of which an amount is said: `happy, a bit surprised` is 0.7 of 0.3.
PLAIN = 0.7

#: How much of an expression phrases ask for, 0 to 1; `of` may follow, and `just` or `only` go before.
_AMOUNTS = {
    0.15: ("barely", "faintly", "a hint", "a trace"),
    0.3: ("slightly", "a bit", "a little", "a little bit", "a touch", "somewhat", "mildly", "kind", "sort"),
    0.5: ("half", "moderately", "fairly", "partly", "rather", "quite"),
    0.9: ("very", "really", "strongly", "highly", "deeply", "clearly"),
    1.0: ("extremely", "completely", "totally", "utterly", "fully", "intensely", "absolutely"),
}
#: How large a part of a mixture words ask for: how strong it all is they leave open.
_SHARES = {0.7: ("mostly", "mainly", "largely", "primarily", "predominantly")}

#: Words that say how strong an expression is as they name it: the outer and inner rings of Plutchik's wheel ("Emotion: a
#: psychoevolutionary synthesis", 1980), and words like them.
_MILD = {
    "happy": "serene content contented pleased amused",
    "sad": "pensive gloomy wistful downcast",
    "surprise": "puzzled",
    "fear": "apprehensive worried anxious uneasy nervous",
    "anger": "annoyed irritated cross displeased",
}
_INTENSE = {
    "happy": "ecstatic overjoyed delighted elated thrilled beaming laughing",
    "sad": "grieving heartbroken devastated miserable desperate",
    "surprise": "amazed astonished astounded shocked stunned",
    "fear": "terrified panicked horrified petrified",
    "disgust": "loathing revolted repulsed nauseated",
    "anger": "enraged furious livid raging",
    "contempt": "scornful",
}
#: Other words for expressions as such, beside those that datasets use, too (`mien.expressions.ALIASES`).
_PLAIN = {
    "happy": "joyful cheerful glad grinning",
    "sad": "unhappy sorrowful",
    "surprise": "startled",
    "fear": "frightened",
}
#: Compound expressions that have a word of their own (Du, Tao & Martinez, "Compound facial expressions of emotion", 2014).
_COMPOUND = {"awed": ("fear", "surprise"), "appalled": ("disgust", "anger"), "hateful": ("anger", "disgust")}

_WORDS: dict[str, tuple[str, float | None]] = {
    word: (name, amount)
    for table, amount in ((_MILD, 0.4), (_INTENSE, 1.0), (_PLAIN, None))
    for name, words in table.items()
    for word in words.split()
}
#: Phrases as words, the amount, and whether it is one of a mixture; longer ones come first.
_PHRASES = sorted(
    ((phrase.split(), amount, table is _SHARES) for table in (_AMOUNTS, _SHARES)
     for amount, phrases in table.items() for phrase in phrases),
    key=lambda entry: -len(entry[0]),
)  # fmt: skip
_FROM_ADVERB = {adverb: name for name, adverb in ADVERBS.items()}
_FILLERS = ("just", "only")
_BETWEEN = re.compile(r"[,;&]|\b(?:and|but|with)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Worded:
    """What words ask for."""

    weights: dict[str, float]
    """Expressions of the vocabulary, and how much of each beside the others."""
    intensity: float | None
    """How strong all of it is; None where the words leave that open."""


@dataclass(frozen=True)
class _Part:
    """What is said between two commas."""

    names: tuple[str, ...]
    amount: float | None
    shared: bool
    """Whether the amount is one of the mixture, and not how strong the expression is."""


def parse_words(text: str) -> Worded:
    """Read expressions with their amounts, separated by commas or by `and`, `but` and `with`.

    Amounts are the shares of a mixture, where a plain word counts 0.7. They are its intensity, too, the greatest of them,
    where each part has one that is not a mere share (`mostly`). Raises `ConditionError` for other words.
    """
    parts = [_part(words) for words in _BETWEEN.split(text)]
    weights: dict[str, float] = {}
    for part in parts:
        for name in part.names:
            weights[name] = weights.get(name, 0.0) + (part.amount or PLAIN) / len(part.names)
    told = [part.amount for part in parts if part.amount is not None and (len(parts) == 1 or not part.shared)]
    return Worded(weights, max(told) if len(told) == len(parts) else None)


def expression_of(word: str) -> str:
    """Return the vocabulary's name for one word, however strong; `ConditionError` for one that is none."""
    name, _ = _WORDS.get(word.strip().lower(), (None, None))
    return name or parse_expression(word)


def _part(text: str) -> _Part:
    words = text.lower().split()
    while words and words[0] in _FILLERS:
        words = words[1:]
    amount, shared = None, False
    for phrase, said, of_mixture in _PHRASES:
        rest = words[len(phrase) :]
        if rest and words[: len(phrase)] == phrase:
            words, amount, shared = rest[rest[0] == "of" and len(rest) > 1 :], said, of_mixture
            break
    names, own = _named(words)
    if own is not None and not shared:
        amount = own if amount is None else min(1.0, own * math.sqrt(amount / PLAIN))
    return _Part(names, amount, shared)


def _named(words: list[str]) -> tuple[tuple[str, ...], float | None]:
    """Return the expressions that some words name, and how strong they are by themselves where the words say that."""
    if len(words) == 2 and words[0] in _FROM_ADVERB:  # `fearfully surprised`
        others, own = _named(words[1:])
        return (_FROM_ADVERB[words[0]], *others), own
    phrase = " ".join(words)
    if phrase in _COMPOUND:
        return _COMPOUND[phrase], None
    name, own = _WORDS.get(phrase, (None, None))
    return (name or parse_expression(phrase),), own

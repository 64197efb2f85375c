"""Expressions in everyday words: `a bit fearful, mostly surprised`, `fearfully surprised`, `furious`.

docs/editing.md says what they mean. English only, and only phrases that name expressions and how much of each; whatever
else is said is refused by name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from mien.errors import ConditionError
from mien.expressions import ADVERBS, parse_expression

#: What a plain word counts as beside others of which an amount is said: `happy, a bit surprised` is 0.7 of 0.3.
PLAIN = 0.7

#: How much of an expression phrases ask for, 0 to 1; `of` may follow, and `just` or `only` go before.
_AMOUNTS = {
    0.15: ("barely", "faintly", "a hint", "a trace"),
    0.3: ("slightly", "a bit", "a little", "a little bit", "a touch", "somewhat", "mildly", "kind", "sort"),
    0.5: ("moderately", "fairly", "rather", "quite", "pretty"),
    1.0: ("very", "really", "so", "strongly", "highly", "deeply", "clearly", "extremely", "super", "completely", "totally",
          "utterly", "fully", "intensely", "absolutely"),
}  # fmt: skip
#: How large a part of a mixture phrases ask for: how strong it all is they leave open.
_SHARES = {0.5: ("half", "partly"), 0.7: ("mostly", "mainly", "largely", "primarily", "predominantly")}

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
_FILLERS, _ARTICLES = ("just", "only"), ("a", "an", "the", "some")
_BETWEEN = re.compile(r"\s*([,;&]\s*(?:(?:and|but|with)\b)?|\b(?:and|but|with)\b)\s*")
_AT_THE_ENDS = " \t\r\n.!?…\"'“”‘’"
_EXAMPLE = "for example `a bit fearful, mostly surprised`"


@dataclass(frozen=True)
class Worded:
    """What words ask for."""

    weights: dict[str, float]
    """Expressions of the vocabulary, and how much of each beside the others."""
    intensity: float | None
    """How strong all of it is; None where the words leave that open."""
    alone: bool
    """Whether it is one part, and no mixture of several."""


@dataclass(frozen=True)
class _Part:
    """What is said between two commas."""

    names: tuple[str, ...]
    said: float | None = None
    """The amount that stands before the names."""
    shared: bool = False
    """Whether that is one of a mixture, and not how strong the expression is."""
    own: float | None = None
    """How strong the names are by themselves."""

    def amount(self, alone: bool) -> float | None:
        """Return how much is asked for; None where that is left open."""
        if self.shared and not alone:
            return self.said
        said = None if self.shared and self.said == PLAIN else self.said  # `mostly` beside nothing else
        if said is None or self.own is None:
            return self.own if said is None else said
        return min(1.0, self.own * math.sqrt(said / PLAIN))


def parse_words(text: str) -> Worded:
    """Read expressions with their amounts, separated by commas or by `and`, `but` and `with`.

    Amounts are the shares of a mixture, where a plain word counts 0.7. They are its intensity, too, the greatest of them,
    where each part has one that is not a mere share (`mostly`). What stands before `and` holds for what follows it:
    `a bit sad and angry`. Raises `ConditionError` for other words.
    """
    words, *others = _BETWEEN.split(re.sub(r"^\s*with\b", "", text.lower().strip(_AT_THE_ENDS)))
    parts = [_part(words, text)]
    for between, words in zip(others[::2], others[1::2], strict=True):
        part, before = _part(words, text), parts[-1]
        if between.strip() in ("and", "&") and part.said is None and part.own is None:
            part = replace(part, said=before.said, shared=before.shared)
        parts.append(part)
    alone = len(parts) == 1
    amounts = [part.amount(alone) for part in parts]
    weights: dict[str, float] = {}
    for part, amount in zip(parts, amounts, strict=True):
        for name in part.names:
            weights[name] = weights.get(name, 0.0) + (amount or PLAIN) / len(part.names)
    told = [amount for part, amount in zip(parts, amounts, strict=True) if amount and (alone or not part.shared)]
    return Worded(weights, max(told) if len(told) == len(parts) else None, alone)


def expression_of(word: str) -> str:
    """Return the vocabulary's name for one word, however strong; `ConditionError` for one that is none."""
    name, _ = _WORDS.get(word.strip().lower(), (None, None))
    return name or parse_expression(word.strip())


def _part(text: str, whole: str) -> _Part:
    words, said, shared = text.split(), None, False
    if not words:
        raise ConditionError(f"`{whole}` names no expression before or after a comma, `and` or the like", hint=_EXAMPLE)
    while words[1:] and words[0] in _FILLERS:
        words = words[1:]
    while found := _amount(words):  # the weakest of several: `very slightly`
        words, amount, of_mixture = found
        if said is None or amount < said:
            said, shared = amount, of_mixture
    while words[1:] and words[0] in _ARTICLES:
        words = words[1:]
    names, own = _named(words)
    return _Part(names, said, shared, own)


def _amount(words: list[str]) -> tuple[list[str], float, bool] | None:
    """Return what follows the amount that words begin with, that, and whether it is one of a mixture."""
    for phrase, amount, of_mixture in _PHRASES:
        rest = words[len(phrase) :]
        if rest and words[: len(phrase)] == phrase:
            return rest[rest[0] == "of" and len(rest) > 1 :], amount, of_mixture
    return None


def _named(words: list[str]) -> tuple[tuple[str, ...], float | None]:
    """Return the expressions that some words name, and how strong they are by themselves where the words say that."""
    *before, word = words
    if len(before) == 1 and before[0] in _FROM_ADVERB:  # `fearfully surprised`
        others, own = _named([word])
        return (_FROM_ADVERB[before[0]], *others), own
    if word in _COMPOUND and not before:
        return _COMPOUND[word], None
    if before and (word in _WORDS or word in _COMPOUND or _is_name(word)):
        raise ConditionError(
            f"`{' '.join(before)}` is no amount of `{word}` that is known",
            hint=f"say for example `slightly`, `a bit`, `fairly`, `mostly`, `very`, or a number: `{word}@0.5`",
        )
    phrase = " ".join(words)
    name, own = _WORDS.get(phrase, (None, None))
    return (name or parse_expression(phrase),), own


def _is_name(word: str) -> bool:
    try:
        parse_expression(word)
    except ConditionError:
        return False
    return True

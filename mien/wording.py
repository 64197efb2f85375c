"""Expressions in everyday words: `a bit fearful, mostly surprised`, `fearfully surprised`, `furious`.

docs/editing.md says what they mean. English only, and only phrases that name expressions and how much of each; whatever
else is said is refused by name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from mien.errors import ConditionError
from mien.expressions import ADVERBS, ALIASES, VOCABULARY, parse_expression

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
#: How large a part of a mixture phrases ask for. How strong all of it is they leave open; a share does so alone, too.
_PARTS = {0.5: ("half", "partly")}
_SHARES = {0.7: ("mostly", "mainly", "largely", "primarily", "predominantly")}
_Kind = Literal["amount", "part", "share"]

#: Words that say how strong an expression is as they name it: the outer and inner rings of Plutchik's wheel ("Emotion: a
#: psychoevolutionary synthesis", 1980), and words like them.
_MILD = {
    "happy": "serene content contented pleased amused",
    "sad": "pensive gloomy wistful downcast",
    "surprise": "puzzled",
    "fear": "apprehensive worried anxious uneasy nervous worry anxiety",
    "anger": "annoyed irritated cross displeased annoyance",
}
_INTENSE = {
    "happy": "ecstatic overjoyed delighted elated thrilled beaming laughing ecstasy delight",
    "sad": "grieving heartbroken devastated miserable desperate grief despair",
    "surprise": "amazed astonished astounded shocked stunned amazement astonishment shock",
    "fear": "terrified panicked horrified petrified terror horror panic",
    "disgust": "loathing revolted repulsed nauseated",
    "anger": "enraged furious livid raging rage fury",
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
_KINDS: tuple[tuple[dict[float, tuple[str, ...]], _Kind], ...] = (
    (_AMOUNTS, "amount"), (_PARTS, "part"), (_SHARES, "share"),
)  # fmt: skip
#: Phrases as words, the amount, and what kind of amount it is; longer ones come first.
_PHRASES: list[tuple[list[str], float, _Kind]] = sorted(
    (
        (phrase.split(), amount, kind)
        for table, kind in _KINDS
        for amount, phrases in table.items()
        for phrase in phrases
    ),
    key=lambda entry: -len(entry[0]),
)
_FROM_ADVERB = {adverb: name for name, adverb in ADVERBS.items()}
#: Words that say nothing here, before an expression and after it.
_BEFORE, _AFTERWARDS = ("just", "only", "a", "an", "the", "some"), ("face", "look", "looking", "expression")
_PERCENT = re.compile(r"(100|[1-9][0-9]?)%")
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
    kind: _Kind = "amount"
    """Whether that is how strong the expression is, or a part of a mixture."""
    own: float | None = None
    """How strong the names are by themselves."""

    def amount(self, alone: bool) -> float | None:
        """Return how much is asked for; None where that is left open."""
        if self.kind != "amount" and not alone:
            return self.said
        said = None if self.kind == "share" else self.said
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
            part = replace(part, said=before.said, kind=before.kind)
        parts.append(part)
    alone = len(parts) == 1
    amounts = [part.amount(alone) for part in parts]
    weights: dict[str, float] = {}
    for part, amount in zip(parts, amounts, strict=True):
        for name in part.names:
            weights[name] = weights.get(name, 0.0) + (amount or PLAIN) / len(part.names)
    told = [amount for part, amount in zip(parts, amounts, strict=True) if amount and (alone or part.kind == "amount")]
    return Worded(weights, max(told) if len(told) == len(parts) else None, alone)


def expression_of(word: str) -> str:
    """Return the vocabulary's name for one word, however strong; `ConditionError` for one that is none."""
    known = _known(word.strip().lower())
    return known[0] if known else parse_expression(word.strip())


def _part(text: str, whole: str) -> _Part:
    words = text.replace("-", " ").split()
    said: float | None = None
    kind: _Kind = "amount"
    if not words:
        raise ConditionError(f"`{whole}` names no expression before or after a comma, `and` or the like", hint=_EXAMPLE)
    while len(words) > 1:
        if found := _amount(words):
            words, amount, its_kind = found
            if said is None or amount < said:  # the weakest of several: `very slightly`
                said, kind = amount, its_kind
        elif words[0] in _BEFORE:
            words = words[1:]
        else:
            break
    while words[1:] and words[-1] in _AFTERWARDS:
        words = words[:-1]
    names, own = _named(words)
    return _Part(names, said, kind, own)


def _amount(words: list[str]) -> tuple[list[str], float, _Kind] | None:
    """Return what follows the amount that words begin with, that, and its kind."""
    if words[1:] and (percent := _PERCENT.fullmatch(words[0])):
        return words[1:], int(percent[1]) / 100, "part"
    for phrase, amount, kind in _PHRASES:
        rest = words[len(phrase) :]
        if rest and words[: len(phrase)] == phrase:
            return rest[rest[0] == "of" and len(rest) > 1 :], amount, kind
    return None


def _named(words: list[str]) -> tuple[tuple[str, ...], float | None]:
    """Return the expressions that some words name, and how strong they are by themselves where the words say that."""
    *before, word = words
    known = _known(word)
    if word in _COMPOUND and not before:
        return _COMPOUND[word], None
    if known and not before:
        return (known[0],), known[1]
    if known and len(before) == 1:  # `fearfully surprised`, `a sad smile`
        first = _FROM_ADVERB.get(before[0]) or (_known(before[0]) or ("",))[0]
        if first:
            return (first, known[0]), known[1]
    if known or word in _COMPOUND:
        raise ConditionError(
            f"`{' '.join(before)}` is no amount of `{word}` that is known",
            hint=f"say for example `slightly`, `a bit`, `fairly`, `mostly`, `very`, or a number: `{word}@0.5`",
        )
    return (parse_expression(" ".join(words)),), None


def _known(word: str) -> tuple[str, float | None] | None:
    """Return the expression that a word names, and how strong it is by itself; None for another word."""
    if word in _WORDS:
        return _WORDS[word]
    name = ALIASES.get(word, word)
    return (name, None) if name in VOCABULARY else None

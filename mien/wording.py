"""Expressions in everyday words: `a bit fearful, mostly surprised`, `fearfully surprised`, `furious`.

docs/editing.md says what they mean. English only, and only phrases that name expressions and how much of each; whatever
else is said is refused by name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from mien.errors import ConditionError
from mien.expressions import ADVERBS, ALIASES, NEUTRAL, VOCABULARY, parse_expression

#: What a plain word counts as beside others of which an amount is said: `happy, a bit surprised` is 0.7 of 0.3.
PLAIN = 0.7

#: How much of an expression phrases ask for, 0 to 1; `of` may follow.
_AMOUNTS = {
    0.15: ("barely", "faintly", "faint", "a hint", "a trace"),
    0.3: ("slightly", "slight", "a bit", "a little", "a little bit", "a touch", "somewhat", "mildly", "mild", "kind of",
          "sort of"),
    0.5: ("moderately", "moderate", "fairly", "rather", "quite"),
    1.0: ("very", "really", "so", "strongly", "strong", "highly", "deeply", "deep", "clearly", "extremely", "extreme",
          "super", "completely", "totally", "utterly", "utter", "fully", "intensely", "intense", "absolutely"),
}  # fmt: skip
#: How large a share of a mixture phrases ask for, as percentages do. How strong all of it is they leave open.
_SHARES = {0.5: ("half", "partly"), 0.7: ("mostly", "mainly", "largely", "primarily", "predominantly")}
#: The smallest share that others leave to those of which nothing is said.
_REST = 0.1

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
#: Phrases as words, the amount, and whether it is a share of a mixture; longer ones come first.
_PHRASES = sorted(
    (
        (phrase.split(), amount, table is _SHARES)
        for table in (_AMOUNTS, _SHARES)
        for amount, phrases in table.items()
        for phrase in phrases
    ),
    key=lambda entry: -len(entry[0]),
)
_FROM_ADVERB = {adverb: name for name, adverb in ADVERBS.items()}
#: Words that say nothing here, before an expression and after it.
_BEFORE, _AFTERWARDS = ("just", "only", "a", "an", "the", "some"), ("face", "look", "looking", "expression")
_PERCENT = re.compile(r"(100|[1-9][0-9]?)%")
_BETWEEN = re.compile(r"\s*([,;&–—]\s*(?:(?:and|but|with)\b)?|\b(?:and|but|with)\b)\s*")
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
    amount: float | None
    """How strong it is to be, of what stands before the names."""
    share: float | None
    """How large a part of a mixture it is to be, of what stands there."""
    own: float | None
    """How strong the names are by themselves."""

    def strength(self) -> float | None:
        """Return how strong it is to be; None where that is left open."""
        if self.own is None or self.amount is None:
            return self.amount if self.own is None else self.own
        return math.sqrt(self.own) if self.amount > PLAIN else self.own * math.sqrt(self.amount / PLAIN)


def parse_words(text: str) -> Worded:
    """Read expressions with their amounts, separated by commas or by `and`, `but` and `with`.

    Amounts are the shares of a mixture, where a plain word counts 0.7. They are its intensity, too, the greatest of them,
    where each part has one. Where one has a share (`mostly`), that is open, and what has neither gets the rest. What stands
    before `and` holds for what follows it: `a bit sad and angry`. Raises `ConditionError` for other words.
    """
    words, *others = _BETWEEN.split(re.sub(r"^with\b", "", text.lower().strip(_AT_THE_ENDS)))
    parts = [_part(words, text)]
    for between, words in zip(others[::2], others[1::2], strict=True):
        part, before = _part(words, text), parts[-1]
        if between.strip() in ("and", "&") and (part.amount, part.share, part.own) == (None, None, None):
            part = replace(part, amount=before.amount, share=before.share)
        parts.append(part)
    if len(parts) == 1:
        return _alone(parts[0])
    weights: dict[str, float] = {}
    for part, weight in zip(parts, _weights(parts), strict=True):
        for name in part.names:
            weights[name] = weights.get(name, 0.0) + weight / len(part.names)
    told = [strength for part in parts if part.share is None and (strength := part.strength()) is not None]
    return Worded(weights, max(told) if len(told) == len(parts) else None, False)


def _alone(part: _Part) -> Worded:
    """Return what one part asks for, where a share is one of the whole expression: `half happy` is 0.5."""
    strength = part.strength()
    if part.share is not None:
        strength = part.share * (1.0 if strength is None else strength)
    return Worded(dict.fromkeys(part.names, 1.0 / len(part.names)), strength, True)


def _weights(parts: list[_Part]) -> list[float]:
    """Return the weight of each part of a mixture."""
    shares = [part.share for part in parts if part.share is not None]
    if not shares:
        return [part.strength() or PLAIN for part in parts]
    said = [part.amount if part.share is None else part.share for part in parts]
    rest = max(_REST, 1.0 - sum(filter(None, said))) / max(1, said.count(None))
    return [rest if weight is None else weight for weight in said]


def expression_of(word: str) -> str:
    """Return the vocabulary's name for one word, however strong; `ConditionError` for one that is none."""
    plain = word.strip().lower()
    if plain in _COMPOUND:
        first, second = _COMPOUND[plain]
        hint = f"beside a share name both, `{first}:0.25,{second}:0.25`; for how strong it is say `{plain}@0.5`"
        raise ConditionError(f"`{plain}` is a mixture of {first} and {second}, and no single expression", hint=hint)
    known = _known(plain)
    return known[0] if known else parse_expression(word.strip())


def _part(text: str, whole: str) -> _Part:
    words = re.sub(r"(\d)\s+%", r"\1%", text.replace("-", " ")).strip(_AT_THE_ENDS).split()
    if not words:
        raise ConditionError(f"`{whole}` names no expression before or after a comma, `and` or the like", hint=_EXAMPLE)
    if (found := _amount([*words, ""])) and found[0] == [""]:
        raise ConditionError(f"`{' '.join(words)}` does not say of what", hint=_EXAMPLE)
    said: dict[bool, float] = {}
    while len(words) > 1:
        if found := _amount(words):
            words, amount, shared = found
            said[shared] = min(said.get(shared, 1.0), amount)  # the weakest of several: `very slightly`
        elif words[0] in _BEFORE:
            words = words[1:]
        else:
            break
    while words[1:] and words[-1] in _AFTERWARDS:
        words = words[:-1]
    names, own = _named(words)
    return _Part(names, said.get(False), said.get(True), own)


def _amount(words: list[str]) -> tuple[list[str], float, bool] | None:
    """Return what follows the amount that words begin with, that, and whether it is a share of a mixture."""
    phrase, amount, shared = next(
        (entry for entry in _PHRASES if words[: len(entry[0])] == entry[0]), (words[:1], 0.0, True)
    )
    if percent := _PERCENT.fullmatch(words[0]):
        amount = int(percent[1]) / 100
    rest = words[len(phrase) :]
    if not amount or not rest:
        return None
    return rest[rest[0] == "of" and len(rest) > 1 :], amount, shared


def _named(words: list[str]) -> tuple[tuple[str, ...], float | None]:
    """Return the expressions that some words name, and how strong they are by themselves where the words say that."""
    *before, word = words
    known = _known(word)
    if word in _COMPOUND and not before:
        return _COMPOUND[word], None
    if known and not before:
        return (known[0],), known[1]
    if known and len(before) == 1:  # `fearfully surprised`, `a sad smile`
        name = _FROM_ADVERB.get(before[0])
        first = (name, None) if name else _known(before[0])
        if first and NEUTRAL not in (first[0], known[0]):
            return (first[0], known[0]), max(filter(None, (first[1], known[1])), default=None)
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

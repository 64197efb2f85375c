"""Do the measures measure? Whether each puts models and references where they belong.

A measure of expressions that ranks a copy of the input, or random weights, above a model that edits does not measure
expressions; one that finds the person in a photo of somebody else does not measure persons. What belongs where follows from
what the references are; it is written down below, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mien.benchmark.measures import MEASURES
from mien.benchmark.numbers import Numbers
from mien.benchmark.outcome import Outcome
from mien.benchmark.typesetting import Column, Row, Table, Value
from mien.metrics.measurement import Measurement

_ORACLE, _MODEL, _IDENTITY, _UNTRAINED = "oracle", "models", "identity", "untrained"
_REFERENCES = {_ORACLE, _IDENTITY, _UNTRAINED}

#: Measure -> groups of references, best first; what stands in one group may come in any order. Without mirror error, in
#: which models may equal the copy of the input. Why:
_EXPECTED: dict[str, tuple[tuple[str, ...], ...]] = {
    # Photos that show it and edits that do, before faces that do not. An edit may outdo a photo: it exaggerates.
    "f1": ((_ORACLE, _MODEL), (_IDENTITY, _UNTRAINED)),
    "accuracy": ((_ORACLE, _MODEL), (_IDENTITY, _UNTRAINED)),
    # Photos are like photos.
    "fed": ((_ORACLE,), (_MODEL,), (_IDENTITY, _UNTRAINED)),
    "conditional-fed": ((_ORACLE,), (_MODEL,), (_IDENTITY, _UNTRAINED)),
    # An untouched photo is a photo, though of another expression: an edit with faults may be told more easily.
    "told-from-photos": ((_ORACLE,), (_MODEL, _IDENTITY, _UNTRAINED)),
    # It asks how one face changes: photos of other people at each step jump, and what does nothing has no curve.
    "smoothness-per-face": ((_MODEL,), (_ORACLE,), (_IDENTITY, _UNTRAINED)),
    # The mean of many people's curves may be smooth; and photos are chosen by intensity too.
    "rank-correlation": ((_MODEL, _ORACLE), (_IDENTITY, _UNTRAINED)),
    "smoothness-mean-curve": ((_MODEL, _ORACLE), (_IDENTITY, _UNTRAINED)),
    "smoothness-share": ((_MODEL, _ORACLE), (_IDENTITY, _UNTRAINED)),
    # A critic sees best what it was trained against: models do not compare by it. It has met no random weights, either,
    # but what those paint is no photo.
    "referee-f1": ((_ORACLE, _IDENTITY), (_UNTRAINED,)),
    "referee-auc": ((_ORACLE, _IDENTITY), (_UNTRAINED,)),
    # The oracle shows somebody else.
    "identity": ((_IDENTITY,), (_MODEL, _UNTRAINED), (_ORACLE,)),
    "identity-similarity": ((_IDENTITY,), (_MODEL, _UNTRAINED), (_ORACLE,)),
    "identity-auc": ((_IDENTITY,), (_MODEL, _UNTRAINED), (_ORACLE,)),
    "background": ((_IDENTITY,), (_MODEL, _UNTRAINED), (_ORACLE,)),
    "coverage": ((_ORACLE, _MODEL), (_IDENTITY, _UNTRAINED)),
    "gamut-distance": ((_ORACLE, _MODEL), (_IDENTITY, _UNTRAINED)),
    "compound-distance": ((_ORACLE, _MODEL), (_IDENTITY, _UNTRAINED)),
}
#: Measures that a copy of the input pleases where the faces that are edited show every expression already.
_OF_NEUTRAL_FACES = ("fed",)


def order_table(outcome: Outcome) -> Table:
    """Return one row for each measure: the expected order, and whether each judge's numbers have it.

    A measure without a value comes last: there was nothing to measure. Where fewer than two references took part there is
    nothing to check, and the table has no rows.
    """
    numbers = Numbers(outcome)
    roles = {facts.name: facts.kind if facts.kind in _REFERENCES else _MODEL for facts in outcome.contestants}
    rows, right, wrong, asked, pairs, apart = [], 0, 0, 0, 0, 0
    for key, groups in _EXPECTED.items():
        enough = len(_REFERENCES & set(roles.values())) >= 2
        if not enough or (key in _OF_NEUTRAL_FACES and outcome.protocol.origin != "neutral"):
            continue
        verdicts = {
            judge: in_order({name: numbers.get(name, key, judge) for name in roles}, roles, groups)
            for judge in numbers.judges(key)
        }
        asked += len(verdicts)
        right += sum(bool(verdict.right) and not verdict.wrong for verdict in verdicts.values())
        wrong += sum(bool(verdict.wrong) for verdict in verdicts.values())
        pairs += sum(verdict.pairs for verdict in verdicts.values())
        apart += sum(verdict.right + len(verdict.wrong) for verdict in verdicts.values())
        if verdicts:
            rows.append(Row(MEASURES[key].heading, ((Value(_shown(groups, roles)),), tuple(_told(verdicts)))))
    columns = Column("expected, best first", words=True), Column("found", words=True)
    remarks = (
        f"{right} of {asked} are as expected, {wrong} are not, {asked - right - wrong} tell nobody apart; intervals tell "
        f"{apart} of {pairs} pairs apart. What a measure cannot be taken of comes last.",
    )
    return Table(
        "order", "Do the measures put the references where they belong?", "measure", columns, tuple(rows), remarks
    )


def _told(verdicts: Mapping[str | None, Verdict]) -> list[Value]:
    """Say it in a word where all judges agree, and who stands where otherwise."""
    words = {judge: verdict.wrong or [verdict.word] for judge, verdict in verdicts.items()}
    if len({tuple(each) for each in words.values()}) == 1 and not any(v.wrong for v in verdicts.values()):
        return [Value(next(iter(words.values()))[0])]
    return [Value(f"{judge}: {told}" if judge else told) for judge, each in words.items() for told in each]


def _shown(groups: Sequence[Sequence[str]], roles: Mapping[str, str]) -> str:
    present = [[role for role in group if role in roles.values()] for group in groups]
    return ", then ".join(" and ".join(group) for group in present if group)


@dataclass(frozen=True)
class Verdict:
    """What the pairs of contestants say that belong in different places."""

    pairs: int
    """How many could be compared."""
    right: int
    """How many stand as expected, told apart by their intervals."""
    wrong: list[str]
    """Who stands behind whom against what is expected, by intervals that do not meet."""

    @property
    def word(self) -> str:
        """The verdict where nothing is out of order."""
        return "as expected" if self.right else "not told apart" if self.pairs else "nothing to compare"


def in_order(
    found: Mapping[str, Measurement | None], roles: Mapping[str, str], groups: Sequence[Sequence[str]]
) -> Verdict:
    """Compare contestants that belong in different places.

    `found` is each contestant's number, `roles` what each is; roles that are in no group are left alone, and so are numbers
    of different protocols. Who has no number stands behind all who have one.
    """
    place = {role: index for index, group in enumerate(groups) for role in group}
    ranked = [(name, place[roles[name]], m) for name, m in found.items() if m is not None and roles[name] in place]
    pairs, right, wrong = 0, 0, []
    for name, own, measurement in ranked:
        for other, later, second in ranked:
            if own < later and _comparable(measurement, second):
                pairs += 1
                right += _behind(second, measurement)
                wrong += [f"{name} behind {other}"] if _behind(measurement, second) else []
    return Verdict(pairs, right, wrong)


def _comparable(first: Measurement, second: Measurement) -> bool:
    if first.value is None or second.value is None:
        return (first.value is None) != (second.value is None)
    return first.measure == second.measure


def _behind(first: Measurement, second: Measurement) -> bool:
    if first.value is None or second.value is None:
        return second.value is not None
    lower, higher = (first, second) if first.better == "higher" else (second, first)
    top, bottom = (lower.value, lower.high), (higher.value, higher.low)
    return max(end for end in top if end is not None) < min(end for end in bottom if end is not None)

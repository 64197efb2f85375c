"""Whether the measures put the references where they belong: made-up numbers in right and in wrong order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outcomes import nothing, number, outcome

from mien.benchmark.measures import MEASURES, measure_of
from mien.benchmark.order import Verdict, in_order, order_table
from mien.benchmark.outcome import ContestantFacts, Line, Outcome
from mien.benchmark.protocol import Protocol
from mien.benchmark.typesetting import Table, document, to_markdown
from mien.metrics.measurement import Measurement

#: Contestants by name, and what they are.
ROLES = {"mine": "model", "theirs": "official", "random": "untrained", "identity": "identity", "oracle": "oracle"}
PHOTOS_FIRST = (("oracle",), ("models",), ("identity", "untrained"))


def made(values: dict[str, float | None], measure: str = "expression-f1", better: str = "higher") -> Outcome:
    """Return a benchmark of one measure by two judges, who agree; None is undefined."""
    facts = tuple(ContestantFacts(name, ROLES[name], "", ("happy",)) for name in values)
    lines = tuple(
        Line(name, judge, one(measure, value, better))
        for judge in ("first", "second")
        for name, value in values.items()
    )
    return replace(outcome(pictures=False), contestants=facts, lines=lines, expressions=("happy",))


def one(measure: str, value: float | None, better: str = "higher") -> Measurement:
    return nothing(measure, better, "no") if value is None else number(measure, value, 0.0, 9, better)


def found(table: Table) -> list[str]:
    (row,) = table.rows
    return [value.text for value in row.cells[1]]


def test_the_right_order_is_as_expected() -> None:
    table = order_table(made({"mine": 0.7, "theirs": 0.9, "random": 0.1, "identity": 0.2, "oracle": 0.8}))
    assert found(table) == ["as expected"]
    assert table.rows[0].cells[0][0].text == "oracle and models, then identity and untrained"
    assert table.remarks[0].startswith("2 of 2 are as expected, 0 are not, 0 tell nobody apart;")


def test_who_stands_where_is_told() -> None:
    wrong = made({"mine": 0.1, "theirs": 0.9, "random": 0.15, "identity": 0.05, "oracle": 0.8})
    right = made({"mine": 0.7, "theirs": 0.9, "random": 0.1, "identity": 0.2, "oracle": 0.8})
    half = [line for line in right.lines if line.judge == "second"]
    table = order_table(replace(wrong, lines=(*(line for line in wrong.lines if line.judge == "first"), *half)))
    assert found(table) == ["first: mine behind random", "second: as expected"]
    assert table.remarks[0].startswith("1 of 2 are as expected, 1 are not, 0 tell")
    assert "mine behind random" in to_markdown(table) and "mine behind random" in document([table], "")


def test_lower_is_better_where_it_is() -> None:
    numbers = {"mine": 7.0, "identity": 20.0, "oracle": 9.0}
    assert found(order_table(made(numbers, "conditional-fed-pool-n60", "lower"))) == [
        "first: oracle behind mine", "second: oracle behind mine"
    ]  # fmt: skip
    assert found(order_table(made(numbers | {"oracle": 1.0}, "conditional-fed-pool-n60", "lower"))) == ["as expected"]


def test_what_cannot_be_measured_comes_last_and_equals_are_in_order() -> None:
    roles = {"mine": "models", "oracle": "oracle", "identity": "identity", "random": "untrained"}
    numbers = {"mine": one("m", 0.5), "oracle": one("m", 0.5), "identity": one("m", None), "random": one("m", None)}
    # Oracle and model are equal; both stand before the two without a number.
    assert in_order(numbers, roles, PHOTOS_FIRST) == Verdict(5, 4, [])
    worse = in_order(numbers | {"mine": one("m", None), "random": one("m", 0.1)}, roles, PHOTOS_FIRST)
    assert worse.wrong == ["mine behind random"]
    assert in_order({"mine": None, "oracle": None}, roles, PHOTOS_FIRST) == Verdict(0, 0, [])


def test_where_nothing_was_told_apart_nothing_is_as_expected() -> None:
    alike = order_table(made({"mine": 0.5, "identity": 0.5, "oracle": 0.5}, "conditional-fed-pool-n60", "lower"))
    assert found(alike) == ["not told apart"]
    assert alike.remarks[0].startswith(
        "0 of 2 are as expected, 0 are not, 2 tell nobody apart; intervals tell 0 of 6 pairs apart."
    )
    assert found(order_table(made({"mine": None, "identity": None, "oracle": None}))) == ["nothing to compare"]
    assert found(order_table(made({"random": 0.3, "identity": 0.2}))) == ["nothing to compare"]  # of the same place


def test_where_intervals_overlap_nobody_is_behind() -> None:
    roles = {"mine": "models", "oracle": "oracle"}
    for better, sign in (("higher", 1), ("lower", -1)):
        near = {"mine": number("m", sign * 0.60, 0.1, 9, better), "oracle": number("m", sign * 0.45, 0.1, 9, better)}
        far = {"mine": number("m", sign * 0.60, 0.1, 9, better), "oracle": number("m", sign * 0.35, 0.1, 9, better)}
        assert in_order(near, roles, PHOTOS_FIRST) == Verdict(1, 0, [])
        assert in_order(far, roles, PHOTOS_FIRST) == Verdict(1, 0, ["oracle behind mine"])


def test_other_protocols_and_other_roles_are_left_alone() -> None:
    roles = {"mine": "models", "oracle": "oracle", "identity": "identity"}
    numbers = {"mine": one("m-of-4", 0.9), "oracle": one("m", 0.5), "identity": one("m", 0.1)}
    assert in_order(numbers, roles, PHOTOS_FIRST) == Verdict(1, 1, [])  # oracle and identity
    two = {"mine": one("m", 0.9), "oracle": one("m", 0.1)}
    assert in_order(two, roles, (("oracle",), ("identity",))) == Verdict(0, 0, [])


def test_with_fewer_than_two_references_there_is_nothing_to_check() -> None:
    assert order_table(made({"mine": 0.7, "identity": 0.2})).rows == ()
    assert len(order_table(made({"mine": 0.7, "identity": 0.2, "oracle": 0.9})).rows) == 1


def test_pooled_fed_is_not_checked_where_the_edited_faces_show_everything() -> None:
    neutral = made({"mine": 3.0, "identity": 0.1, "oracle": 1.0}, "fed-pool-n500", "lower")
    assert len(order_table(neutral).rows) == 1
    assert order_table(replace(neutral, protocol=Protocol(origin="any"))).rows == ()


@pytest.mark.parametrize("measure", ["smoothness-per-face", "conditional-two-sample-auc-pool", "identity-rank1-n500"])
def test_what_is_checked_is_a_known_measure(measure: str) -> None:
    assert measure_of(measure).key in MEASURES
    better = "higher" if measure.startswith("identity") else "lower"
    assert len(order_table(made({"mine": 0.7, "identity": 0.2, "oracle": 0.9}, measure, better)).rows) == 1

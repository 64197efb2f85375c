"""The tables: which value is the best, what stands where there is none, and that every name can be printed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from outcomes import JUDGES, nothing, number, outcome

from mien.benchmark.measures import MEASURES, measure_of, show
from mien.benchmark.outcome import ContestantFacts, Line, Outcome
from mien.benchmark.tables import all_tables, expression_tables, overview, undefined_lines
from mien.benchmark.typesetting import Table, Value, document, escape_latex, escape_markdown, to_latex, to_markdown
from mien.metrics.coverage import compound_distances, gamut_coverage
from mien.metrics.discriminator import discriminator_f1
from mien.metrics.distance import change_measures, mirror_error
from mien.metrics.expression_f1 import expression_f1
from mien.metrics.frechet import conditional_fed, extrapolated_fed, fed
from mien.metrics.identity import identity_kept
from mien.metrics.measurement import Measurement
from mien.metrics.smoothness import smoothness
from mien.metrics.two_sample import conditional_two_sample_auc

MODELS = ("first", "second", "third")
NASTY = "a|b_*c* <script>$x$</script> \\cmd{} 50% #1 & [y] ~^`"


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome(pictures=False)


def made(
    measurements: dict[str, Measurement], judge: str | None = None, detectors: dict[str, str] | None = None
) -> Outcome:
    """Return a benchmark of these numbers alone; `identity` and `oracle` are baselines by their names."""
    facts = tuple(
        ContestantFacts(
            name,
            name if name in ("identity", "oracle") else "model",
            "",
            ("happy",),
            detector=(detectors or {}).get(name),
        )
        for name in measurements
        if name != "real"
    )
    lines = tuple(Line(name, judge, measurement) for name, measurement in measurements.items())
    return replace(outcome(pictures=False), contestants=facts, lines=lines, expressions=("happy",))


def column(table: Table, heading: str) -> dict[str, tuple[Value, ...]]:
    place = [c.heading for c in table.columns].index(heading)
    return {row.name: row.cells[place] for row in table.rows}


def test_the_best_is_the_highest_or_the_lowest_of_the_models() -> None:
    values = dict(zip(("first", "second", "identity"), (0.7, 0.9, 1.0), strict=True))
    found = made({name: number("identity-rank1", value, 0.0, 10, "higher") for name, value in values.items()})
    cells = column(overview(found), "person found again")
    assert {name: cell[0].best for name, cell in cells.items()} == {"first": False, "second": True, "identity": False}
    found = made({name: number("background-change", value, 0.0, 10, "lower") for name, value in values.items()})
    assert [cell[0].best for cell in column(overview(found), "background change").values()] == [True, False, False]


def test_a_model_alone_is_not_the_best() -> None:
    found = made({n: number("identity-rank1", 0.7, 0.0, 10, "higher") for n in ("first", "identity")})
    assert not any(value.best for row in overview(found).rows for cell in row.cells for value in cell)


def test_what_neither_way_is_better_has_no_arrow_and_no_best() -> None:
    found = made({name: number("face-change", i + 1.0, 0.0, 10, "lower") for i, name in enumerate(MODELS)})
    table = next(table for table in all_tables(found) if table.name == "kept")
    assert table.columns[0].arrow == "" and not any(cell[0].best for cell in column(table, "face change").values())


def test_other_protocols_do_not_compete() -> None:
    found = made(
        {
            "first": number("expression-f1", 0.6, 0.0, 70, "higher"),
            "second": number("expression-f1", 0.5, 0.0, 70, "higher"),
            "third": number("expression-of-4-f1", 0.9, 0.0, 40, "higher"),
        },
        judge="resnet18",
    )
    cells = column(overview(found), "expression F1")
    assert [cells[name][0].best for name in MODELS] == [True, False, False]
    assert "expression-of-4-f1" in cells["third"][0].note and not cells["first"][0].note


def test_who_guided_a_model_is_no_judge_of_it() -> None:
    found = made(
        {name: number("expression-f1", i / 10 + 0.5, 0.0, 70, "higher") for i, name in enumerate(MODELS)}, judge="vgg16"
    )
    teacher = "f" * 64
    judges = tuple(replace(judge, fingerprint=teacher if judge.name == "vgg16" else "e" * 64) for judge in found.judges)
    contestants = tuple(
        replace(f, guides=("0" * 64, teacher) if f.name == MODELS[2] else ()) for f in found.contestants
    )
    cells = column(overview(replace(found, contestants=contestants, judges=judges)), "expression F1")
    assert [cells[name][0].best for name in MODELS] == [False, True, False]
    assert ["guided" in cells[name][0].note for name in MODELS] == [False, False, True]


def test_undefined_is_a_dash_with_its_reason_never_a_number(found: Outcome) -> None:
    reason = "the judge's probability rises by more than 0.05 on no curve"
    table = next(table for table in all_tables(found) if table.name == "smoothness")
    assert column(table, "smoothness, per face")["identity"][0] == Value("—", note=reason)
    letter = table.notes[reason]
    assert f"—<sup>{letter}</sup>" in to_markdown(table) and f"<sup>{letter}</sup> the judge's" in to_markdown(table)
    assert rf"—\textsuperscript{{{letter}}}".replace("—", "---") in to_latex(table)
    everything = "".join(to_markdown(table) for table in all_tables(found)) + document(all_tables(found), "")
    assert not re.search(r"\b(nan|inf|None)\b", everything)
    assert ("identity", "resnet18", "smoothness-per-face", reason) in undefined_lines(found)


def test_numbers_that_nobody_took_say_so() -> None:
    found = made({"first": number("identity-rank1", 0.7, 0.0, 10, "higher"), "second": nothing("x", "higher", "why")})
    assert column(overview(found), "person found again")["second"] == (Value("—", note="not measured here"),)


def test_judges_stand_below_each_other_with_letters(found: Outcome) -> None:
    cell = column(overview(found), "expression F1")["ganmut-128"]
    assert [(value.mark, value.text, value.interval) for value in cell] == [
        ("A", "0.710", "0.680–0.740"), ("B", "0.670", "0.640–0.700"),
    ]  # fmt: skip
    assert "A: judged by resnet18; B: judged by vgg16." in overview(found).remarks


def test_tables_one_and_two_are_apart_by_detector_and_hold_photos() -> None:
    f1 = {name: number("expression-f1", 0.5, 0.1, 9, "higher") for name in ("first", "second", "identity", "real")}
    tables = expression_tables(made(f1, judge="vgg16", detectors={"first": "mtcnn", "second": "retinaface"}))
    heads = [[c.heading for c in table.columns] for table in tables]
    assert heads == [["first", "identity", "photos"], ["second", "identity", "photos"]]
    assert "mtcnn" in tables[0].title and "retinaface" in tables[1].title
    # The authors' checkpoint, whose detector nobody noted, stands beside both.
    both = made(f1, judge="vgg16", detectors={"first": "mtcnn"})
    both = replace(both, contestants=(both.contestants[0], replace(both.contestants[1], kind="official")))
    assert [[c.heading for c in t.columns] for t in expression_tables(both)] == [["first", "second", "photos"]]
    (table,) = expression_tables(made(f1, judge="vgg16"))
    assert [c.heading for c in table.columns] == ["first", "second", "identity", "photos"]
    assert [row.name for row in table.rows] == ["vgg16"] and table.columns[-1].quiet


def test_critics_rank_nobody_for_below_one_half_they_are_sure_of_the_opposite() -> None:
    numbers = {name: number("discriminator-auc", 0.6 + i / 10, 0, 9, "lower") for i, name in enumerate(MODELS)}
    own = next(t for t in all_tables(made(numbers)) if t.name == "discriminator")
    assert not any(value.best for row in own.rows for cell in row.cells for value in cell)
    numbers = {name: replace(m, measure="discriminator-auc-by-first") for name, m in numbers.items()}
    table = next(t for t in all_tables(made(numbers)) if t.name == "discriminator")
    assert not any(value.best for row in table.rows for cell in row.cells for value in cell)
    assert any("critic of first" in remark for remark in table.remarks)


def test_the_referee_is_named_as_it_is_called_whatever_the_number_of_expressions() -> None:
    def said(names: tuple[str, ...], measure: str) -> list[str]:
        found = made({name: number(measure, 0.6, 0.0, 9, "lower") for name in names})
        table = next(table for table in all_tables(found) if table.name == "discriminator")
        return [remark.partition(",")[0] for remark in table.remarks if "critic" in remark]

    # Four of the benchmark's expressions: the mean is of another protocol, the referee the same.
    assert said(MODELS, "discriminator-auc-by-first-of-4") == ["The referee is the critic of first"]
    both = made({
        "first": number("discriminator-auc-by-first-of-4", 0.6, 0.0, 9, "lower"),
        "second": number("discriminator-auc-by-first", 0.6, 0.0, 9, "lower"),
    })  # fmt: skip
    table = next(table for table in all_tables(both) if table.name == "discriminator")
    assert sum("critic of" in remark for remark in table.remarks) == 1
    # A model may be called so.
    called = ("part-2-of-4", "second")
    for measure in ("discriminator-auc-by-part-2-of-4", "discriminator-auc-by-part-2-of-4-of-6"):
        assert said(called, measure) == ["The referee is the critic of part-2-of-4"]


def test_compounds_say_where_they_are(found: Outcome) -> None:
    table = next(table for table in all_tables(found) if table.name == "compounds-1")
    assert [row.name for row in table.rows] == ["fearfully surprised (43 faces)", "sadly angry (34 faces)"]
    assert table.rows[0].cells[0][0].interval == "0.270–0.290 at 57°, 0.70"


def test_every_measure_that_is_taken_is_known() -> None:
    random = np.random.default_rng(0)
    features, names = random.normal(size=(12, 3)), ("neutral", "happy")
    labels, faces = np.arange(12) % 2, np.arange(12)
    votes, judged = random.dirichlet(np.ones(2), 12), random.dirichlet(np.ones(2), (3, 4))
    pictures = random.uniform(-1, 1, (12, 1, 24, 24)).astype(np.float32)
    taken = [
        *expression_f1(labels, labels, faces, names),
        *expression_f1(labels, labels, faces, names, prefix="expression-of-2"),
        fed(features, features + 1, layer="features"),
        extrapolated_fed(features, features + 1, layer="features"),
        *conditional_fed(features, labels, features, labels, names, layer="features"),
        *conditional_two_sample_auc(features, labels, features, labels, names, layer="features"),
        *smoothness(random.uniform(size=(4, 1, 5)), ["happy"]),
        *discriminator_f1(random.normal(size=9), random.normal(size=9)),
        *identity_kept(pictures.reshape(12, -1), pictures.reshape(12, 1, -1), faces),
        *change_measures(np.ones(12), np.ones(12), faces),
        mirror_error(np.ones(12), faces),
        *gamut_coverage(votes, judged, names),
        *compound_distances(votes, judged, np.zeros((4, 2)), names),
    ]
    taken += [replace(m, measure=f"{m.measure}-by-x") for m in taken if m.measure.startswith("discriminator")]
    unknown = {m.measure for m in taken if measure_of(m.measure).key not in MEASURES}
    assert not unknown
    assert {measure_of(m.measure).key for m in taken} == set(MEASURES)
    assert all(measure.fooled for measure in MEASURES.values())


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.61249, "share", "0.612"), (-0.25, "share", "−0.250"), (0.0, "share", "0.000"), (0.0001, "share", "< 0.001"),
        (106.94, "size", "107"), (6.504, "size", "6.50"), (0.01234, "size", "0.0123"), (12345.6, "size", "12,346"),
        (0.0, "size", "0"), (-2.5, "size", "−2.50"),
    ],
)  # fmt: skip
def test_how_numbers_are_printed(value: float, scale: str, text: str) -> None:
    assert show(value, scale) == text  # pyright: ignore[reportArgumentType]


def nasty() -> Outcome:
    return made({name: number("identity-rank1", 0.5, 0.1, 9, "higher") for name in (NASTY, "plain")})


def test_markdown_keeps_its_columns_with_any_name() -> None:
    rows = [row for row in to_markdown(overview(nasty())).splitlines() if row.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<script>" not in "".join(rows) and escape_markdown("a\nb *c*") == r"a b \*c\*"


def test_a_wide_table_is_turned_for_a_page_of_a_paper(found: Outcome) -> None:
    table = overview(found)
    assert len(table.columns) > 6 >= len(table.rows)
    body = [line for line in to_latex(table).splitlines() if line.endswith(r"\\") and " & " in line]
    assert len(body) == 1 + len(table.columns)  # the models' names, and a line for each measure
    assert all(line.count(" & ") == len(table.rows) for line in body)
    assert body[0].startswith(" & ") and "ganmut-128" in body[0] and r"\textit{identity}" in body[0]
    place = [column.heading for column in table.columns].index("FED per expression")
    value = table.rows[1].cells[place][0]
    assert body[1 + place].startswith(r"FED per expression $\downarrow$ & ")
    assert value.text in body[1 + place].split(" & ")[2]


def test_latex_is_balanced_with_any_name(found: Outcome) -> None:
    assert escape_latex("50% of_a & b\\") == r"50\% of\_a \& b\textbackslash{}"
    for result in (nasty(), found):
        for table in all_tables(result):
            text = to_latex(table)
            bare = re.sub(r"\\[{}%$&#_]", "", text)
            assert (
                bare.count("{") == bare.count("}") and re.search(r"(?<!\\)[%#_]", bare.replace("{%\n", "{\n")) is None
            )
            assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]
            body = bare[bare.index(r"\midrule") : bare.index(r"\bottomrule")].splitlines()[1:]
            sides = len(table.rows), len(table.columns)
            turned = sides[1] > 6 >= sides[0]
            assert (len(body), *{row.count("&") for row in body}) == (sides[::-1] if turned else sides)


def test_nothing_measured_still_gives_tables() -> None:
    empty = replace(outcome(pictures=False), lines=())
    assert [table.name for table in all_tables(empty)] == ["overview", "cost"]
    assert [row.name for row in all_tables(empty)[1].rows][:1] == ["ganmut-128"] and JUDGES

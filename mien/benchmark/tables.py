"""The tables of a report, in the shape of Surani 2024's I to V, and what those lack.

Each is made from the lines of results alone, but for parameters and milliseconds, which are facts of a model. What was not
measured is a dash with the reason below the table.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mien.benchmark.measures import MEASURES, Measure, show
from mien.benchmark.numbers import Numbers
from mien.benchmark.order import order_table
from mien.benchmark.outcome import ContestantFacts, Outcome
from mien.benchmark.typesetting import DASH, Column, Row, Table, Value
from mien.metrics.measurement import Measurement

#: Contestant's name in lines that were measured on photos.
REAL = "real"

#: What a model is not: it shows what a measure is worth.
BASELINES = ("identity", "untrained", "oracle")

#: The measures of the overview.
MAIN = (
    "f1", "fed", "conditional-fed", "smoothness-per-face", "rank-correlation", "told-from-photos", "identity",
    "background", "gamut-distance",
)  # fmt: skip

_REAL_NAME = "photos"
_OVERLAP = "Bold: the best value of the models. Where intervals overlap, the difference may be chance."
_GUIDED = "this judge guided the training: it says what it was taught to be told"
_QUIET = "Italics: references, which show what a measure is worth and take no part in the comparison."


@dataclass(frozen=True)
class _Wanted:
    """A column of numbers: a kind of measure, by one judge, on one expression or all of them."""

    measure: Measure
    judge: str | None
    expression: str | None = None


def all_tables(outcome: Outcome) -> list[Table]:
    """Return every table that this benchmark has numbers for, the overview first."""
    numbers = Numbers(outcome)
    tables = [
        overview(outcome),
        order_table(outcome),
        *expression_tables(outcome),
        *class_tables(outcome),
        _plain_table(
            outcome, "fed", "Frechet emotion distance (table III)", ("fed", "conditional-fed", "fed-extrapolated")
        ),
        _plain_table(
            outcome, "smoothness", "Smoothness (table IV)",
            ("smoothness-per-face", "smoothness-mean-curve", "smoothness-share", "rank-correlation"),
        ),
        _plain_table(
            outcome, "discriminator", "Real against edited (table V)",
            ("told-from-photos", "referee-f1", "referee-real", "referee-generated", "referee-auc", "own-f1", "own-real",
             "own-generated", "own-auc"),
        ),
        _plain_table(
            outcome, "kept", "Person and background",
            ("identity", "identity-similarity", "identity-auc", "background", "face-change", "mirror"),
        ),
        _plain_table(outcome, "gamut", "Mixed expressions", ("coverage", "gamut-distance", "compound-distance")),
        *compound_tables(outcome),
        cost_table(outcome),
    ]  # fmt: skip
    others = tuple(key for key in numbers.kinds if key not in MEASURES)
    tables += [_plain_table(outcome, "others", "Other measures", others)] if others else []
    return [table for table in tables if table.columns and table.rows]


def overview(outcome: Outcome) -> Table:
    """Return one row for each model, one column for each main measure; cells hold a value for each judge."""
    numbers, facts = Numbers(outcome), outcome.contestants
    letters = _judge_letters([judge for key in MAIN for judge in numbers.judges(key)])
    columns, cells, remarks = [], [[] for _ in facts], []
    for key in MAIN:
        if not numbers.judges(key):
            continue
        wanted = [_Wanted(MEASURES[key], judge) for judge in numbers.judges(key)]
        filled = [_column(numbers, facts, want, letters.get(want.judge or "", "")) for want in wanted]
        columns.append(_head(numbers, facts, wanted[0], grouped=False))
        for index in range(len(facts)):
            cells[index].append(tuple(values[index] for values in filled))
    for heading, values in _costs(facts):
        columns.append(Column(heading, "↓" if "ms" in heading else ""))
        for index, value in enumerate(values):
            cells[index].append((value,))
    if letters:
        remarks.append("; ".join(f"{letter}: judged by {name}" for name, letter in letters.items()) + ".")
    rows = _rows(facts, cells)
    keys = tuple(key for key in MAIN if numbers.judges(key))
    return Table("overview", "Overview", "model", tuple(columns), rows, (*remarks, *_legend(rows)), keys)


def expression_tables(outcome: Outcome) -> list[Table]:
    """Return tables I and II: rows judges, columns models and photos, a table for each detector of their data."""
    numbers = Numbers(outcome)
    judges = numbers.judges("f1")
    trained = [facts for facts in _models(outcome.contestants) if facts.kind != "official"]
    detectors = list(dict.fromkeys(facts.detector for facts in trained))
    apart = any(detectors) and bool(judges)
    tables = []
    for detector in detectors if apart else [None]:
        facts = [
            f for f in outcome.contestants
            if not apart or f.kind in (*BASELINES, "official") or f.detector == detector
        ]  # fmt: skip
        wanted = [_Wanted(MEASURES["f1"], judge) for judge in judges]
        filled = [_column(numbers, facts, want) for want in wanted]
        arrow = "↑" if judges else ""
        columns, real = [Column(f.name, arrow, quiet=f.kind in BASELINES) for f in facts], []
        if any(numbers.get(REAL, "f1", judge) for judge in judges):
            columns.append(Column(_REAL_NAME, arrow, quiet=True))
            real = [(_value(numbers.get(REAL, "f1", judge), MEASURES["f1"], quiet=True),) for judge in judges]
        rows = []
        for index, judge in enumerate(judges):
            cells = [(value,) for value in filled[index]] + ([real[index]] if real else [])
            rows.append(Row(judge or "no judge", tuple(cells)))
        title = f"Expression F1{_detector_title(detector) if apart else ' (tables I and II)'}"
        name = f"expression-f1-{len(tables) + 1}" if apart else "expression-f1"
        remarks = (*_sizes(numbers, facts, wanted), *([_OVERLAP] if _any_best(rows) else []))
        if real:
            remarks += ("Photos: how often the judge agrees with the people who labelled them.",)
        tables.append(Table(name, title, "judge", tuple(columns), tuple(rows), remarks, ("f1",)))
    return tables


def class_tables(outcome: Outcome) -> list[Table]:
    """Return for each judge the F1 of every expression: rows models and photos, columns expressions."""
    numbers, tables = Numbers(outcome), []
    for place, judge in enumerate(numbers.judges("f1")):
        wanted = [_Wanted(MEASURES["f1"], judge, name) for name in outcome.expressions]
        title = f"F1 of each expression, judged by {judge}" if judge else "F1 of each expression"
        table = _table(outcome, f"classes-{place + 1}", title, wanted, by_expression=True)
        tables.append(table)
    return tables


def compound_tables(outcome: Outcome) -> list[Table]:
    """Return for each judge how near each model comes to the mixtures that people see, and at which place of the disc."""
    numbers, tables, key = Numbers(outcome), [], "compound-distance"
    for place, judge in enumerate(numbers.judges(key)):
        of_judge = [line for line in outcome.lines if line.judge == judge and line.measurement.measure == key]
        faces = {line.measurement.expression: line.measurement.n for line in of_judge if line.measurement.expression}
        measured = {line.contestant for line in of_judge if line.measurement.value is not None}
        facts = [f for f in outcome.contestants if f.name in measured]
        rows = []
        for name, count in faces.items():
            values = _column(numbers, facts, _Wanted(MEASURES[key], judge, name))
            found = [numbers.get(f.name, key, judge, name) for f in facts]
            cells = tuple((_with_place(value, m),) for value, m in zip(values, found, strict=True))
            rows.append(Row(f"{name} ({count:,} faces)", cells))
        columns = tuple(Column(f.name, "↓", quiet=f.kind in BASELINES) for f in facts)
        title = f"Mixtures that people see, judged by {judge}"
        remarks = ("Distance of the nearest place from people's votes, 0 to 1; the place is direction and intensity.",)
        remarks += (_OVERLAP,) if _any_best(rows) else ()
        tables.append(Table(f"compounds-{place + 1}", title, "mixture", columns, tuple(rows), remarks, (key,)))
    return tables


def _with_place(value: Value, found: Measurement | None) -> Value:
    """Add where on the disc a mixture was found; models without a disc have no places."""
    code = found.details.get("code") if found is not None else None
    if not code or len(code) != 2 or any(number is None or not math.isfinite(number) for number in code):
        return value
    angle, radius = math.degrees(code[0]) % 360, code[1]
    return replace(value, interval=f"{value.interval} at {angle:.0f}°, {radius:.2f}".strip())


def cost_table(outcome: Outcome) -> Table:
    """Return what each model costs and where it comes from."""
    facts = outcome.contestants
    costs = _costs(facts)
    columns = [Column(heading, "↓" if "ms" in heading else "") for heading, _ in costs]
    cells = [[(values[index],) for _, values in costs] for index in range(len(facts))]
    for heading, get in (("kind", "kind"), ("training data", "training_data"), ("detector", "detector")):
        columns.append(Column(heading, words=True))
        for index, model in enumerate(facts):
            cells[index].append((_word(getattr(model, get), "not known"),))
    columns.append(Column("sha256", words=True))
    for index, model in enumerate(facts):
        cells[index].append((_word(model.sha256[:12], "has no weights"),))
    remarks = ("Milliseconds are the shortest of 25 edits, each of one face crop at the model's own size.",)
    return Table("cost", "Cost and origin", "model", tuple(columns), _rows(facts, cells), remarks)


def undefined_lines(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    """Return (contestant, judge, measure, reason) of every number that could not be measured."""
    return [
        (
            line.contestant,
            line.judge or "",
            line.measurement.measure + (f", {line.measurement.expression}" if line.measurement.expression else ""),
            line.measurement.undefined,
        )
        for line in outcome.lines
        if line.measurement.undefined
    ]


def shown_measures(table: Table) -> list[Measure]:
    """Return the measures that a table shows and that something is known to fool."""
    return [MEASURES[key] for key in table.measures if key in MEASURES]


# ----------------------------------------------------------------------------------------------------------- building


def _plain_table(outcome: Outcome, name: str, title: str, keys: Sequence[str]) -> Table:
    """Return rows models, columns measures, side by side for each judge."""
    numbers = Numbers(outcome)
    pairs = [(judge, key) for key in keys for judge in numbers.judges(key)]
    judges = list(dict.fromkeys(judge for judge, _ in pairs))
    wanted = [
        _Wanted(numbers.kinds[key], judge) for judge in judges for key in keys if (judge, key) in pairs
    ]  # fmt: skip
    return _table(outcome, name, title, wanted)


def _table(
    outcome: Outcome, name: str, title: str, wanted: Sequence[_Wanted], *, by_expression: bool = False
) -> Table:  # fmt: skip
    numbers, facts = Numbers(outcome), outcome.contestants
    filled = [_column(numbers, facts, want) for want in wanted]
    rows = _rows(facts, [[(values[index],) for values in filled] for index in range(len(facts))])
    of_real = [numbers.get(REAL, want.measure.key, want.judge, want.expression) for want in wanted]
    if any(of_real):
        cells = tuple((_value(found, want.measure, quiet=True),) for found, want in zip(of_real, wanted, strict=True))
        rows += (Row(_REAL_NAME, cells, quiet=True),)
    heads = [_head(numbers, facts, want, grouped=not by_expression) for want in wanted]
    remarks = (*_sizes(numbers, facts, wanted), *_referee(numbers, facts, wanted), *_legend(rows))
    return Table(name, title, "model", tuple(heads), rows, remarks, tuple(dict.fromkeys(w.measure.key for w in wanted)))


def _column(numbers: Numbers, facts: Sequence[ContestantFacts], want: _Wanted, mark: str = "") -> list[Value]:
    """Return the values of one measure, the best of the models marked where they can be compared."""
    found = [numbers.get(f.name, want.measure.key, want.judge, want.expression) for f in facts]
    taught = [numbers.guided(f, want.judge) for f in facts]
    models = [
        m for f, m, by_judge in zip(facts, found, taught, strict=True)
        if f.kind not in BASELINES and not by_judge and m and m.value is not None
    ]  # fmt: skip
    common = _common_protocol([m for m in found if m is not None and m.value is not None])
    values = [m.value for m in models if m.measure == common and m.value is not None]
    best = (max if models[0].better == "higher" else min)(values) if len(values) >= 2 and want.measure.ranked else None
    filled = []
    for f, m, by_judge in zip(facts, found, taught, strict=True):
        is_best = not by_judge and best is not None and m is not None and m.measure == common and m.value == best
        value = _value(m, want.measure, mark, best=is_best, quiet=f.kind in BASELINES)
        if m is not None and m.value is not None and m.measure != common:
            value = replace(value, note=f"measured as {m.measure}: only what was measured alike compares")
        if by_judge and m is not None and m.value is not None:
            value = replace(value, note="; ".join(filter(None, (value.note, _GUIDED))))
        filled.append(value)
    return filled


def _common_protocol(measurements: Sequence[Measurement]) -> str:
    """Return the protocol by which most were measured; nothing where it is a draw."""
    counted = Counter(m.measure for m in measurements).most_common(2)
    return counted[0][0] if counted and (len(counted) == 1 or counted[0][1] > counted[1][1]) else ""


def _value(
    found: Measurement | None, measure: Measure, mark: str = "", *, best: bool = False, quiet: bool = False
) -> Value:
    if found is None:
        return Value(DASH, note="not measured here", mark=mark)
    if found.value is None:
        return Value(DASH, note=found.undefined, mark=mark)
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f"{show(found.low, measure.scale)}–{show(found.high, measure.scale)}"
    return Value(show(found.value, measure.scale), interval, best and not quiet, quiet=quiet, mark=mark)


def _head(numbers: Numbers, facts: Sequence[ContestantFacts], want: _Wanted, *, grouped: bool) -> Column:
    names = [*(f.name for f in facts), REAL]
    found = filter(None, (numbers.get(name, want.measure.key, want.judge, want.expression) for name in names))
    better = next((m.better for m in found), "")
    arrow = {"higher": "↑", "lower": "↓"}.get(better, "") if want.measure.ranked else ""
    group = (want.judge or want.measure.by) if grouped else ""
    return Column(want.expression or want.measure.heading, arrow, group=group)


def _word(text: str | None, note: str) -> Value:
    return Value(text) if text else Value(DASH, note=note)


def _rows(facts: Sequence[ContestantFacts], cells: Sequence[Sequence[tuple[Value, ...]]]) -> tuple[Row, ...]:
    return tuple(Row(f.name, tuple(own), f.kind in BASELINES) for f, own in zip(facts, cells, strict=True))


def _costs(facts: Sequence[ContestantFacts]) -> list[tuple[str, list[Value]]]:
    """Return parameters and milliseconds of each model, where any model has them."""
    result = []
    if any(f.parameters is not None for f in facts):
        none = Value(DASH, note="has no network")
        values = [none if f.parameters is None else Value(f"{f.parameters / 1e6:.2f}") for f in facts]
        result.append(("parameters, M", values))
    if any(f.milliseconds is not None for f in facts):
        values = [
            Value(DASH, note="nothing is computed, or it was computed elsewhere")
            if f.milliseconds is None
            else Value(show(f.milliseconds, "size"))  # none is best: what else the machine did counts too
            for f in facts
        ]
        result.append(("ms per edit", values))
    return result


def _sizes(numbers: Numbers, facts: Sequence[ContestantFacts], wanted: Sequence[_Wanted]) -> tuple[str, ...]:
    """Say how many were measured."""
    sizes: dict[str, set[int]] = {}
    for want in wanted:
        found = [numbers.get(f.name, want.measure.key, want.judge, want.expression) for f in facts]
        measured = [m for m in found if m is not None and m.value is not None]
        label = want.measure.heading if want.expression is None else want.expression
        sizes.setdefault(label, set()).update(m.n for m in measured)
    parts = [f"{label} {_range(counts)}" for label, counts in sizes.items() if counts]
    return (f"n: {'; '.join(parts)}.",) if parts else ()


def _referee(numbers: Numbers, facts: Sequence[ContestantFacts], wanted: Sequence[_Wanted]) -> tuple[str, ...]:
    """Say whose critic judged everybody."""
    found = (numbers.get(f.name, want.measure.key, want.judge) for want in wanted for f in facts)
    said = [m.measure.partition("-by-")[2] for m in found if m is not None and "-by-" in m.measure]
    # `-of-4` says of how many expressions a mean is, unless a model is called so.
    models = {f.name for f in facts}
    names = dict.fromkeys(name if name in models else re.sub(r"-of-\d+$", "", name) for name in said)
    return tuple(f"The referee is the critic of {name}, trained against the edits of that model." for name in names)


def _range(counts: Iterable[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _legend(rows: Sequence[Row]) -> tuple[str, ...]:
    """Explain bold and italics where they are used."""
    best = _any_best(rows)
    return (*([_OVERLAP] if best else []), *([_QUIET] if any(row.quiet for row in rows) else []))


def _any_best(rows: Sequence[Row]) -> bool:
    return any(value.best for row in rows for cell in row.cells for value in cell)


def _models(facts: Sequence[ContestantFacts]) -> list[ContestantFacts]:
    return [f for f in facts if f.kind not in BASELINES]


def _detector_title(detector: str | None) -> str:
    return f", models trained on faces of {detector}" if detector else ", models of which no detector is known"


def _judge_letters(judges: Iterable[str | None]) -> dict[str, str]:
    """Return a letter for each judge where there are several."""
    names = list(dict.fromkeys(name for name in judges if name))
    return {} if len(names) < 2 else {name: chr(ord("A") + place % 26) for place, name in enumerate(names)}

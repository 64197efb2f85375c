"""Write the README's results from what was measured, so that no number there is typed by hand.

Scores come from the reports of `mien bench` in docs/reports, speed and reading from benchmarks/results.jsonl; only lines
that were measured with the shipped weights (by their hash), or on photos, are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mien.benchmark.results import Result, read_results

ROOT = Path(__file__).parent.parent
NAME = "ganmut-mixed-128"
#: What ships besides: the model that it went on from.
BEFORE = "ganmut-fer2013"
#: The other model that ships, and the Zagreb students' expressions: it knows neutral beside them.
STARGAN, FOUR = "stargan-fer2013", ("happy", "sad", "surprise", "anger")
START, END = "<!-- results -->", "<!-- /results -->"
REPORTS = ROOT / "docs" / "reports"
#: Reports of the shipped weights, and what their faces are called.
EDITED = {
    f"{NAME}": "neutral faces, edited",
    f"{NAME}-any": "faces of any expression, edited",
    f"{NAME}-wild": "faces of another dataset, edited",
}


def newest(lines: list[dict[str, Any]], name: str, **facts: Any) -> dict[str, Any]:
    """Return the last line of a name whose facts match."""
    found = [line for line in lines if line["name"] == name and all(line.get(k) == v for k, v in facts.items())]
    if not found:
        raise SystemExit(f"benchmarks/results.jsonl has no `{name}` of these weights: {facts}")
    return found[-1]


def report(name: str) -> list[Result]:
    """Return the numbers of a report."""
    return read_results(REPORTS / name / "results.jsonl")


def value(
    results: list[Result], contestant: str, judge: str | None, measure: str, expression: str | None = None
) -> str:
    """Return a number of a report as text; a dash where it is undefined."""
    found = number(results, contestant, judge, measure, expression)
    return "—" if found is None else f"{found:.2f}"


def number(
    results: list[Result], contestant: str, judge: str | None, measure: str, expression: str | None = None
) -> float | None:
    """Return a number of a report as it was measured; None where it is undefined."""
    for result in results:
        line = result.line
        found = line.measurement
        if (line.contestant, line.judge, found.measure, found.expression) == (contestant, judge, measure, expression):
            return found.value
    raise SystemExit(f"no {measure} of {contestant} by {judge} among the results")


def defined(found: float | None) -> float:
    """Return a number that a sentence needs; there is no such sentence without it."""
    if found is None:
        raise SystemExit("a number that README's sentences need is undefined in its report")
    return found


def judges_of(results: list[Result]) -> list[str]:
    """Return the judges' names in their order."""
    return list(dict.fromkeys(result.line.judge for result in results if result.line.judge))


def expressions_of(results: list[Result]) -> list[str]:
    """Return the benchmark's expressions in their order."""
    return list(
        dict.fromkeys(
            result.line.measurement.expression
            for result in results
            if result.line.measurement.measure == "expression-f1" and result.line.measurement.expression
        )
    )


def scores() -> str:
    """Return the table of F1 scores: edits of three kinds of faces, photos, and the references."""
    reports = {name: report(name) for name in EDITED}
    main = reports[NAME]
    first, second = judges_of(main)
    names = expressions_of(main)

    def row(title: str, results: list[Result], contestant: str, mark: str = "") -> list[str]:
        macro, other = (value(results, contestant, judge, "expression-f1") for judge in (first, second))
        each = [value(results, contestant, first, "expression-f1", name) for name in names]
        return [title, f"{mark}{macro}{mark}", *each, other]

    rows = [
        ["seen as what was asked (F1)", "macro", *names, f"macro, {second}"],
        ["---"] * (len(names) + 3),
        *(row(title, reports[name], NAME, "**") for name, title in EDITED.items()),
        row("photos, for comparison", main, "real"),
        row("oracle: photos of others who look as was asked", main, "oracle"),
        row("identity: nothing is done", main, "identity"),
    ]
    return "\n".join("| " + " | ".join(each) + " |" for each in rows)


def judges() -> str:
    """Return what the judges are worth, in a sentence."""
    names = judges_of(report(NAME))
    facts = [
        json.loads((ROOT / "mien" / "weights" / f"{n}.json").read_text(encoding="utf-8"))["measured"] for n in names
    ]
    shares = " and ".join(f"{each['judge-accuracy']:.0%}" for each in facts)
    return f"{' and '.join(f'`{n}`' for n in names)} name {shares} of {facts[0]['n']} such faces"


def beyond() -> str:
    """Return what F1 does not see, in a sentence."""
    main = report(NAME)
    first = judges_of(main)[0]
    faces = main[0].circumstances["protocol"]["faces"]

    def of(measure: str, judge: str | None = None) -> str:
        return value(main, NAME, judge, measure)

    return (
        f"Of the same edits: the own original is the most alike of all in {of(f'identity-rank1-n{faces}')} of cases "
        f"(features, docs/metrics.md),\nthe background changes by {of('background-change')} grey levels of 255, intensity "
        f"and the judge's probability have rank correlation\n{of('intensity-rank-correlation', first)}, smoothness is "
        f"{of('smoothness-per-face', first)}, the mean distance of people's mixed expressions from the disc "
        f"{of('gamut-distance', first)} (from photos of others: {value(main, 'oracle', first, 'gamut-distance')})."
    )


def results() -> str:
    """Return the results as Markdown."""
    model = json.loads((ROOT / "mien" / "weights" / f"{NAME}.json").read_text(encoding="utf-8"))
    lines = [
        json.loads(line) for line in (ROOT / "benchmarks" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    digest = model["sha256"]
    require_same_weights(NAME, EDITED, digest)
    megabytes = (ROOT / "mien" / "weights" / f"{NAME}.safetensors").stat().st_size / 1e6
    parameters = {name: f"{count / 1e6:.2f}" for name, count in model["parameters"].items()}
    steps, images, seconds = (sum(part[key] for part in model["parts"]) for key in ("steps", "images", "seconds"))
    reading = {
        name: newest(lines, f"reading-{name}", model_sha256=digest, way="class head")
        for name in ("agreement", "intensity-rank-correlation")
    }
    protocol = report(NAME)[0].circumstances["protocol"]
    return "\n".join(
        [
            f"The weights that ship (`{NAME}`: generator {parameters['generator']} M parameters, critic "
            f"{parameters['critic']} M, {megabytes:.1f} MB",
            f"in half precision) were trained on a CPU: {steps} steps, {images:,} images, {seconds / 60:.0f} "
            "minutes. Validation faces of FER2013",
            "of which no copy is among the training faces (`mien combine --without-leaks`) were edited at intensity "
            f"{protocol['intensity']:g} and",
            "shown to two judges that were trained without any generator:",
            f"{judges()} as the majority of FER+'s annotators does.",
            "",
            scores(),
            "",
            f"{protocol['faces']} faces were edited to each expression, seed {protocol['seed']}. Of the people in the "
            "other dataset, faces in the wild, none was trained on.",
            beyond(),
            f"`mien read` names {reading['agreement']['value']:.0%} of {reading['agreement']['n']} of FER2013's validation "
            "faces as the annotators' majority does, and its",
            f"intensity follows their share of votes for anything but neutral (rank correlation "
            f"{reading['intensity-rank-correlation']['value']:.2f}).",
            speed(lines, digest),
            before(),
            stargan(),
            "Intervals, all tables and circumstances: [docs/reports](docs/reports/README.md).",
        ]
    )


def require_same_weights(contestant: str, reports: Iterable[str], digest: str) -> None:
    """Stop where a report was made with other weights than those that ship."""
    for name in reports:
        found = {r.circumstances["model_sha256"] for r in report(name) if r.line.contestant == contestant}
        if found != {digest}:
            raise SystemExit(f"{REPORTS / name} was made with other weights: run `mien bench` again")


def before() -> str:
    """Return what the model that the weights went on from is worth, in a sentence."""
    model = json.loads((ROOT / "mien" / "weights" / f"{BEFORE}.json").read_text(encoding="utf-8"))
    require_same_weights(BEFORE, [BEFORE], model["sha256"])
    found = report(BEFORE)
    scores = " and ".join(value(found, BEFORE, judge, "expression-f1") for judge in judges_of(found))
    return (
        f"\n`{BEFORE}`, from which they went on, still ships: {model['method_config']['image_size']} px, F1 of neutral "
        f"faces {scores}. Judges recognise its edits\nabout as often; people see spots of light, dark corners and teeth in "
        "them at full intensity that these do not paint."
    )


def stargan() -> str:
    """Return what the other model is worth, in a paragraph: F1 over the four is the mean of its expressions' own."""
    model = json.loads((ROOT / "mien" / "weights" / f"{STARGAN}.json").read_text(encoding="utf-8"))
    require_same_weights(STARGAN, [STARGAN], model["sha256"])
    found = report(STARGAN)
    measure = f"expression-of-{len(FOUR) + 1}-f1"
    macros, orders = [], []
    for judge in judges_of(found):
        each = [defined(number(found, STARGAN, judge, measure, name)) for name in FOUR]
        macros.append(f"{sum(each) / len(each):.2f}")
        orders += [defined(number(found, STARGAN, judge, "intensity-rank-correlation", name)) for name in FOUR]
    steps, seconds = (sum(part[key] for part in model["parts"]) for key in ("steps", "seconds"))
    return (
        f"\n`{STARGAN}` ships too, for comparison: StarGAN on four expressions and neutral ({steps} steps, "
        f"{seconds / 60:.0f} minutes). On the same\nneutral faces its F1 over the four is {' and '.join(macros)} by the "
        f"two judges, the rank correlation of intensity at least {min(orders):.2f} for each,\nthe background changes by "
        f"{value(found, STARGAN, None, f'background-change-of-{len(FOUR) + 1}')} grey levels.\n"
    )


def speed(lines: list[dict[str, Any]], digest: str) -> str:
    """Return a sentence on speed, from what was measured."""
    parts = []
    for part in ("find", "render", "paste", "whole"):
        line = newest(lines, f"edit-{part}", model_sha256=digest)
        parts.append(f"{part} {line['value'] * 1000:.0f} ms")
    line = newest(lines, "edit-find", model_sha256=digest)
    where = f"{line['machine']['processor']}, {line['machine']['threads']} threads"
    official = newest(lines, "edit-official-size-generator", model_sha256=digest)["value"] * 1000
    scale = f"a generator of the official size alone {official:.0f} ms"
    return f"One edit of a {line['photo']} portrait takes {', '.join(parts)}, {scale} ({where})."


def main() -> None:
    """Replace what stands between the marks in the README."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    readme.write_text(f"{before}{START}\n{results()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

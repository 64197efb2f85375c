"""Write the README's results from benchmarks/results.jsonl, so that no number there is typed by hand.

Only lines that were measured with the shipped weights (by their hash), or without any model, are used; of several of one
kind the newest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NAME = "ganmut-fer2013"
START, END = "<!-- results -->", "<!-- /results -->"


def newest(lines: list[dict[str, Any]], name: str, **facts: Any) -> dict[str, Any]:
    """Return the last line of a name whose facts match."""
    return [line for line in lines if line["name"] == name and all(line.get(k) == v for k, v in facts.items())][-1]


def scores(neutral: dict[str, Any], anyone: dict[str, Any], wild: dict[str, Any], real: dict[str, Any]) -> str:
    """Return the table of F1 scores: edits of three kinds of faces, real faces, and how much the edits change."""
    names = list(neutral["per_class"])
    edited = {
        "neutral faces, edited": neutral,
        "faces of any expression, edited": anyone,
        "faces of another dataset, edited": wild,
    }
    rows = [
        ["seen as what was asked (F1)", "macro", *names],
        ["---"] * (len(names) + 2),
        *(
            [what, f"**{line['value']:.2f}**", *(f"{line['per_class'][n]:.2f}" for n in names)]
            for what, line in edited.items()
        ),
        ["real faces, for comparison", f"{real['value']:.2f}", *(f"{value:.2f}" for value in real["per_class"])],
        ["grey levels changed (of 255)", "", *(f"{neutral['mean_change_levels'][n]:.0f}" for n in names)],
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def results() -> str:
    """Return the results as Markdown."""
    model = json.loads((ROOT / "mien" / "weights" / f"{NAME}.json").read_text(encoding="utf-8"))
    lines = [
        json.loads(line) for line in (ROOT / "benchmarks" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    digest = model["sha256"]
    neutral, anyone, wild = (
        newest(lines, "expression-f1", model_sha256=digest, dataset=dataset, faces=faces, start="auto")
        for dataset, faces in (("fer2013", "neutral"), ("fer2013", "any"), ("folder", "any"))
    )
    real = newest(lines, "expression-f1-real", judge_sha256=neutral["judge_sha256"], data_hash=neutral["data_hash"])
    accuracy = newest(
        lines, "judge-accuracy-real", judge_sha256=neutral["judge_sha256"], data_hash=neutral["data_hash"]
    )
    names = list(neutral["per_class"])
    table = scores(neutral, anyone, wild, real)
    megabytes = (ROOT / "mien" / "weights" / f"{NAME}.safetensors").stat().st_size / 1e6
    parameters = {name: f"{count / 1e6:.2f}" for name, count in model["parameters"].items()}
    steps, images, seconds = (sum(part[key] for part in model["parts"]) for key in ("steps", "images", "seconds"))
    counts = " and ".join(str(line["n"] // len(names)) for line in (neutral, anyone, wild))
    reading = {
        name: newest(lines, f"reading-{name}", model_sha256=digest, way="class head")
        for name in ("agreement", "intensity-rank-correlation")
    }
    return "\n".join(
        [
            f"The weights that ship (`{NAME}`: generator {parameters['generator']} M parameters, critic "
            f"{parameters['critic']} M, {megabytes:.1f} MB",
            f"in half precision) were trained on a CPU: {steps} steps, {images:,} images, {seconds / 60:.0f} "
            "minutes. Validation faces of FER2013",
            "of which no copy is among the training faces (`mien combine --without-leaks`) were edited at intensity "
            f"{neutral['intensity']:g} and",
            "shown to a judge that was trained without any generator and names "
            f"{accuracy['value']:.0%} of {accuracy['n']} such faces as the",
            "majority of FER+'s annotators does:",
            "",
            table,
            "",
            f"{counts} faces were edited to each expression. The other dataset, faces in the wild, was not trained on.",
            f"`mien read` names {reading['agreement']['value']:.0%} of {reading['agreement']['n']} of FER2013's validation "
            "faces as the annotators' majority does, and its",
            f"intensity follows their share of votes for anything but neutral (rank correlation "
            f"{reading['intensity-rank-correlation']['value']:.2f}).",
            "Circumstances: `benchmarks/results.jsonl`.",
            speed(lines, digest),
        ]
    )


def speed(lines: list[dict[str, Any]], digest: str) -> str:
    """Return a sentence on speed, from what was measured."""
    parts = []
    for part in ("find", "render", "paste", "whole"):
        line = newest(lines, f"edit-{part}", model_sha256=digest)
        parts.append(f"{part} {line['value'] * 1000:.0f} ms")
    line = newest(lines, "edit-find", model_sha256=digest)
    where = f"{line['machine']['processor']}, {line['machine']['threads']} threads"
    return f"One edit of a {line['photo']} portrait takes {', '.join(parts)} ({where})."


def main() -> None:
    """Replace what stands between the marks in the README."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    readme.write_text(f"{before}{START}\n{results()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

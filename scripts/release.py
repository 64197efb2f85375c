"""Turn a run into weights that ship: safetensors, and a JSON with command, data, time and measured numbers.

    python scripts/release.py runs/first runs/second --data data/fer2013 --name ganmut-fer2013
    python scripts/release.py runs/third --after ganmut-fer2013 --data data/both --name ganmut-fer2013 \\
        --made-by "mien combine DATA OTHER --out DATA2" --images "FER2013 and others"
    mien bench ganmut-fer2013 --data data/clean --baselines --out reports/ganmut-fer2013
    python scripts/release.py --metrics reports/ganmut-fer2013 --name ganmut-fer2013
    python scripts/release.py --judge runs/judge --data data/clean --name judge-resnet18

The first call writes the weights, or the second, where training goes on from those that ship; after the benchmarks have
run on them, another writes what was measured of exactly these weights (by their hash) into the JSON: the reports' overall
numbers, and the newest lines of benchmarks/results.jsonl. The last writes a judge.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mien.benchmark.results import Result, read_results
from mien.classifiers import export_classifier, load_guide
from mien.classifiers.settings import configure as configure_judge
from mien.exporting import export_onnx
from mien.files import write_text
from mien.lineage import guides_of
from mien.prepared import PreparedSet
from mien.presets import settings_beside
from mien.pretrained import WEIGHTS, export, training_seconds
from mien.runs import Run
from mien.settings import setting_as_text
from mien.training import trained_method

#: What a person who looks at the edits sees, by the name of the weights; printed on the model card.
LIMITS = {
    "ganmut-mixed-128": [
        "Surprise opens the mouth of a broad smile, and leaves teeth of some as dim lines in its dark.",
        "Anger keeps the teeth of a smile, presses lips that were shut, and has odd edges on some that were a little open.",
        "Disgust makes some noses a little broader; frames of glasses bend with the brows.",
        "What is painted at the mouth shows most at full intensity; half intensities look more natural.",
        "A broad smile that is taken away leaves creases beside the mouth, and teeth as a pale line.",
        "Sadness leaves the teeth of a broad smile on some faces.",
    ],
    "ganmut-fer2013": [
        "Surprise on a broad smile: a small dark mouth with the smile's teeth below it.",
        "Fear and disgust leave a light spot between or above some brows; fear greys the mouth under some beards.",
        "Anger bares teeth as a light patch where lips were shut.",
        "What is painted shows most at full intensity; half intensities look more natural.",
        "A broad smile that is taken away leaves teeth or creases.",
    ],
    "stargan-fer2013": [
        "Surprise on a broad smile opens a small mouth, and keeps some of the smile's teeth.",
        "Taking away a broad smile, or making it sad, leaves teeth as a pale line.",
        "Intensities between neutral and an expression were never trained; they are codes between both labels.",
    ],
}
#: Lines of benchmarks/results.jsonl that no card tells: F1 of the judge before the benchmark, and numbers of which one
#: without the others says nothing, which docs/editing.md and docs/datasets.md hold as tables.
NOT_TOLD = ("expression-f1", "blend-", "halves-", "recogniser-")
LIMITS_OF_ALL = [
    "Faces turned aside come out worse than frontal ones; profiles smear.",
    "Trained on small web images that crowds labelled, unbalanced in age, origin and quality.",
]
#: What a card tells of a report, which has more.
TOLD = ("expression-f1", "expression-of-", "conditional-fed", "smoothness-per-face", "intensity-rank-correlation",
        "identity-similarity", "background-change", "mirror-error", "gamut-distance")  # fmt: skip
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results.jsonl"


def command(configuration: dict[str, Any], part: int, place: str, steps: int, guides: dict[str, str]) -> str:
    """Return the command that trained a run of this configuration, on the set in `place`, as part of a chain from 1 on.

    `guides` says by their hash what the commands call the runs that guided it.
    """
    preset = configuration["preset"]
    ended = f"  # to step {steps}" if steps < configuration["train_config"]["steps"] else ""
    changed = "".join(f" --set {setting}" for setting in settings_beside(preset, configuration))
    start = f" --init PART{part - 1}" if part > 1 else ""
    taught = "".join(f" --guide {guides[guide['sha256']]}" for guide in configuration.get("guides", ()))
    return f"mien train {preset} --data {place} --out PART{part}{start}{taught}{changed}{ended}"


def judge_command(run: Run, place: str, out: str) -> str:
    """Return the command that trained a run of `mien train-judge`."""
    settings = run.configuration
    network, recipe = configure_judge(settings["preset"], {})
    default = json.loads(json.dumps(asdict(network) | asdict(recipe)))
    found = settings["classifier"] | settings["recipe"]
    options = "".join(f" --set {key}={setting_as_text(found[key])}" for key in default if found[key] != default[key])
    return f"mien train-judge {settings['preset']} --data {place} --out {out}{options}"


def known_guides(description: dict[str, Any]) -> dict[str, str]:
    """Return what the commands of shipped weights call each guide, by its hash: both stand there from first to last."""
    made = [re.search(r" --out (GUIDE\d+)", each) for each in description["commands"]]
    words = [found[1] for found in made if found]
    digests = [guide["sha256"] for guide in guides_of(description)]
    if len(words) != len(digests):
        raise SystemExit(f"{len(digests)} guides are noted, and {len(words)} are trained by the commands")
    return dict(zip(digests, words, strict=True))


def guide_places(guides: list[Run], commands: list[str], known: Mapping[str, str]) -> dict[str, tuple[str, Run]]:
    """Return, by its hash, what commands call each guide, and its run: as before if it is `known`, or by a free number."""
    taken = {word for each in commands for word in each.split()}
    free = (word for number in itertools.count(1) if (word := f"GUIDE{number}") not in taken)
    places: dict[str, tuple[str, Run]] = {}
    for guide in guides:
        digest = load_guide(guide.path).sha256
        places[digest] = (known[digest] if digest in known else next(free), guide)
    return places


def guides_of_run(run: Run, places: dict[str, tuple[str, Run]]) -> dict[str, tuple[str, Run]]:
    """Return those of `guide_places` that a run noted; all of its must be there."""
    noted = [guide["sha256"] for guide in run.configuration.get("guides", ())]
    if missing := [digest for digest in noted if digest not in places]:
        raise SystemExit(f"{run.path} was guided by {missing[0][:12]}: give its run with --guide")
    return {digest: places[digest] for digest in noted}


def prepare_command(recipe: dict[str, Any], place: str) -> str:
    """Return the command that prepared a set by this recipe in `place`."""
    detector = f" --detector {recipe['detector']['name']}" if recipe["detector"] else ""
    options = "".join(f" --option {key}={value}" for key, value in recipe["options"].items())
    return f"mien prepare {recipe['dataset']} SOURCE --out {place} --size {recipe['size']}{detector}{options}"


def facts_of(run: Run) -> dict[str, int]:
    """Return how long a run took up to its newest checkpoint."""
    _, steps = trained_method(run)
    batch_size = run.configuration["train_config"]["batch_size"]
    stats = [line for line in run.stats() if line["step"] <= steps]
    return {"steps": steps, "images": steps * batch_size, "seconds": round(training_seconds(stats, batch_size))}


def release(
    runs: list[Run], data: Path, name: str, after: str | None, made_by: list[str], images: str, guides: list[Run]
) -> Path:
    """Export the last of a chain of runs under a name, with the facts that only its prepared set and presets know.

    `after` names shipped weights that the chain went on from: their commands and parts come first, and another set than
    theirs is called DATA2, or DATA3 after such a one. `made_by` are the commands that made a set that is a combination, of
    which the manifest knows the parents' hashes only; `images` are the datasets in words. `guides` are the runs of
    `mien train-judge` that guided any of the chain, trained on the same set.
    """
    prepared = PreparedSet.open(data)
    for run in runs:
        if run.configuration["data"]["hash"] != prepared.hash:
            raise SystemExit(f"{run.path} was trained on another set than {data}")
    recipe = prepared.manifest["recipe"]
    parts: list[dict[str, int]] = []
    commands: list[str] = []
    known: dict[str, str] = {}
    place = "DATA"
    if after is not None:
        before = json.loads((WEIGHTS / f"{after}.json").read_text(encoding="utf-8"))
        commands, parts = list(before["commands"]), list(before["parts"])
        known = known_guides(before)
        if before["data"]["hash"] == prepared.hash:  # the set of the part before, as that command calls it
            place, images = commands[-1].partition(" --data ")[2].split()[0], before["data"]["images"]
        else:
            taken = {word for each in commands for word in each.split()}
            place = next(name for name in (f"DATA{number}" for number in itertools.count(2)) if name not in taken)
    if not any(f" {place} " in f"{each} " for each in commands):
        if recipe["dataset"] == "combination" and not (made_by and images):
            raise SystemExit(f"{data} is a combination: tell with --made-by and --images what made it, and of what")
        commands += made_by or [prepare_command(recipe, place)]
    called_so = guide_places(guides, commands, known)
    for run in runs:
        parts.append(facts_of(run))
        places = guides_of_run(run, called_so)
        for called, guide in places.values():
            if guide.configuration["data"]["hash"] != prepared.hash:
                raise SystemExit(f"{guide.path} was trained on another set than {data}")
            if (line := judge_command(guide, place, called)) not in commands:
                commands.append(line)
        called = {digest: word for digest, (word, _) in places.items()}
        commands.append(command(run.configuration, len(parts), place, parts[-1]["steps"], called))
    images = images or "FER2013"
    facts = {
        "commands": commands,
        "parts": parts,
        "data": {
            "images": images,
            "hash": prepared.hash,
            "counts": prepared.manifest["counts"]["train"],
            "recipe": recipe,
        },
        "licence": f"Apache-2.0; trained on {images}, of which no image is part of this file or of the repository",
        "limits": [*LIMITS.get(name, []), *LIMITS_OF_ALL],
    }
    return export(runs[-1], WEIGHTS / f"{name}.safetensors", facts)


def release_judge(run: Run, data: Path, name: str) -> Path:
    """Export a run of `mien train-judge` under a name, with the facts that only its prepared set knows."""
    prepared = PreparedSet.open(data)
    if run.configuration["data"]["hash"] != prepared.hash:
        raise SystemExit(f"{run.path} was trained on another set than {data}")
    facts = {
        "commands": [judge_command(run, "DATA", "RUN")],
        "data": {
            "hash": prepared.hash,
            "counts": {split: prepared.manifest["counts"][split] for split in ("train", "validation")},
            "recipe": prepared.manifest["recipe"],
        },
        "licence": "Apache-2.0; trained on FER2013, of which no image is part of this file or of the repository",
    }
    return export_classifier(run, WEIGHTS / f"{name}.safetensors", facts)


def add_metrics(name: str, reports: list[Path]) -> Path:
    """Write the newest result of each kind that was measured with these weights into their JSON."""
    path = WEIGHTS / f"{name}.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    digest = description["sha256"]
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    kept = ("name", "dataset", "faces", "start", "way")
    mine = {tuple(line.get(k) for k in kept): line for line in lines if line.get("model_sha256") == digest}
    found = [line for line in mine.values() if not line["name"].startswith(NOT_TOLD)]
    for report in reports:
        results = read_results(report / "results.jsonl")
        found += [of_report(result, results) for result in results if is_told(result, digest)]
    description["metrics"] = found
    write_text(path, json.dumps(description, indent=2) + "\n")
    return path


def is_told(result: Result, digest: str) -> bool:
    """Say whether a card tells a number of a report: a main one of these weights, over all expressions, and defined."""
    measurement = result.line.measurement
    mine = result.circumstances["model_sha256"] == digest
    main = measurement.measure.startswith(TOLD)
    judged = not result.circumstances.get("guided")  # by its own guide a model is not judged
    return mine and main and judged and measurement.expression is None and measurement.value is not None


def of_report(result: Result, results: list[Result]) -> dict[str, Any]:
    """Return a number of a report as the description of weights holds it."""
    facts, measurement = result.circumstances, result.line.measurement
    per_class = {
        other.line.measurement.expression: round(other.line.measurement.value, 3)
        for other in results
        if (other.line.contestant, other.line.judge) == (result.line.contestant, result.line.judge)
        and other.line.measurement.measure == measurement.measure == "expression-f1"
        and other.line.measurement.expression is not None
        and other.line.measurement.value is not None
    }
    protocol = facts["protocol"]
    return {
        "name": measurement.measure,
        "value": round(measurement.value or 0.0, 6),
        "low": measurement.low,
        "high": measurement.high,
        "n": measurement.n,
        "faces": protocol["origin"],
        "intensity": protocol["intensity"],
        "start": protocol["start"],
        **({"per_class": per_class} if per_class else {}),
        **{key: facts[key] for key in ("seed", "dataset", "data_hash", "judge_sha256", "model_sha256")},
        **{key: facts[key] for key in ("machine", "commit", "date")},
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="run folders, each of which started from the one before")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--after", help="shipped weights that the first of the runs started from")
    parser.add_argument("--made-by", action="append", default=[], metavar="COMMAND", help="made --data; repeatable")
    parser.add_argument("--images", default="", help="the datasets in words, for the licence; otherwise FER2013")
    parser.add_argument("--guide", type=Path, action="append", default=[], metavar="RUN", help="guided; repeatable")
    parser.add_argument("--name", required=True)
    parser.add_argument("--metrics", type=Path, nargs="+", metavar="REPORT")
    parser.add_argument("--judge", type=Path, metavar="RUN")
    given = parser.parse_args()
    if given.metrics:
        print(add_metrics(given.name, given.metrics))
        return
    if given.judge:
        print(release_judge(Run.read(given.judge), given.data, given.name))
        return
    runs = [Run.read(path) for path in given.runs]
    guides = [Run.read(path) for path in given.guide]
    print(release(runs, given.data, given.name, given.after, given.made_by, given.images, guides))
    print(export_onnx(given.name, WEIGHTS / f"{given.name}.onnx"))


if __name__ == "__main__":
    main()

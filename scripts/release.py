"""Turn a run into weights that ship: safetensors, and a JSON with command, data, time and measured numbers.

    python scripts/release.py runs/ganmut --data data/fer2013 --name ganmut-fer2013
    python benchmarks/expression_f1.py --data data/fer2013 --judge judge.safetensors
    python scripts/release.py --metrics --name ganmut-fer2013

The first call writes the weights; after the benchmarks have run on them, the second writes what was measured of exactly
these weights (by their hash) from benchmarks/results.jsonl into the JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mien.prepared import PreparedSet
from mien.presets import settings_beside
from mien.pretrained import WEIGHTS, export, training_seconds
from mien.runs import Run, write_text
from mien.training import trained_method

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results.jsonl"


def command(configuration: dict[str, Any], out: str) -> str:
    """Return the command that trained a run of this configuration."""
    preset = configuration["preset"]
    changed = "".join(f" --set {setting}" for setting in settings_beside(preset, configuration))
    return f"mien train {preset} --data DATA --out {out}{changed}"


def part(run: Run, steps: int) -> dict[str, int]:
    """Return how long a run took up to a step."""
    batch_size = run.configuration["train_config"]["batch_size"]
    stats = [line for line in run.stats() if line["step"] <= steps]
    return {"steps": steps, "images": steps * batch_size, "seconds": round(training_seconds(stats, batch_size))}


def release(run_path: Path, data: Path, name: str, init: Path | None) -> Path:
    """Export a run under a name, with the facts that only its prepared set and its preset know."""
    run, prepared = Run.read(run_path), PreparedSet.open(data)
    if run.configuration["data"]["hash"] != prepared.hash:
        raise SystemExit(f"{run_path} was trained on another set than {data}")
    training = [command(run.configuration, "RUN")]
    parts = [part(run, trained_method(run)[1])]
    if origin := run.configuration.get("init"):
        first = f"{command(origin, 'FIRST')}  # to step {origin['step']}"
        training = [first, f"{training[0]} --init FIRST"]
        if init is None:
            raise SystemExit("these weights were fine-tuned: name the run that they started from with --init")
        parts.insert(0, part(Run.read(init), origin["step"]))
    recipe = prepared.manifest["recipe"]
    detector = f" --detector {recipe['detector']['name']}" if recipe["detector"] else ""
    options = "".join(f" --option {key}={value}" for key, value in recipe["options"].items())
    facts = {
        "commands": [
            f"mien prepare {recipe['dataset']} SOURCE --out DATA --size {recipe['size']}{detector}{options}",
            *training,
        ],
        "parts": parts,
        "data": {"hash": prepared.hash, "counts": prepared.manifest["counts"]["train"], "recipe": recipe},
        "licence": "Apache-2.0; trained on FER2013, of which no image is part of this file or of the repository",
    }
    return export(run, WEIGHTS / f"{name}.safetensors", facts)


def add_metrics(name: str) -> Path:
    """Write the newest result of each kind that was measured with these weights into their JSON."""
    path = WEIGHTS / f"{name}.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    mine = [line for line in lines if line.get("model_sha256") == description["sha256"]]
    description["metrics"] = list(
        {(line["name"], line.get("dataset"), line.get("faces")): line for line in mine}.values()
    )
    write_text(path, json.dumps(description, indent=2) + "\n")
    return path


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--init", type=Path, help="the run that a fine-tuned one started from")
    parser.add_argument("--name", required=True)
    parser.add_argument("--metrics", action="store_true")
    given = parser.parse_args()
    print(add_metrics(given.name) if given.metrics else release(given.run, given.data, given.name, given.init))


if __name__ == "__main__":
    main()

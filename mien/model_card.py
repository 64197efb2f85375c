"""The page that travels with a model: what it does, what it learned from, what was measured, where it fails.

It is written from the description beside the weights and says only what stands there: what is not known is left out. The
header is the one that the Hugging Face hub reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mien.lineage import guides_of
from mien.spaces import Space, angles_in_degrees

_METHODS = {
    "ganmut": (
        "GANmut (linear; d'Apolito et al., CVPR 2021; Surani 2024)",
        "https://arxiv.org/abs/2406.11079",
        "a disc of expressions: the angle is the kind, the radius the intensity, the centre neutral",
    ),
    "ganmut-gaussian": (
        "GANmut (Gaussian; d'Apolito et al., CVPR 2021)",
        "https://github.com/stefanodapolito/GANmut",
        "a plane with a place and a width for each expression, asked for as a disc round neutral",
    ),
    "stargan": (
        "StarGAN (Choi et al., CVPR 2018)",
        "https://arxiv.org/abs/1711.09020",
        "one number for each expression",
    ),
}
#: What the hub calls the licences that are likely here.
_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
#: Metrics of mien's benchmarks -> their name on the hub.
_HUB_METRICS = {"expression-f1": "f1"}


def model_card(description: Mapping[str, Any], name: str) -> str:
    """Return the card as Markdown; `name` is what the example loads, a repository `user/name` or a folder."""
    expressions = description.get("space", {}).get("expressions", ())
    parts = [
        _header(description),
        f"# {description.get('name', name)}\n\n{_introduction(description, expressions)}",
        _use(name, expressions),
        _intended(),
        _limits(description),
        _training(description),
        _measured(description.get("metrics", ())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def model_facts(name: str, sha256: str, space: Space, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person asks first of a model, by short names; what is not known is left out."""
    config, training = description.get("method_config", {}), description.get("training", description)
    data, parts = description.get("data", {}), description.get("parts", ())
    steps = sum(part["steps"] for part in parts) if parts else training.get("step", training.get("steps"))
    start = training.get("init") or {}
    facts = {
        "name": name,
        "method": _METHODS.get(str(description.get("method")), (description.get("method"),))[0],
        "expressions": list(space.expressions),
        "angles_degrees": angles_in_degrees(space),
        "image_size": config.get("image_size"),
        "image_channels": config.get("image_channels"),
        "generator": config.get("generator"),
        "both_sides": config.get("both_sides"),
        "wipes": config.get("wipes"),
        "parameters": description.get("parameters"),
        "preset": training.get("preset"),
        "steps": steps,
        "data": data.get("images") or ", ".join(_datasets(description)) or data.get("dataset"),
        "data_hash": data.get("hash"),
        "started_from": start.get("model") if len(parts) < 2 else None,  # of a chain of parts, the whole is told
        "guided_by": [f"{guide.get('name', 'unknown')} ({guide['sha256'][:12]})" for guide in guides_of(description)],
        "licence": description.get("licence"),
        "limits": list(description.get("limits", ())),
        "sha256": sha256,
    }
    return {key: value for key, value in facts.items() if value not in (None, "", [], {})}


# ------------------------------------------------------------------------------------------------------------ header


def _header(description: Mapping[str, Any]) -> str:
    """Return the YAML that the hub reads; values are quoted as JSON, which is YAML too."""
    method = description.get("method")
    fields: dict[str, Any] = {
        **_licence(description.get("licence")),
        "library_name": "mien",
        "pipeline_tag": "image-to-image",
        "tags": ["facial-expressions", "gan", "image-editing", *([str(method)] if method else [])],
        "datasets": [name for name in _datasets(description) if name != "folder"],
        "metrics": sorted({_HUB_METRICS[m["name"]] for m in _metrics(description) if m.get("name") in _HUB_METRICS}),
    }
    lines = []
    for key, value in fields.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"- {json.dumps(item)}" for item in value)] if value else []
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(["---", *lines, "---"])


def _licence(text: object) -> dict[str, str]:
    """Return the hub's name of a licence, if what stands in the description begins with one; else its own words."""
    if not isinstance(text, str) or not text.strip():
        return {}
    first = re.split(r"[;,\s]", text.strip(), maxsplit=1)[0].lower()
    return {"license": first} if first in _LICENCES else {"license": "other", "license_name": text.strip()}


def _datasets(description: Mapping[str, Any]) -> list[str]:
    recipe = description.get("data", {}).get("recipe", {})
    if recipe.get("dataset") == "combination":
        names = [parent.get("dataset") for parent in recipe.get("options", {}).get("parents", ())]
    else:
        names = [recipe.get("dataset") or description.get("training", {}).get("data", {}).get("dataset")]
    return list(dict.fromkeys(name for name in names if name))


def _metrics(description: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [line for line in description.get("metrics", ()) if isinstance(line, Mapping)]


# -------------------------------------------------------------------------------------------------------------- text


def _introduction(description: Mapping[str, Any], expressions: Sequence[str]) -> str:
    method = _METHODS.get(str(description.get("method")))
    sentences = ["Edits the expression of a face in a photo, and reads which expression a face shows."]
    if method:
        sentences.append(f"Method: [{method[0]}]({method[1]}); its condition is {method[2]}.")
    if expressions:
        sentences.append(f"Expressions: {', '.join(expressions)}.")
    config = description.get("method_config", {})
    if {"image_size", "image_channels"} <= config.keys():
        colour = "grey" if config["image_channels"] == 1 else "RGB"
        sentences.append(f"It sees {colour} crops of {config['image_size']} x {config['image_size']} pixels.")
    if config.get("generator") == "warp":
        wipes = ", a wipe of detail at the mouth" if config.get("wipes") else ""
        maps = f"a displacement{wipes} and light"
        sentences.append(f"What it returns is {maps}, which are applied at the photo's own resolution.")
    if parameters := description.get("parameters"):
        sentences.append("Parameters: " + ", ".join(f"{part} {count:,}" for part, count in parameters.items()) + ".")
    return "\n".join(sentences)


def _use(name: str, expressions: Sequence[str]) -> str:
    shown = next((each for each in expressions if each != "neutral"), "happy")
    source = f"hf://{name}" if name.count("/") == 1 else name
    return (
        "## Use\n\n```python\nimport mien\n\n"
        f'editor = mien.load("{source}")\n'
        'photo = mien.read_photo("portrait.jpg")\n'
        f'wanted = mien.Condition.named("{shown}", 0.8)\n'
        "pixels = editor.edit(photo, wanted)\n"
        'mien.write_photo("edited.jpg", pixels, like=photo, mark=editor.mark(str(wanted)))\n'
        "```"
    )


def _intended() -> str:
    return (
        "## Intended use\n\n"
        "Research on facial expressions, training data for recognisers of expressions, and pictures of people who agreed "
        "to be edited. Not for judging what anybody feels, and not for passing an edited face off as a photograph: the "
        "program marks what it edits as made by AI (XMP), and the mark should stay."
    )


def _limits(description: Mapping[str, Any]) -> str:
    """Return what holds for every model of this kind, then what the description says of this one."""
    limits = [
        "It moves expressions as they were labelled; labels are what others saw in a picture, not what a person felt.",
        "It carries the imbalance of its data in age, origin and picture quality.",
    ]
    return _section("Limits", [*limits, *map(str, description.get("limits", ()))])


def _training(description: Mapping[str, Any]) -> str:
    training, data = description.get("training", {}), description.get("data", {})
    lines = []
    if dataset := data.get("images") or ", ".join(_datasets(description)):
        digest = data.get("hash") or training.get("data", {}).get("hash")
        lines.append(f"Data: {dataset}" + (f", prepared set `{digest[:12]}`" if digest else ""))
    if counts := {name: count for name, count in data.get("counts", {}).items() if count}:
        lines.append("Images: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    parts = description.get("parts") or ([training] if "steps" in training else [])
    # Of a chain of parts, the whole is told.
    origin = training.get("init") if len(parts) < 2 else None
    if origin:
        lines.append(f"Started from: {_origin(origin)}")
    for guide in guides_of(description):
        name, weights = guide.get("name", "unknown"), guide["sha256"][:12]
        lines.append(f"Guided by: `{name}`, weights `{weights}`, which cannot judge it")
    if parts:
        steps, images, seconds = (sum(part.get(key, 0) for part in parts) for key in ("steps", "images", "seconds"))
        lines.append(
            f"Length{' since then' if origin else ''}: {steps:,} steps, {images:,} images, {seconds / 60:.0f} minutes"
        )
    for machine in training.get("machine", ()):
        if words := _machine(machine):
            lines.append(f"Machine: {words}")
    commands = description.get("commands", ())
    if not commands and (preset := training.get("preset")):
        lines.append(f"Preset: `{preset}`; every setting stands in `config.json`")
    code = "\n\n```\n" + "\n".join(commands) + "\n```" if commands else ""
    return _section("Training", lines) + code


def _origin(init: Mapping[str, Any]) -> str:
    """Say which weights a training started from, and what they had learned from."""
    step = f" at step {init['step']:,}" if "step" in init else ""
    words = [f"`{init.get('model') or init.get('preset')}`{step}"]
    words += [f"weights `{init['sha256'][:12]}`"] if "sha256" in init else []
    words += [f"of prepared set `{init['data_hash'][:12]}`"] if "data_hash" in init else []
    return ", ".join(words)


def _machine(machine: Mapping[str, str]) -> str:
    gpu = machine.get("gpu")
    words = [machine.get("processor"), gpu if gpu != "none" else None]
    if threads := machine.get("threads"):
        words.append(f"{threads} thread" if threads == "1" else f"{threads} threads")
    words += [f"torch {machine['torch']}"] if "torch" in machine else []
    return ", ".join(word for word in words if word)


def _section(title: str, lines: Sequence[str]) -> str:
    """Return a heading with a list; nothing where there is nothing to list."""
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


# ----------------------------------------------------------------------------------------------------------- numbers


def _measured(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return every number with its circumstances, and a table of the expressions where there are such."""
    rows = [line for line in metrics if isinstance(line, Mapping) and {"name", "value"} <= line.keys()]
    if not rows:
        return ""
    table = ["| number | value | n | seed | on | circumstances |", "|---|---|---|---|---|---|"]
    for row in rows:
        unit = f" {row['unit']}" if row.get("unit") else ""
        seed_and_count = f"{row.get('n', '')} | {row.get('seed', '')}"
        table.append(
            f"| {row['name']} | {row['value']:.4g}{unit} | {seed_and_count} | {_on(row)} | {_circumstances(row)} |"
        )
    text = "## Measured\n\n" + "\n".join(table)
    classes = [row for row in rows if row.get("per_class")]
    if not classes:
        return text
    names = list(classes[0]["per_class"])
    lines = [f"| by expression | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in classes:
        values = " | ".join(f"{row['per_class'][name]:.2f}" if name in row["per_class"] else "" for name in names)
        lines.append(f"| {row['name']}, {_on(row)} | {values} |")
    return text + "\n\n" + "\n".join(lines)


def _on(row: Mapping[str, Any]) -> str:
    """Say what a number was measured on."""
    faces = f"{row['faces']} faces" if "faces" in row else ""
    intensity = f"intensity {row['intensity']}" if "intensity" in row else ""
    start = f"start {row['start']}" if "start" in row else ""
    way = f"by {row['way']}" if "way" in row else ""
    return ", ".join(word for word in (row.get("dataset"), row.get("photo"), faces, intensity, start, way) if word)


def _circumstances(row: Mapping[str, Any]) -> str:
    words = [
        f"judge `{row['judge_sha256'][:12]}`" if row.get("judge_sha256") else "",
        f"data `{row['data_hash'][:12]}`" if row.get("data_hash") else "",
        _machine(row.get("machine", {})),
        f"commit `{row['commit']}`" if row.get("commit") else "",
        str(row.get("date", "")),
    ]
    return ", ".join(word for word in words if word)

"""The card says what the description says, in a header that the hub reads, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from untrained import write_run

from mien.files import file_sha256
from mien.lineage import guides_of
from mien.model_card import model_card, model_facts
from mien.pretrained import export, load_model, starting_point
from mien.runs import Run
from mien.shipped import DEFAULT, WEIGHTS

#: What a template leaves behind.
PLACEHOLDERS = re.compile(
    r"\b(?:None|null|nan|TODO|TBD|N/A|unknown|More information needed)\b|\{|\}|\[\]|^- .*: *$", re.I | re.M
)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """Return the description of the model that ships."""
    return json.loads((WEIGHTS / f"{DEFAULT}.json").read_text(encoding="utf-8"))


def test_the_hub_reads_the_header(shipped: dict[str, Any]) -> None:
    header = ModelCard(model_card(shipped, "ada/tiny")).data.to_dict()
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "mien"
    assert header["pipeline_tag"] == "image-to-image"
    assert header["datasets"] == ["fer2013"]
    assert header["metrics"] == ["f1"]
    assert {"facial-expressions", "ganmut"} <= set(header["tags"])


@pytest.mark.parametrize(
    ("licence", "header"),
    [
        ("MIT", {"license": "mit"}),
        ("CC-BY-NC-4.0, for research", {"license": "cc-by-nc-4.0"}),
        ("ask: the authors", {"license": "other", "license_name": "ask: the authors"}),
        ("", {}),
        (None, {}),
    ],
)
def test_licences_have_the_hubs_names(licence: str | None, header: dict[str, str]) -> None:
    text = model_card({"licence": licence}, "x")
    said = {key: value for key, value in ModelCard(text).data.to_dict().items() if key.startswith("license")}
    assert said == header


def test_a_model_that_learned_from_several_datasets_names_them_all() -> None:
    parents = [{"dataset": name, "name": name} for name in ("fer2013", "rafdb", "folder")]
    description = {"data": {"recipe": {"dataset": "combination", "options": {"parents": parents}}}}
    text = model_card(description, "x")
    assert ModelCard(text).data.to_dict()["datasets"] == ["fer2013", "rafdb"]  # the hub knows no `folder`
    assert "Data: fer2013, rafdb, folder" in text
    description["data"]["images"] = "FER2013 and photos of ours"
    assert "Data: FER2013 and photos of ours" in model_card(description, "x")


def test_every_number_of_the_description_is_there_with_its_circumstances(shipped: dict[str, Any]) -> None:
    text = model_card(shipped, "ada/tiny")
    names = tuple(f"| {metric['name']} |" for metric in shipped["metrics"])
    rows = [line for line in text.splitlines() if line.startswith(names)]
    assert len(rows) == len(shipped["metrics"])
    for row, metric in zip(rows, shipped["metrics"], strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[0] == metric["name"]
        assert float(cells[1].split()[0]) == pytest.approx(metric["value"], rel=1e-3)
        assert cells[2:4] == [str(metric["n"]), str(metric["seed"])]
        assert metric["machine"]["processor"] in cells[5] and metric["date"] in cells[5]
        assert (metric.get("judge_sha256") or "")[:12] in cells[5]
    by_class = [metric["per_class"] for metric in shipped["metrics"] if "per_class" in metric]
    assert len(by_class) == 6  # three reports, two judges
    assert all(f"| {each['anger']:.2f} |" in text for each in by_class)


def test_the_training_is_told_as_it_was(shipped: dict[str, Any]) -> None:
    text = model_card(shipped, "ada/tiny")
    parts = shipped["parts"]
    assert len(parts) > 1  # of a chain
    steps, images, seconds = (sum(part[name] for part in parts) for name in ("steps", "images", "seconds"))
    assert f"{steps:,} steps, {images:,} images, {round(seconds / 60)} minutes" in text
    assert "FER2013 and faces in the wild" in text
    assert f"disgust {shipped['data']['counts']['disgust']}" in text and "contempt" not in text
    assert all(command in text for command in shipped["commands"])
    parameters = shipped["parameters"]
    assert f"generator {parameters['generator']:,}, critic {parameters['critic']:,}" in text


def test_a_fine_tuned_models_card_says_what_came_before(tmp_path: Path) -> None:
    """Its own steps are not the whole training."""
    first = write_run(tmp_path / "first")
    second = write_run(tmp_path / "second")
    config = tmp_path / "second" / "config.json"
    origin = starting_point(first.path).facts
    config.write_text(json.dumps(second.configuration | {"init": origin}))
    described = json.loads(export(Run.read(second.path), tmp_path / "b.safetensors").with_suffix(".json").read_text())
    text = model_card(described, "tiny")
    weights = file_sha256(first.path / "checkpoints" / "step-0000001.safetensors")
    assert f"- Started from: `first` at step 1, weights `{weights[:12]}`, of prepared set `{'0' * 12}`\n" in text
    assert "- Length since then: 1 steps, 16 images" in text and "- Length: " not in text
    assert not PLACEHOLDERS.search(text)
    alone = json.loads(export(first, tmp_path / "a.safetensors").with_suffix(".json").read_text())
    assert "Started from" not in model_card(alone, "tiny") and "- Length: 1 steps" in model_card(alone, "tiny")


def test_who_guided_a_model_stands_in_its_card_and_facts(shipped: dict[str, Any], tmp_path: Path) -> None:
    before, last = ({"name": name, "sha256": digit * 64} for name, digit in (("first", "1"), ("second", "2")))
    origin = {"model": "tiny", "sha256": "0" * 64, "guides": [before]}
    taught = {**shipped, "training": shipped["training"] | {"init": origin, "guides": [last, before]}}
    text = model_card(taught, "ada/tiny")
    assert (
        f"- Guided by: `first`, weights `{'1' * 12}`" in text and f"- Guided by: `second`, weights `{'2' * 12}`" in text
    )
    space = load_model(write_run(tmp_path / "run").path).space
    assert model_facts("tiny", "", space, taught)["guided_by"] == [f"first ({'1' * 12})", f"second ({'2' * 12})"]
    none = {**shipped, "training": {**shipped["training"], "guides": [], "init": None}}
    assert "Guided" not in model_card(none, "ada/tiny")


def test_of_a_chain_of_parts_the_whole_length_is_told(shipped: dict[str, Any]) -> None:
    """`scripts/release.py` writes all of them, from the first on."""
    origin = {"model": "part11", "sha256": "0" * 64, "guides": guides_of(shipped)}
    last = {**shipped, "training": shipped["training"] | {"init": origin}}
    assert model_card(last, "ada/tiny") == model_card(shipped, "ada/tiny")
    space = load_model().space
    assert "started_from" not in model_facts("tiny", "", space, last)
    alone = {key: value for key, value in last.items() if key != "parts"}
    assert model_facts("tiny", "", space, alone)["started_from"] == "part11"


def test_the_example_loads_what_the_card_lies_beside(shipped: dict[str, Any]) -> None:
    assert 'mien.load("hf://ada/tiny")' in model_card(shipped, "ada/tiny")
    assert 'mien.load("tiny")' in model_card(shipped, "tiny")
    code = model_card(shipped, "tiny").partition("```python\n")[2].partition("```")[0]
    compile(code, "card", "exec")


def test_limits_of_this_model_follow_those_of_all() -> None:
    text = model_card({"limits": ["It cannot open a smiling mouth."]}, "x")
    limits = text.partition("## Limits\n\n")[2].partition("\n\n")[0].splitlines()
    assert limits[-1] == "- It cannot open a smiling mouth."
    assert len(limits) == len(model_card({}, "x").partition("## Limits\n\n")[2].strip().splitlines()) + 1


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    weights = export(write_run(tmp_path / "run"), tmp_path / "tiny.safetensors")
    described = json.loads(weights.with_suffix(".json").read_text())
    for description in ({}, described):
        text = model_card(description, "tiny")
        assert not PLACEHOLDERS.search(text), PLACEHOLDERS.search(text)
        assert "license" not in text and "Measured" not in text
    assert "## Training" not in model_card({}, "tiny")
    assert "Preset: `smoke`" in text and "- Length: 1 steps, 2 images" not in text

"""A judge's answer depends on the image alone; as a file it says the same, and what is broken gets one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from untrained import write_run

from mien.batches import Batches
from mien.classifiers import Classifier, export_classifier, load_classifier
from mien.classifiers.report import measure_classifier, write_report
from mien.errors import ImageError, MienError, RunError, WeightsError
from mien.files import file_sha256
from mien.prepared import PreparedSet
from mien.runs import Run


@pytest.fixture(scope="module")
def judge(learned: Run) -> Classifier:
    return load_classifier(learned.path)


@pytest.fixture(scope="module")
def images(faces: PreparedSet) -> np.ndarray:
    """Return the 42 faces of validation, (n, 1, 32, 32) in [-1, 1]."""
    return faces.images(faces.select(split="validation")).transpose(0, 3, 1, 2) / np.float32(127.5) - 1


# --- judging -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 5, 42])
def test_the_size_of_batches_does_not_matter(judge: Classifier, images: np.ndarray, batch_size: int) -> None:
    whole, parts = judge.judge(images), judge.judge(images, batch_size=batch_size)
    assert np.abs(whole.probabilities - parts.probabilities).max() < 1e-5
    assert np.allclose(whole.features, parts.features, rtol=1e-5, atol=1e-5)
    assert whole.probabilities.dtype == whole.features.dtype == np.float32
    assert np.allclose(whole.probabilities.sum(1), 1, atol=1e-6)


def test_an_image_and_its_mirror_image_are_averaged(judge: Classifier, images: np.ndarray) -> None:
    one, other = (judge.judge(views, mirror=False) for views in (images, images[..., ::-1]))
    both = judge.judge(images)
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-3
    assert np.allclose(both.probabilities, (one.probabilities + other.probabilities) / 2, atol=1e-6)
    assert np.allclose(both.features, (one.features + other.features) / 2, atol=1e-5)


def test_images_of_any_kind_are_fitted_as_in_training(judge: Classifier, make_prepared: Callable[..., Any]) -> None:
    for size in (16, 48):
        prepared = make_prepared(size=size, channels=3)
        batches = Batches(prepared, judge.expressions, image_size=32, image_channels=1, batch_size=8, seed=0)
        raw = prepared.images(np.arange(8)).transpose(0, 3, 1, 2)
        as_in_training = batches.fit(torch.from_numpy(raw)).numpy()
        found, expected = judge.judge(raw / np.float32(127.5) - 1), judge.judge(as_in_training)
        assert np.allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_grey_given_three_times_is_judged_like_grey(judge: Classifier, images: np.ndarray) -> None:
    found = judge.judge(images.repeat(3, axis=1)).probabilities
    assert np.allclose(found, judge.judge(images).probabilities, atol=1e-4)


def test_a_judge_of_colour_takes_grey(write_judge: Callable[..., Run], images: np.ndarray) -> None:
    judge = load_classifier(write_judge(image_channels=3).path)
    grey, colour = judge.judge(images), judge.judge(images.repeat(3, axis=1))
    assert np.allclose(grey.probabilities, colour.probabilities, atol=1e-6)


def test_no_images_are_judged_too(judge: Classifier) -> None:
    nothing = judge.judge(np.zeros((0, 3, 20, 24), np.float32))
    assert nothing.probabilities.shape == (0, 7) and nothing.features.shape == (0, 48)


def test_an_image_that_is_no_number_is_judged_to_be_none_and_spoils_no_other(
    judge: Classifier, images: np.ndarray
) -> None:
    spoiled = images[:4].copy()
    spoiled[1, 0, 5, 5] = np.nan
    found, expected = judge.judge(spoiled).probabilities, judge.judge(images[:4]).probabilities
    assert np.isnan(found[1]).all()
    assert np.allclose(found[[0, 2, 3]], expected[[0, 2, 3]], atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 32), (1, 32, 32), (2, 32, 32, 3), (2, 4, 32, 32), (2, 1, 0, 32)])
def test_arrays_that_are_no_images_are_refused(judge: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="cannot be judged"):
        judge.judge(np.zeros(shape, np.float32))


# --- files -------------------------------------------------------------------------------------------------------


def test_an_exported_judge_says_the_same(learned: Run, images: np.ndarray, tmp_path: Path) -> None:
    path = export_classifier(learned, tmp_path / "new" / "tiny.safetensors", {"licence": "drawn"})
    run, file = load_classifier(learned.path), load_classifier(path)
    assert np.abs(run.judge(images).probabilities - file.judge(images).probabilities).max() < 1e-2
    assert {tensor.dtype.name for tensor in load_file(path).values()} == {"float16", "int64"}
    assert (file.name, file.expressions, file.config) == ("tiny", run.expressions, run.config)
    assert file.sha256 == file_sha256(path) == json.loads(path.with_suffix(".json").read_text())["sha256"]
    assert file.description["licence"] == "drawn" and file.description["training"]["images"] == 31 * 4 * 12
    assert file.description["parameters"] == sum(p.numel() for p in run.network.parameters())


def test_the_file_tells_what_was_measured_of_just_these_weights(
    learned: Run, faces: PreparedSet, tmp_path: Path, write_judge: Callable[..., Run]
) -> None:
    def measured(run: Run) -> Any:
        path = export_classifier(run, tmp_path / "out.safetensors")
        return json.loads(path.with_suffix(".json").read_text())["measured"]

    run = write_judge()
    assert measured(run) is None
    facts = measure_classifier(load_classifier(run.path), faces)
    write_report(facts, run.path)
    accuracy = next(score["value"] for score in facts["scores"] if score["measure"] == "judge-accuracy")
    assert measured(run)["judge-accuracy"] == accuracy and measured(run)["n"] == 42
    write_report({**facts, "sha256": "of earlier weights"}, run.path)
    assert measured(run) is None


def test_the_file_has_torchvisions_names(write_judge: Callable[..., Run], tmp_path: Path, images: np.ndarray) -> None:
    run = write_judge("vgg", "vgg16_bn-small")
    path = export_classifier(run, tmp_path / "vgg.safetensors")
    assert {name.split(".")[0] for name in load_file(path)} == {"features", "classifier"}
    one, other = load_classifier(run.path), load_classifier(path)
    assert np.abs(one.judge(images).probabilities - other.judge(images).probabilities).max() < 1e-2


def test_a_judge_of_other_expressions_says_their_names(write_judge: Callable[..., Run], tmp_path: Path) -> None:
    run = write_judge(expressions="contempt,smile,neutral")
    for source in (run.path, export_classifier(run, tmp_path / "three.safetensors")):
        judge = load_classifier(source)
        assert judge.expressions == ("contempt", "happy", "neutral")
        assert judge.judge(np.zeros((2, 1, 32, 32), np.float32)).probabilities.shape == (2, 3)


def test_what_is_no_judge_gets_one_clear_error(write_judge: Callable[..., Run], tmp_path: Path) -> None:
    def error(source: Path | str, kind: type[MienError] = WeightsError) -> str:
        with pytest.raises(kind) as refused:
            load_classifier(source)
        assert refused.value.hint and "\n" not in str(refused.value)
        return str(refused.value)

    run = write_judge()
    path = export_classifier(run, tmp_path / "judge.safetensors")
    beside, text = path.with_suffix(".json"), path.with_suffix(".json").read_text()
    assert "no judge `nobody`" in error("nobody")
    assert "is no run folder" in error(tmp_path, RunError)
    assert "run of a generator" in error(write_run(tmp_path / "generator").path, RunError)
    (tmp_path / "judge.pth").write_bytes(path.read_bytes())
    assert "is no .safetensors file" in error(tmp_path / "judge.pth")
    beside.unlink()
    assert "has no judge.json beside it" in error(path)
    for content, message in (
        (text[:50], "is broken"),
        ("[]", "is no judge"),
        ('{"method": "ganmut"}', "is no judge"),
        (text.replace('"format": 1', '"format": 9'), "has format 9, this mien reads 1"),
        (text.replace('"width": 4', '"width": 8'), "other tensors or settings"),
        (text.replace('"width": 4', '"widths": 4'), "other tensors or settings"),
        (text.replace('"neutral"', '"bored"'), "other tensors or settings"),
        (text.replace(file_sha256(path), "0" * 64), "does not match the hash"),
    ):
        beside.write_text(content)
        assert message in error(path)
    beside.write_text(text)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "does not match the hash" in error(path)


def test_broken_runs_get_one_clear_error(write_judge: Callable[..., Run], tmp_path: Path) -> None:
    run = write_judge()
    latest = run.latest_checkpoint()
    assert latest is not None
    spoiled = dict(latest[1])
    spoiled["network.layer1.0.bn1.running_var"] = torch.full((4,), 1e6)
    run.save_checkpoint(41, spoiled)
    with pytest.raises(WeightsError, match="beyond half precision"):
        export_classifier(run, tmp_path / "judge.safetensors")
    spoiled["network.fc.bias"] = torch.full((7,), torch.nan)
    run.save_checkpoint(42, spoiled)
    with pytest.raises(WeightsError, match=r"not numbers \(in fc.bias\)"):
        load_classifier(run.path)
    with pytest.raises(WeightsError, match="does not end in"):
        export_classifier(run, tmp_path / "judge.bin")
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({"classifier": config["classifier"]}))
    with pytest.raises(RunError, match="lacks preset, recipe, data"):
        load_classifier(run.path)
    with pytest.raises(RunError, match="no checkpoint yet"):
        load_classifier(Run.open(tmp_path / "new", config).path)
    assert not list(tmp_path.glob("judge.*"))

"""The report's numbers are those that a hand gets, its files are there, and what cannot be measured says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.classifiers import load_classifier, report
from mien.classifiers.report import calibration, headline, judge_rows, measure_classifier, write_report
from mien.errors import DataError
from mien.expressions import BASIC
from mien.prepared import PreparedSet
from mien.runs import Run


def test_the_calibration_error_by_hand() -> None:
    # Confidences .95 and .91 (one right), .62 (right), .55 (wrong), of two classes.
    first = np.array([0.95, 0.09, 0.62, 0.55])
    probabilities = np.stack([first, 1 - first], 1).astype(np.float32)
    curve, error = calibration(probabilities, np.array([0, 0, 0, 1]))
    assert [point["count"] for point in curve] == [1, 1, 2]
    assert [point["confidence"] for point in curve] == pytest.approx([0.55, 0.62, 0.93], abs=1e-6)
    assert [point["accuracy"] for point in curve] == [0.0, 1.0, 0.5]
    assert error == pytest.approx((0.55 + 0.38 + 2 * 0.43) / 4, abs=1e-6)


def test_certainty_is_in_the_last_bin() -> None:
    curve, error = calibration(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    assert curve == [{"count": 2, "confidence": 1.0, "accuracy": 1.0}] and error == 0


def test_a_judge_whose_answers_are_known_is_measured_by_hand(
    write_judge: Callable[..., Run], faces: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = load_classifier(write_judge().path)
    # 42 faces, six of each expression: it takes every neutral face for a happy one and is else right, with 0.8.
    labels = np.array([BASIC.index(faces.expressions[i]) for i in faces.labels[faces.select(split="validation")]])
    seen = np.where(labels == 0, 1, labels)
    answers = np.full((42, 7), 0.2 / 6, np.float32)
    answers[np.arange(42), seen] = 0.8
    monkeypatch.setattr(report, "judge_rows", lambda *given: answers)
    facts = measure_classifier(judge, faces)
    f1 = {score["expression"]: score["value"] for score in facts["scores"] if score["measure"] == "judge-f1"}
    assert f1["neutral"] == 0 and f1["sad"] == 1
    assert f1["happy"] == pytest.approx(2 * 6 / (2 * 6 + 6))
    assert f1[None] == pytest.approx((0 + 2 / 3 + 5) / 7)
    assert np.array(facts["confusion"])[0].tolist() == [0, 6, 0, 0, 0, 0, 0]
    assert np.trace(facts["confusion"]) == 36 and np.sum(facts["confusion"]) == 42
    assert facts["calibration_error"] == pytest.approx(36 / 42 - 0.8, abs=1e-6)
    whole = next(score for score in facts["scores"] if score["measure"] == "judge-f1" and score["expression"] is None)
    assert whole["details"]["faces"] == 6  # persons, not images
    # Every person fails in the same seventh of the faces: resampling persons changes nothing.
    assert headline(facts).startswith("validation: accuracy 0.857 (0.857 to 0.857), macro-F1 0.810 (")
    assert headline(facts).endswith("calibration error 0.057, n 42")


def test_images_are_read_in_parts_and_in_order(learned: Run, faces: PreparedSet) -> None:
    judge, rows = load_classifier(learned.path), np.arange(len(faces))
    told: list[tuple[int, int]] = []
    parts = judge_rows(judge, faces, rows, lambda done, total: told.append((done, total)))
    whole = judge.judge(faces.images(rows).transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    assert told == [(256, 420), (420, 420)]
    assert np.abs(parts - whole.probabilities).max() < 1e-6


def test_the_report_is_three_files(learned: Run, faces: PreparedSet, tmp_path: Path) -> None:
    facts = measure_classifier(load_classifier(learned.path), faces)
    assert write_report(facts, tmp_path) == tmp_path / "report.json"
    assert json.loads((tmp_path / "report.json").read_text()) == facts
    assert facts["data_hash"] == faces.hash and facts["n"] == 42 and facts["split"] == "validation"
    for name in ("confusion.png", "calibration.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 400 and len(picture.convert("L").getcolors() or []) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration.png", "confusion.png", "report.json"]


def test_the_same_judge_gives_the_same_report(learned: Run, faces: PreparedSet) -> None:
    judge = load_classifier(learned.path)
    assert measure_classifier(judge, faces, seed=3) == measure_classifier(judge, faces, seed=3)


def test_a_split_without_images_is_named(learned: Run, faces: PreparedSet) -> None:
    with pytest.raises(DataError, match="no test images of neutral, happy") as refused:
        measure_classifier(load_classifier(learned.path), faces, split="test")
    assert "mien inspect" in refused.value.hint

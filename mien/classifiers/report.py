"""What a classifier is worth as a judge: accuracy, F1, who is taken for whom, and whether it knows when it does not know.

The numbers are taken on the validation split, on which nothing was chosen (`mien.classifiers.training`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mien.classifiers.classifier import REPORT, Classifier
from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.files import write_text
from mien.metrics.expression_f1 import expression_f1
from mien.plots import new_figure, save_figure, styled
from mien.prepared import PreparedSet
from mien.runs import describe_machine

#: Bins of the calibration curve, of equal width.
_BINS = 10
#: Images that are read and judged at a time.
_READ = 256


def measure_classifier(
    classifier: Classifier,
    prepared: PreparedSet,
    split: str = "validation",
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return accuracy, macro-F1 and F1 per class with their 95 % intervals, the confusion matrix and the calibration.

    The intervals resample persons where the set says who is shown, else images. Edited faces are left out. Raises
    `DataError` where the split has no image of the classifier's expressions.
    """
    names = classifier.expressions
    rows = prepared.select(split=split, expressions=names, photos=True)
    if not len(rows):
        raise DataError(
            f"the prepared set `{prepared.path}` has no {split} images of {', '.join(names)}",
            hint="`mien inspect` says what it has",
        )
    truth = np.array([names.index(VOCABULARY[label]) for label in prepared.labels[rows]])
    probabilities = judge_rows(classifier, prepared, rows, report)
    seen = probabilities.argmax(1)
    scores = expression_f1(truth, seen, _persons(prepared, rows), names, seed=seed, prefix="judge")
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (truth, seen), 1)
    curve, error = calibration(probabilities, truth)
    return {
        "split": split,
        "n": len(rows),
        "data_hash": prepared.hash,
        "sha256": classifier.sha256,
        "seed": seed,
        "machine": describe_machine(),
        "scores": [score.to_json() for score in scores],
        "expressions": list(names),
        "confusion": confusion.tolist(),
        "calibration": curve,
        "calibration_error": error,
    }


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> tuple[list[dict[str, Any]], float]:
    """Return count, mean confidence and accuracy of ten equal bins of confidence, and the calibration error.

    The error is that of Guo et al. 2017: the mean gap between confidence and accuracy over the bins, weighted by their
    counts. Bins without an image are left out.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    curve = [
        {
            "count": int((bins == b).sum()),
            "confidence": float(confidence[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
        }
        for b in np.unique(bins)
    ]
    gaps = [point["count"] * abs(point["confidence"] - point["accuracy"]) for point in curve]
    return curve, float(sum(gaps) / len(truth))


def _persons(prepared: PreparedSet, rows: np.ndarray) -> np.ndarray:
    """Number who is shown on each row: faces of one person are not independent; the unknown count as one person each."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(prepared.person(row) or int(row), len(numbers)) for row in rows])


def judge_rows(
    classifier: Classifier,
    prepared: PreparedSet,
    rows: np.ndarray,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Return the probabilities (n, k) of images of a prepared set, which are read in parts."""
    parts = []
    for start in range(0, len(rows), _READ):
        images = prepared.images(rows[start : start + _READ])
        parts.append(classifier.judge(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1).probabilities)
        report(min(start + _READ, len(rows)), len(rows))
    return np.concatenate(parts)


def write_report(facts: dict[str, Any], folder: Path) -> Path:
    """Write confusion.png, calibration.png and, when those are there, report.json; return its path."""
    save_figure(_confusion_figure(facts), folder / "confusion.png")
    save_figure(_calibration_figure(facts), folder / "calibration.png")
    write_text(folder / REPORT, json.dumps(facts, indent=2) + "\n")
    return folder / REPORT


def headline(facts: dict[str, Any]) -> str:
    """Say a report in a line."""
    values = {score["measure"]: score for score in facts["scores"] if score["expression"] is None}
    accuracy, f1 = values["judge-accuracy"], values["judge-f1"]
    return (
        f"{facts['split']}: accuracy {_with_interval(accuracy)}, macro-F1 {_with_interval(f1)}, "
        f"calibration error {facts['calibration_error']:.3f}, n {facts['n']}"
    )


def _with_interval(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return "undefined"
    between = f" ({score['low']:.3f} to {score['high']:.3f})" if score["low"] is not None else ""
    return f"{score['value']:.3f}{between}"


@styled
def _confusion_figure(facts: dict[str, Any]) -> Any:
    names, counts = facts["expressions"], np.array(facts["confusion"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = new_figure(6.4, 5.6)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    for row in range(len(names)):
        for column in range(len(names)):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.55 else "#28282e"
                text = f"{shares[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    totals = counts.sum(1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), [f"{name} ({total})" for name, total in zip(names, totals, strict=True)])
    axes.set_xlabel("judged")
    axes.set_ylabel("labelled (images)")
    axes.set_title(headline(facts).split(", calibration")[0], fontsize=9)
    return figure


@styled
def _calibration_figure(facts: dict[str, Any]) -> Any:
    figure, axes = new_figure(4.6, 4.4)
    curve = facts["calibration"]
    axes.plot([0, 1], [0, 1], color="#b0b0b8", linewidth=1)
    axes.plot([p["confidence"] for p in curve], [p["accuracy"] for p in curve], "o-", color="#0072b2")
    for point in curve:
        axes.annotate(str(point["count"]), (point["confidence"], point["accuracy"]), fontsize=8, color="#606068",
                      textcoords="offset points", xytext=(6, -10))  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence of the judge")
    axes.set_ylabel("share that is right (number of images)")
    axes.set_title(f"calibration error {facts['calibration_error']:.3f}, n {facts['n']}")
    return figure

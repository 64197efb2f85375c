"""Suppression of overlapping boxes, worked by hand and by the plain rule."""

from __future__ import annotations

import numpy as np
import pytest

from mien.detection_study import overlap
from mien.faces import Detection, detection
from mien.faces.detection import suppress


def test_suppress_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [5, 0, 15, 10], [0, 0, 10, 10], [4, 4, 6, 6.0]])
    scores = np.array([0.6, 0.9, 0.8, 0.5, 0.7])
    groups = np.array([0, 0, 0, 1, 0])
    # Group 0 by score: box 1; box 2 overlaps it 40 / 140; box 4 (area 4) 4 / 80; box 0 overlaps box 1 80 / 100.
    assert suppress(boxes, scores, groups, 0.5).tolist() == [1, 2, 4, 3]
    assert suppress(boxes, scores, groups, 0.8).tolist() == [1, 2, 4, 0, 3]
    # Of the smaller: box 2 shares 40 / 80 with box 1; box 4 lies in box 1 wholly.
    assert suppress(boxes, scores, groups, 0.5, of_smaller=True).tolist() == [1, 2, 3]
    assert suppress(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0.5).tolist() == []


def test_area_of_a_box() -> None:
    assert Detection((2.0, 3.0, 6.0, 8.5), 1.0, np.zeros((5, 2))).area == pytest.approx(22.0)
    assert Detection((6.0, 3.0, 2.0, 8.5), 1.0, np.zeros((5, 2))).area == 0.0


@pytest.mark.parametrize("pairs_at_once", [1, 30, 100_000])
def test_suppress_is_the_greedy_rule_on_any_boxes(pairs_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One box after the other, group by group, as the rule is written down; in one go and in many."""
    monkeypatch.setattr(detection, "_PAIRS_AT_ONCE", pairs_at_once)
    random = np.random.default_rng(0)
    for _ in range(50):
        count = int(random.integers(1, 40))
        corners = random.uniform(0, 20, (count, 2))
        boxes = np.hstack([corners, corners + random.uniform(1, 20, (count, 2))])
        scores, groups = random.random(count).round(1), random.integers(0, 4, count)  # some scores are equal
        kept: list[int] = []
        for i in np.lexsort((-scores, groups)):
            rivals = [j for j in kept if groups[j] == groups[i]]
            if all(overlap(boxes[i], boxes[j]) <= 0.4 for j in rivals):
                kept.append(int(i))
        assert suppress(boxes, scores, groups, 0.4).tolist() == kept

"""Expression F1 against cases worked by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.expression_f1 import expression_f1, f1_per_class
from mien.metrics.intervals import bootstrap

NAMES = ("neutral", "happy", "sad")


def test_f1_by_hand() -> None:
    asked = np.array([0, 0, 1, 1, 1, 2])
    seen = np.array([0, 1, 1, 1, 0, -1])
    # neutral: TP 1, FP 1, FN 1. happy: TP 2, FP 1, FN 1. sad: never seen.
    assert f1_per_class(asked, seen, 3) == pytest.approx([1 / 2, 2 / 3, 0.0])
    made = expression_f1(asked, seen, np.arange(6), NAMES)
    assert [(m.measure, m.expression, m.n) for m in made] == [
        ("expression-f1", None, 6),
        ("expression-f1", "neutral", 2),
        ("expression-f1", "happy", 3),
        ("expression-f1", "sad", 1),
        ("expression-accuracy", None, 6),
    ]
    assert [m.value for m in made] == pytest.approx([7 / 18, 1 / 2, 2 / 3, 0.0, 1 / 2])
    assert made[0].details["confusion"] == [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 1]]


def test_a_class_that_nobody_asked_for_is_undefined_and_not_in_the_mean() -> None:
    made = expression_f1(np.array([1, 1, 1]), np.array([1, 1, 2]), np.arange(3), NAMES)
    assert made[0].value == pytest.approx(4 / 5)  # of happy alone: sad was seen but not asked for
    assert made[3].value is None and made[3].undefined == "nobody was asked to look sad"
    assert np.isnan(f1_per_class(np.array([1]), np.array([2]), 3)[[0, 2]]).all()


def test_nothing_measured_is_undefined() -> None:
    nothing = np.zeros(0, int)
    assert [m.value for m in expression_f1(nothing, nothing, nothing, NAMES)] == [None] * 5


def test_the_interval_is_that_of_the_plain_bootstrap_over_faces() -> None:
    generator = np.random.default_rng(1)
    faces = np.repeat([f"face {i}" for i in range(40)], 3)
    asked = np.tile([0, 1, 2], 40)
    seen = np.where(generator.random(120) < 0.6, asked, generator.integers(0, 3, 120))

    edits_of = [np.flatnonzero(faces == name) for name in np.unique(faces)]

    def macro(indices: np.ndarray) -> float:
        edits = np.concatenate([edits_of[i] for i in indices])
        return float(f1_per_class(asked[edits], seen[edits], 3).mean())

    first = expression_f1(asked, seen, faces, NAMES, seed=5)[0]
    assert (first.low, first.high) == pytest.approx(bootstrap(macro, 40, resamples=1000, seed=5))
    order = generator.permutation(120)
    assert expression_f1(asked[order], seen[order], faces[order], NAMES, seed=5)[0] == first


def test_many_alike_edits_of_one_face_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(2)
    asked = generator.integers(0, 3, 200)
    seen = np.where(generator.random(200) < 0.7, asked, (asked + 1) % 3)
    once = expression_f1(asked, seen, np.arange(200), NAMES)[-1]
    tenfold = expression_f1(*(np.repeat(v, 10) for v in (asked, seen, np.arange(200))), NAMES)[-1]
    assert (once.low, once.high) == (tenfold.low, tenfold.high)


def test_it_is_fast() -> None:
    asked = np.tile(np.arange(7), 500)
    start = time.process_time()
    expression_f1(asked, asked, np.repeat(np.arange(500), 7), [str(i) for i in range(7)])
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(("asked", "seen"), [([3], [0]), ([-1], [0]), ([0], [3]), ([0], [-2])])
def test_an_unknown_expression_is_refused(asked: list[int], seen: list[int]) -> None:
    with pytest.raises(ConfigError, match="beyond the 3"):
        expression_f1(np.array(asked), np.array(seen), np.arange(1), NAMES)
    with pytest.raises(ConfigError, match="do not belong together"):
        expression_f1(np.zeros(2, int), np.zeros(1, int), np.arange(2), NAMES)

"""Intervals cover what they should, count faces and not edits, and depend on the seed only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.intervals import bootstrap, join_units, linear_interval, percentile_interval, resampled_sums


def test_the_bootstrap_of_a_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.5, 400)
    low, high = bootstrap(lambda indices: float(values[indices].mean()), 400, resamples=2000)
    assert low is not None and high is not None
    error = values.std() / 20.0  # the closed form
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_sums_are_those_of_the_same_draws() -> None:
    per_unit = np.random.default_rng(0).normal(size=(30, 2, 3))
    looped = []
    bootstrap(lambda indices: looped.append(per_unit[indices].sum(axis=0)), 30, resamples=50, seed=7)
    np.testing.assert_allclose(resampled_sums(per_unit, resamples=50, seed=7), looped, atol=1e-12)


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    per_unit = np.arange(40.0).reshape(20, 2)
    whole = resampled_sums(per_unit, resamples=30)
    monkeypatch.setattr("mien.metrics.intervals._BLOCK_NUMBERS", 140)  # seven resamples at a time, two in the last
    assert (resampled_sums(per_unit, resamples=30) == whole).all()


def test_resamples_without_a_value_are_left_out_and_not_too_many() -> None:
    values = iter([None, 1.0, math.nan, 2.0])
    assert bootstrap(lambda _: next(values), 5, resamples=4, confidence=1.0) == (1.0, 2.0)
    values = iter([None, 1.0, math.nan, None])
    assert bootstrap(lambda _: next(values), 5, resamples=4) == (None, None)
    assert bootstrap(lambda _: 1.0, 1) == (None, None)  # one face says nothing of others
    assert percentile_interval(np.zeros(0)) == (None, None)


def test_the_first_order_interval_of_a_mean_counts_faces() -> None:
    per_face = np.array([1.0, 2.0, 4.0, 7.0, 11.0, 0.0])
    mean, n = per_face.mean(), len(per_face)
    half = 1.959964 * per_face.std(ddof=1) / math.sqrt(n)
    once = linear_interval(mean, (per_face - mean) / n, np.arange(n))
    thrice = linear_interval(mean, np.repeat(per_face - mean, 3) / (3 * n), np.repeat(np.arange(n), 3))
    assert once == pytest.approx((mean - half, mean + half), rel=1e-6)
    assert thrice == pytest.approx(once, rel=1e-12)
    assert linear_interval(1.0, np.zeros(4), np.arange(4)) == (None, None)
    assert linear_interval(0.5, per_face, np.arange(n), least=0.0)[0] == 0.0


def test_a_face_is_shared_where_both_sets_name_it() -> None:
    assert join_units(np.array(["b", "a"]), np.array(["a", "c", "c"]), 2, 3).tolist() == [1, 0, 0, 2, 2]
    assert join_units(None, np.array([5, 5]), 2, 2).tolist() == [0, 1, 2, 2]
    assert join_units(None, None, 1, 2).tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="3 and 1 units"):
        join_units(np.arange(3), None, 2, 1)

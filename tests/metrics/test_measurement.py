"""A measurement is a finite number or says why there is none."""

from __future__ import annotations

import json
import math

import pytest

from mien.metrics.measurement import Measurement, measured


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_cannot_be_a_value(value: float) -> None:
    with pytest.raises(ValueError, match="no measured number"):
        Measurement("fed-n5", value, None, None, 5, "lower")
    with pytest.raises(ValueError, match="no measured number"):
        Measurement("fed-n5", 1.0, 0.0 if value > 0 else value, value if value > 0 else 2.0, 5, "lower")


@pytest.mark.parametrize(
    ("value", "low", "high", "undefined"),
    [
        (None, None, None, ""),
        (0.0, None, None, "no faces"),
        (None, 0.0, 1.0, "no faces"),
        (1.0, 0.0, None, ""),
        (1.0, 2.0, 1.0, ""),
        (None, None, None, "two\nlines"),
    ],
)
def test_a_value_and_a_reason_exclude_each_other(
    value: float | None, low: float | None, high: float | None, undefined: str
) -> None:
    with pytest.raises(ValueError):
        Measurement("accuracy", value, low, high, 5, "higher", undefined=undefined)


def test_a_number_that_is_none_becomes_undefined() -> None:
    made = measured("accuracy", math.nan, (None, None), n=0, better="higher", reason="no faces")
    assert made.value is None and made.undefined == "no faces"
    assert measured("accuracy", 0.0, (0.0, 0.1), n=9, better="higher", reason="no faces").undefined == ""


def test_it_travels_as_json() -> None:
    made = Measurement("accuracy", 0.5, 0.25, 0.75, 8, "higher", "happy", details={"faces": 4})
    assert Measurement(**json.loads(json.dumps(made.to_json()))) == made

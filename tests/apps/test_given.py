"""What was typed, turned into values."""

from __future__ import annotations

import pytest

from mien.apps.given import reader_options
from mien.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "value"), [("no", False), ("false", False), ("0", False), ("Yes", True), ("1", True)]
)
def test_switches_of_a_reader(typed: str, value: bool) -> None:
    assert reader_options("affectnet", {"boxes": typed}) == {"boxes": value}
    assert reader_options("affectnet", {"contempt": typed})["contempt"] is value


def test_options_take_the_type_of_their_default() -> None:
    typed = {"every": "5", "rule": "seed", "annotations": "1"}
    assert reader_options("affwild2", typed) == {"every": 5, "rule": "seed", "annotations": "1"}


@pytest.mark.parametrize(
    ("dataset", "option", "value", "message"),
    [
        ("affectnet", "boxes", "maybe", "neither yes nor no"),
        ("affwild2", "every", "five", "no whole number"),
        ("rafdb", "boxes", "no", "has no option"),
    ],
)
def test_what_does_not_fit_is_said(dataset: str, option: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        reader_options(dataset, {option: value})
    assert error.value.hint

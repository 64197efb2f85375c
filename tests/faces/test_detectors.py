"""The detectors by name: each has the same interface, and what cannot be is refused in a line."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.faces import load_detector
from mien.faces.mtcnn import MTCNN
from mien.faces.retinaface import RetinaFace


def test_names_lead_to_detectors(retinaface: RetinaFace) -> None:
    assert isinstance(load_detector("mtcnn", threshold=0.4), MTCNN)
    found = load_detector("retinaface", threshold=0.4)
    assert isinstance(found, RetinaFace)
    assert found.settings["threshold"] == 0.4


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("viola", {}, "unknown detector `viola`"),
        ("mtcnn", {"treshold": 0.5}, "has no option `treshold`"),
        ("mtcnn", {"device": "abacus"}, "cannot use the device `abacus`"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        load_detector(name, **options)
    assert refused.value.hint


@pytest.mark.parametrize("name", ["mtcnn", "retinaface"])
def test_nothing_gives_nothing(name: str, request: pytest.FixtureRequest) -> None:
    detector = request.getfixturevalue(name)
    assert detector.detect([]) == []
    tiny = [np.zeros(shape, np.uint8) for shape in ((1, 1, 3), (5, 40, 3), (33, 31, 3))]
    assert detector.detect(tiny) == [[], [], []]

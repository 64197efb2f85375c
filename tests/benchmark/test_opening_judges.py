"""What is refused before anything is measured."""

from __future__ import annotations

import pytest
from coded_world import CodedJudge

from mien.benchmark import running
from mien.errors import ConfigError


def test_the_name_that_two_judges_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"a": CodedJudge("single", "1"), "b/run": CodedJudge("twin", "2"), "c/run": CodedJudge("twin", "3")}
    monkeypatch.setattr(running, "load_judge", known.__getitem__)

    assert running._open_judges(["a", "b/run"], "cpu") == [known["a"], known["b/run"]]
    with pytest.raises(ConfigError, match="two judges are called twin") as caught:
        running._open_judges(["a", "b/run", "c/run"], "cpu")
    assert caught.value.hint

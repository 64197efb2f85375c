"""results.jsonl: what is written is read back equal, with its circumstances, and never half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from outcomes import lines, number, outcome

from mien.benchmark.outcome import Line, Outcome
from mien.benchmark.results import read_results, write_results
from mien.errors import DataError
from mien.metrics.measurement import Measurement


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome(pictures=False)


def test_lines_come_back_as_they_were(found: Outcome, tmp_path: Path) -> None:
    results = read_results(write_results(found, tmp_path / "new" / "results.jsonl"))
    assert [result.line for result in results] == lines()


def test_every_number_carries_its_circumstances(found: Outcome, tmp_path: Path) -> None:
    rows = [json.loads(row) for row in write_results(found, tmp_path / "r.jsonl").read_text().splitlines()]
    row = next(r for r in rows if r["contestant"] == "ganmut-128" and r["judge"] == "vgg16")
    assert row["model_fingerprint"] == "f1" * 32
    assert row["model_sha256"] == "a1" * 32 and row["judge_sha256"] == "1d" * 32 and row["parameters"] == 8_421_138
    assert row["seed"] == 0 and row["protocol"]["faces"] == 500 and row["data_hash"] == "c3" * 32
    assert row["device"] == "cpu" and row["commit"] == "5d19902" and row["machine"]["threads"] == "2"
    undefined = [r for r in rows if r["value"] is None]
    assert undefined and all(r["undefined"] for r in undefined)
    photos = next(r for r in rows if r["contestant"] == "real")
    assert photos["model_sha256"] is photos["model_fingerprint"] is None and photos["judge_sha256"] == "0d" * 32


def test_appending_keeps_what_is_there(found: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_results(found, path)
    path.write_text(path.read_text().rstrip("\n"))  # a hand took the last line's end away
    other = replace(found, lines=found.lines[:3])
    assert len(read_results(write_results(other, path, append=True))) == len(found.lines) + 3
    assert len(read_results(write_results(other, path))) == 3


def test_details_of_numpy_and_strange_names(found: Outcome, tmp_path: Path) -> None:
    details = {"code": np.array([0.5, np.nan]), "n": np.int64(3), "where": Path("a")}
    strange = 'two\nlines \u2028 "and" <more>'
    measurement = Measurement("x", 0.5, None, None, 1, "higher", None, "", details)
    path = write_results(replace(found, lines=(Line(strange, None, measurement),)), tmp_path / "r.jsonl")
    (result,) = read_results(path)
    assert result.line.contestant == strange
    assert result.line.measurement.details == {"code": [0.5, None], "n": 3, "where": "a"}


@pytest.mark.parametrize("damage", ['{"contestant": "a"', '{"contestant": "a"}', "3", '{"value": NaN}'])
def test_a_damaged_line_is_named(found: Outcome, tmp_path: Path, damage: str) -> None:
    path = write_results(found, tmp_path / "r.jsonl")
    rows = path.read_text().splitlines()
    path.write_text("\n".join([rows[0], damage, *rows[1:]]))
    with pytest.raises(DataError, match="line 2") as caught:
        read_results(path)
    assert caught.value.hint
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_results(found, path, append=True)
    assert path.read_bytes() == before


def test_no_number_is_read_that_none_can_be(found: Outcome, tmp_path: Path) -> None:
    single = replace(found, lines=(Line("a", None, number("x", 0.5, 0.1, 3, "higher")),))
    path = write_results(single, tmp_path / "r.jsonl")
    path.write_text(path.read_text().replace('"value": 0.5', '"value": NaN'))
    with pytest.raises(DataError, match="no measured number"):
        read_results(path)


def test_a_full_disk_leaves_the_old_file(found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_results(found, tmp_path / "r.jsonl")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("mien.runs.os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_results(replace(found, lines=()), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["r.jsonl"]

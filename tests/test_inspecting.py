"""Inspection: the counts are those of the samples, leaks and subjects on both sides are named, the report is whole."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from photographs import brighter, photograph, sample, write_set
from PIL import Image

from mien.datasets import Rejected
from mien.errors import DataError
from mien.inspecting import inspect, write_report
from mien.prepared import PreparedSet, prepare


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    rows = [
        sample("t0", photograph(0), "train", "happy", source="a", subject="ann", intensity=0.25),
        sample("t1", photograph(1), "train", "happy", source="b", intensity=0.75),
        sample("t2", photograph(2), "train", "sad", source="b", subject="bob"),
        sample("t3", photograph(0), "train", "happy", source="a"),
        sample("v0", photograph(0), "validation", "fear", source="a", subject="ann"),
        sample("v1", brighter(photograph(1)), "validation", "happy", source="a"),
        sample("v2", photograph(3), "validation", None, source="a"),
        Rejected("r0", "55% of the face's crop is outside the picture"),
        Rejected("r1", "no such file: `a.jpg`"),
        Rejected("r2", "7.5% of the face's crop is outside the picture"),
        Rejected("r3", "no such file: `b.jpg`"),
        Rejected("r4", "no such file: `c.jpg`"),
    ]
    return prepare(rows, tmp_path_factory.mktemp("sets") / "leaky", dataset="test", size=48)


def test_counts(leaky: PreparedSet) -> None:
    found = inspect(leaky)
    assert found.counts == {
        "train": {"happy": {"a": 2, "b": 1}, "sad": {"b": 1}},
        "validation": {"happy": {"a": 1}, "fear": {"a": 1}, "unlabelled": {"a": 1}},
    }
    assert found.intensity == {"happy": 0.5}
    assert found.rejected == [("no such file: `...`", 3), ("N% of the face's crop is outside the picture", 2)]
    assert (found.subjects, found.subjects_in_several_splits) == (2, ["ann"])
    assert len(found.leaks) == 2 and not found.clean
    described = found.to_json()
    assert described["duplicates_between_splits"] == {"same": 1, "near": 1, "mirrored": 0, "different_labels": 1}
    assert described["duplicates_within_splits"] == {"same": 1, "near": 0, "mirrored": 0, "different_labels": 0}
    json.dumps(described)


def test_what_lies_beyond_pictures_is_averaged_where_it_is_known(leaky: PreparedSet, tmp_path: Path) -> None:
    assert inspect(leaky).beyond == {"happy": 0.0, "sad": 0.0, "fear": 0.0}
    half = (1.0, 0.0, 0.5, 0.0, 1.0, 0.0)  # the picture ends in the middle
    rows = [
        dataclasses.replace(sample("a", photograph(0), "train", "happy"), frame=half),
        sample("b", photograph(1), "train", "happy"),
        dataclasses.replace(sample("c", photograph(2), "train", "sad"), frame=half),
    ]
    found = inspect(prepare(rows, tmp_path / "half", dataset="test", size=48))
    assert found.beyond == {"happy": 0.25, "sad": 0.5} == found.to_json()["mean_share_beyond_picture"]
    older = dataclasses.replace(found.prepared, frames=found.prepared.frames * np.nan)
    assert inspect(older).beyond == {}


def test_without_near_it_says_what_it_did_not_look_for(leaky: PreparedSet) -> None:
    described = inspect(leaky, near=False).to_json()
    assert described["duplicates_between_splits"] == {"same": 1, "near": None, "mirrored": None, "different_labels": 1}


def test_a_clean_set(tmp_path: Path) -> None:
    rows = [sample("a", photograph(0), subject="ann"), sample("b", photograph(1), "validation", subject="bob")]
    assert inspect(write_set(tmp_path / "set", rows)).clean


def test_the_report(leaky: PreparedSet, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    inspection = inspect(leaky)
    write_report(inspection, out)
    names = {path.name for path in out.iterdir()}
    faces = {f"faces-{name}.png" for name in ("happy", "sad", "fear")}
    assert names == {"report.json", "distribution.png", "duplicates.csv", *faces}
    assert json.loads((out / "report.json").read_text()) == inspection.to_json()
    with (out / "duplicates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["earlier_key"], row["kind"], row["leak"], row["labels_differ"]) for row in rows] == [
        ("v0", "t0", "same", "yes", "yes"),
        ("v1", "t1", "near", "yes", "no"),
        ("t3", "t0", "same", "no", "no"),
    ]
    assert (rows[0]["split"], rows[0]["expression"], rows[0]["earlier_split"]) == ("validation", "fear", "train")
    # The same again, over the first: the same bytes.
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "faces-anger.png").write_bytes(b"of an earlier set")
    write_report(inspect(leaky), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_contact_sheet_shows_the_faces_themselves(leaky: PreparedSet, tmp_path: Path) -> None:
    write_report(inspect(leaky), tmp_path / "report")
    sheet = np.array(Image.open(tmp_path / "report" / "faces-sad.png")).astype(float)
    face = np.array(Image.fromarray(leaky.images([2])[0][..., 0]).resize((96, 96), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(sheet[56:152, 4:100, 0], face)


def test_a_report_goes_over_no_other_things(leaky: PreparedSet, tmp_path: Path) -> None:
    inspection = inspect(leaky, near=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "report.json").write_text('{"format": "something else"}')
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "report.json").write_text("[1]")
    for out, error in (
        (tmp_path / "full", "not empty"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "foreign", "another kind"),
        (tmp_path / "list", "another kind"),
        (leaky.path, "lies in the prepared set"),
        (leaky.path / "report", "lies in the prepared set"),
    ):
        with pytest.raises(DataError, match=error):
            write_report(inspection, out)
    assert len(list(tmp_path.rglob("*"))) == 7


def test_a_number_is_one_person_within_a_source(tmp_path: Path) -> None:
    rows = [
        sample("a", photograph(0), "train", source="x", subject="12"),
        sample("b", photograph(1), "test", source="y", subject="12"),
    ]
    clean = inspect(prepare(rows, tmp_path / "numbers", dataset="test", size=48), near=False)
    assert (clean.subjects, clean.subjects_in_several_splits) == (2, [])
    rows.append(sample("c", photograph(2), "test", source="x", subject="12"))
    assert inspect(
        prepare(rows, tmp_path / "leak", dataset="test", size=48), near=False
    ).subjects_in_several_splits == ["12"]

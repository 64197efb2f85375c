"""The whole benchmark in a world whose truth is known: what must come out right, and what must be undefined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded_world import SIZE, CodedJudge, Painter, samples

import mien.benchmark.collecting as collecting
from mien.benchmark.collecting import Collector
from mien.benchmark.contestants import Contestant, Faces, Identity, Oracle
from mien.benchmark.faces import choose_faces, make_pool
from mien.benchmark.measuring import Collected, Measurer
from mien.benchmark.outcome import Line
from mien.benchmark.protocol import Protocol
from mien.classifiers import Judged
from mien.metrics.measurement import Measurement
from mien.prepared import PreparedSet

PROTOCOL = Protocol(faces=6, sweep_faces=3, gamut_faces=2, gamut_angles=4)


def quiet(*_: Any) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def world(make_prepared: Callable[..., PreparedSet]) -> PreparedSet:
    return make_prepared(samples(12), SIZE)


def collect(collector: Collector, contestant: Contestant) -> Collected:
    return Collected(
        contestant.facts.name,
        collector.edits(contestant, quiet),
        collector.sweep(contestant, quiet),
        collector.gamut(contestant, quiet),
        collector.scores(contestant, quiet),
    )


def measure(
    prepared: PreparedSet, work: Path, contestants: Sequence[Any], judges: Sequence[Any] = (CodedJudge(),)
) -> list[Line]:
    chosen = choose_faces(prepared, PROTOCOL, [judge.expressions for judge in judges])
    collector = Collector(prepared, chosen, judges, None, PROTOCOL, work)
    made = [Oracle(make_pool(prepared, chosen), 0) if each == "oracle" else each for each in contestants]
    measurer = Measurer(chosen, judges, collector.photos(quiet), "", None, 0)
    lines = measurer.of_photos()
    for contestant in made:
        lines += measurer.of_contestant(collect(collector, contestant))
    return lines


def of(lines: Sequence[Line], contestant: str, measure: str, expression: str | None = None) -> Measurement:
    (found,) = (
        line.measurement
        for line in lines
        if line.contestant == contestant
        and line.measurement.measure == measure
        and line.measurement.expression == expression
    )
    return found


def test_a_perfect_editor_gets_full_marks(world: PreparedSet, tmp_path: Path) -> None:
    lines = measure(world, tmp_path, [Painter()])

    assert of(lines, "real", "expression-f1").value == 1
    assert of(lines, "painter", "expression-f1").value == 1
    assert of(lines, "painter", "expression-f1").n == 6 * 7
    # The coded probability rises evenly from 0.1 to 1: nine equal steps.
    assert of(lines, "painter", "smoothness-per-face").value == pytest.approx(1 / 9, abs=0.01)
    assert of(lines, "painter", "intensity-rank-correlation").value == 1
    assert of(lines, "painter", "background-change").value is not None


def test_the_identity_expresses_nothing_and_keeps_everything(world: PreparedSet, tmp_path: Path) -> None:
    lines = measure(world, tmp_path, [Identity()])

    # All 42 edits look neutral: precision 1/7, recall 1, F1 1/4 for neutral and 0 for the six others.
    assert of(lines, "identity", "expression-f1", "neutral").value == pytest.approx(1 / 4)
    assert of(lines, "identity", "expression-f1").value == pytest.approx(1 / 28)
    assert of(lines, "identity", "background-change").value == 0
    assert of(lines, "identity", "smoothness-per-face").value is None
    assert of(lines, "identity", "smoothness-defined-share").value == 0
    assert of(lines, "identity", "identity-rank1-n6").value == 1


def test_four_contestants_come_out_in_order(world: PreparedSet, tmp_path: Path) -> None:
    lines = measure(world, tmp_path, [Painter(), Painter("still", fault="constant"), Identity(), "oracle"])

    def value(contestant: str, name: str) -> float:
        found = of(lines, contestant, name).value
        assert found is not None
        return found

    fed = next(line.measurement.measure for line in lines if line.measurement.measure.startswith("conditional-fed"))
    for good in ("painter", "oracle"):
        for bad in ("identity", "still"):
            assert value(good, "expression-f1") > value(bad, "expression-f1")
            assert value(good, fed) < value(bad, fed)
    assert value("painter", "identity-rank1-n6") == value("identity", "identity-rank1-n6") == 1
    assert value("oracle", "identity-rank1-n6") < 0.5
    assert value("oracle", "background-change") > value("painter", "background-change")


def test_left_and_right_are_told_apart_by_a_painter_of_one_side_only(world: PreparedSet, tmp_path: Path) -> None:
    """The world's painter paints the left 8 columns; after a mirror, what it painted is on the other side."""
    pictures = Painter("pictures")  # made elsewhere, found by a face's name
    pictures.facts = replace(pictures.facts, kind="folder")
    lines = measure(world, tmp_path, [Painter(), Painter("still", fault="constant"), pictures, Identity(), "oracle"])
    assert of(lines, "identity", "mirror-error").value == of(lines, "still", "mirror-error").value == 0
    painted = of(lines, "painter", "mirror-error")
    assert painted.value is not None and painted.value > 1 and painted.n == 6 * 7
    for name in ("oracle", "pictures"):
        refused = of(lines, name, "mirror-error")
        assert refused.value is None and refused.undefined == f"{name} edits no face that it is given"


def test_only_the_first_hundred_faces_are_mirrored(
    world: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_MIRRORED", 4)
    monkeypatch.setattr(collecting, "_BATCH", 21)  # three faces at a time
    assert of(measure(world, tmp_path, [Painter()]), "painter", "mirror-error").n == 4 * 7


def test_an_edit_that_breaks_only_when_mirrored_is_not_left_out(world: PreparedSet, tmp_path: Path) -> None:
    class Breaks(Painter):
        def edit(self, faces: Faces, *arguments: Any) -> np.ndarray:
            result = super().edit(faces, *arguments)
            return np.where(self.calls == 2, np.nan, result).astype(np.float32)  # the second call is the mirrored one

    found = of(measure(world, tmp_path, [Breaks()]), "painter", "mirror-error")
    assert found.value is None and found.undefined == "42 of 42 edits hold values that are no numbers"


def test_a_constant_output_has_no_person_and_is_no_success(world: PreparedSet, tmp_path: Path) -> None:
    lines = measure(world, tmp_path, [Painter("still", fault="constant")])

    identity = of(lines, "still", "identity-rank1-n6")
    assert identity.value in (None, 0)
    assert of(lines, "still", "smoothness-per-face").value is None


def test_outputs_that_are_no_numbers_leave_everything_undefined(world: PreparedSet, tmp_path: Path) -> None:
    lines = [line for line in measure(world, tmp_path, [Painter("broken", fault="nan")]) if line.contestant == "broken"]

    assert lines and all(line.measurement.value is None for line in lines)
    assert "7 of 42 edits are missing or hold values that are no numbers" in lines[0].measurement.undefined


def test_an_expression_that_a_model_lacks_is_undefined_and_changes_the_name(world: PreparedSet, tmp_path: Path) -> None:
    lines = measure(world, tmp_path, [Painter("four", ("neutral", "happy", "sad", "anger"))])

    assert of(lines, "four", "expression-of-4-f1").value == 1
    assert of(lines, "four", "smoothness-per-face-of-4").value is not None
    fear = of(lines, "four", "expression-of-4-f1", "fear")
    assert fear.value is None and "fear" in fear.undefined


def test_a_judge_with_other_labels_judges_what_it_knows(world: PreparedSet, tmp_path: Path) -> None:
    narrow = CodedJudge("narrow", "na", ("anger", "neutral", "happy"))
    lines = measure(world, tmp_path, [Painter()], [narrow])

    assert of(lines, "painter", "expression-f1").value == 1
    assert of(lines, "painter", "expression-f1").n == 6 * 3


def test_two_benchmarks_are_equal_and_the_batch_size_decides_nothing(
    world: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contestants = [Painter(), Identity(), "oracle"]
    first = measure(world, tmp_path / "a", contestants)
    again = measure(world, tmp_path / "b", contestants)
    monkeypatch.setattr(collecting, "_BATCH", 5)
    small = measure(world, tmp_path / "c", contestants)

    assert [line.measurement for line in first] == [line.measurement for line in again]
    for one, other in zip(first, small, strict=True):
        assert one.measurement.measure == other.measurement.measure
        if one.measurement.value is not None:
            assert other.measurement.value == pytest.approx(one.measurement.value, abs=1e-5)


def test_what_was_collected_is_not_collected_again(world: PreparedSet, tmp_path: Path) -> None:
    painter = Painter()
    first = measure(world, tmp_path, [painter])
    calls = painter.calls
    second = measure(world, tmp_path, [painter])

    assert painter.calls == calls
    assert [line.measurement for line in first] == [line.measurement for line in second]

    damaged = next(tmp_path.glob("edits-*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    next(tmp_path.glob("sweep-*.npz")).write_bytes(b"")
    third = measure(world, tmp_path, [painter])
    assert painter.calls > calls
    assert [line.measurement for line in first] == [line.measurement for line in third]


def test_a_part_tells_which_commit_collected_it(world: PreparedSet, tmp_path: Path) -> None:
    def collected_by(commit: str) -> set[str]:
        chosen = choose_faces(world, PROTOCOL, [CodedJudge().expressions])
        collector = Collector(world, chosen, (CodedJudge(),), None, PROTOCOL, tmp_path, commit=commit)
        arrays = collector.edits(Identity(), quiet)
        assert "commit" not in arrays
        return collector.commits

    assert collected_by("first") == {"first"}
    assert collected_by("second") == {"first"}  # kept, and so is by whom
    (part,) = tmp_path.glob("edits-*.npz")
    with np.load(part) as stored:
        arrays = {name: array for name, array in stored.items() if name != "commit"}
    np.savez(part, **arrays)  # as older versions wrote it
    assert collected_by("third") == {"unknown"}


def test_without_neutral_faces_what_starts_there_is_undefined(
    make_prepared: Callable[..., PreparedSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = make_prepared(samples(9, expressions=("happy", "sad", "anger")), SIZE)
    monkeypatch.setattr("test_measuring.PROTOCOL", Protocol(origin="any", faces=6))
    lines = measure(prepared, tmp_path, [Painter(), Identity()])

    assert of(lines, "painter", "expression-f1").value == 1
    for name in ("smoothness-per-face", "gamut-coverage", "compound-distance"):
        found = of(lines, "painter", name)
        assert found.value is None and found.undefined


def test_a_judge_that_is_far_from_people_says_nothing_of_the_gamut(world: PreparedSet, tmp_path: Path) -> None:
    class Confused(CodedJudge):
        """Sees in everything the opposite end of its list."""

        def judge(self, images: np.ndarray, *, mirror: bool = True, batch_size: int = 128) -> Judged:
            seen = super().judge(images)
            return Judged(seen.probabilities[:, ::-1].copy(), seen.features)

    found = of(measure(world, tmp_path, [Painter()], [Confused()]), "painter", "gamut-coverage")
    assert found.value is None and "votes" in found.undefined


def test_numbers_do_not_depend_on_who_else_takes_part(world: PreparedSet, tmp_path: Path) -> None:
    alone = measure(world, tmp_path / "a", [Painter()])
    among = measure(world, tmp_path / "a", [Identity(), Painter("still", fault="constant"), Painter(), "oracle"])

    assert [x.measurement for x in alone] == [x.measurement for x in among if x.contestant in ("real", "painter")]


@pytest.mark.parametrize(
    ("calls", "whole"),
    [
        (0, {"photos"}),
        (1, {"photos"}),  # the second call edits the mirrored faces, for the same part
        (2, {"photos", "edits"}),
        (3, {"photos", "edits", "sweep"}),
    ],
)
def test_an_interrupted_part_leaves_nothing_behind(
    world: PreparedSet, tmp_path: Path, calls: int, whole: set[str]
) -> None:
    class Stops(Painter):
        def edit(self, *arguments: Any) -> np.ndarray:
            if self.calls == calls:
                raise KeyboardInterrupt
            return super().edit(*arguments)

    with pytest.raises(KeyboardInterrupt):
        measure(world, tmp_path, [Stops()])
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == whole
